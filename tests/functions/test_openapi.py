"""The description at /openapi.json tells of every function and of nothing else. tests/system tries it on a server."""

import re

from flask.testing import FlaskClient
from openapi_spec_validator import validate

from functions.app import ROUTES


def test_it_is_valid(client: FlaskClient) -> None:
    reply = client.get("/openapi.json")
    assert reply.content_type == "application/json"
    document = reply.get_json()
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_it_tells_of_every_function(client: FlaskClient) -> None:
    """Given all routes, when looked up in the description, then each is there, and each that is there is a route."""
    paths = client.get("/openapi.json").get_json()["paths"]
    described = {(word.upper(), path) for path, item in paths.items() for word in item if word != "parameters"}
    routes = {(method, re.sub("<(.*?)>", r"{\1}", path)) for method, path, _ in ROUTES}
    assert described == routes
