"""The description at /openapi.json tells of every function and of nothing else. tests/system tries it on a server."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from functions.app import ROUTES
from functions.web.about import description

DOCUMENT: dict[str, Any] = msgspec.json.decode(bytes(description()))


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


def resolved(node: Any) -> Any:
    """What a reference stands for."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for word in node["$ref"].removeprefix("#/").split("/"):
        found = found[word.replace("~1", "/")]
    return found


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each body of a request or a reply stands in the description, and what it says of it."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            found = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for part, body in found.items():
                for kind, media in resolved(body).get("content", {}).items():
                    yield f"{method} {path} {part} {kind}", media


def examples_of(media: dict[str, Any]) -> list[Any]:
    named = [resolved(example)["value"] for example in media.get("examples", {}).values()]
    return named + ([media["example"]] if "example" in media else [])


@pytest.mark.parametrize(
    ("place", "media"), [(place, media) for place, media in bodies() if re.search("json$|urlencoded$", place)]
)
def test_each_body_has_an_example_that_is_as_described(place: str, media: dict[str, Any]) -> None:
    """Given any body of fields, then an example shows it, and is as its schema says. This document itself is long."""
    examples = examples_of(media)
    assert examples or "/openapi.json 200" in place
    for example in examples:
        Draft202012Validator({**media["schema"], "components": DOCUMENT["components"]}).validate(example)
        known = resolved(media["schema"]).get("properties")
        if known:
            assert example.keys() <= known.keys()
