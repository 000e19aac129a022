"""/openapi.json describes every function and nothing else. tests/system compares it with a real server."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from functions.app import ROUTES
from functions.web.openapi import description

DOCUMENT: dict[str, Any] = msgspec.json.decode(bytes(description()))


def test_the_description_is_valid(client: FlaskClient) -> None:
    reply = client.get("/openapi.json")
    assert reply.content_type == "application/json"
    document = reply.get_json()
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described_and_every_description_has_a_route(client: FlaskClient) -> None:
    """Given all routes and all descriptions, then they are the same."""
    paths = client.get("/openapi.json").get_json()["paths"]
    described = {(word.upper(), path) for path, item in paths.items() for word in item if word != "parameters"}
    routes = {(method, re.sub("<(.*?)>", r"{\1}", path)) for method, path, _ in ROUTES}
    assert described == routes


def resolved(node: Any) -> Any:
    """The node that a reference points to."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for word in node["$ref"].removeprefix("#/").split("/"):
        found = found[word.replace("~1", "/")]
    return found


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The place of each body of a request or a reply in the description, and its media type object."""
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
def test_each_body_has_an_example_that_matches_its_schema(place: str, media: dict[str, Any]) -> None:
    """Given any body, then it has a valid example; /openapi.json itself is too long for one."""
    examples = examples_of(media)
    assert examples or "/openapi.json 200" in place
    for example in examples:
        Draft202012Validator({**media["schema"], "components": DOCUMENT["components"]}).validate(example)
        known = resolved(media["schema"]).get("properties")
        if known:
            assert example.keys() <= known.keys()
