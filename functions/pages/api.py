"""The description of all HTTP functions: `GET /api`, as lines or a page. Made from `/openapi.json`."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Response

from functions.pages.layout import render
from functions.web import replies
from functions.web.openapi import description
from functions.web.requests import NoFields, parse_query

_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "of at most"}
"""Keywords of JSON Schema that limit a value, and the words for them."""


@dataclass(frozen=True)
class Field:
    """A parameter or a field of a body: its name, its place (query, path, form, JSON), its type and its meaning."""

    name: str
    place: str
    required: bool
    type: str
    meaning: str


@dataclass(frozen=True)
class Reply:
    """A possible reply: its status (`default` for all errors), its meaning and its content types."""

    status: str
    meaning: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """One HTTP function: a method and a path."""

    id: str
    method: str
    path: str
    summary: str
    fields: tuple[Field, ...]
    replies: tuple[Reply, ...]


def list_functions() -> Response:
    """200 with one line per function."""
    parse_query(NoFields)
    operations = [operation for _, found in groups() for operation in found]
    return replies.text_reply("".join(f"{each.method:6} {each.path}  {each.summary}\n" for each in operations))


def show() -> Response:
    """200 with the page."""
    parse_query(NoFields)
    return replies.html_reply(render("api.html", groups=groups()))


@functools.cache
def groups() -> tuple[tuple[str, tuple[Operation, ...]], ...]:
    """The functions grouped by audience, each group with its heading."""
    document = msgspec.json.decode(bytes(description()))
    operations = [(tag, operation) for tag, operation in _operations(document)]
    return tuple(
        (tag["description"], tuple(operation for name, operation in operations if name == tag["name"]))
        for tag in document["tags"]
    )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, described in item.items():
            if method == "parameters":
                continue
            parameters = [*shared, *described.get("parameters", [])]
            yield (
                described["tags"][0],
                Operation(
                    id=described["operationId"],
                    method=method.upper(),
                    path=path,
                    summary=described["summary"],
                    fields=(
                        *(_parameter(document, parameter) for parameter in parameters),
                        *_body(document, described.get("requestBody", {})),
                    ),
                    replies=tuple(
                        Reply(status, reply["description"], tuple(reply.get("content", {})))
                        for status, reply in (
                            (status, _resolved(document, reply)) for status, reply in described["responses"].items()
                        )
                    ),
                ),
            )


def _parameter(document: dict[str, Any], parameter: dict[str, Any]) -> Field:
    found = _resolved(document, parameter)
    type = _type_of(document, found.get("schema", {}))
    return Field(found["name"], found["in"], found.get("required", False), type, found.get("description", ""))


def _body(document: dict[str, Any], body: Mapping[str, Any]) -> Iterator[Field]:
    """The fields of a form or of a JSON body; any other body counts as one field."""
    for kind, content in body.get("content", {}).items():
        schema = _resolved(document, content.get("schema", {}))
        properties = schema.get("properties")
        if properties is None:
            yield Field("", f"body, {kind}", True, _type_of(document, schema), schema.get("description", ""))
            continue
        for name, found in properties.items():
            field = _resolved(document, found)
            required = name in schema.get("required", [])
            place = "JSON" if kind.endswith("json") else "form"
            yield Field(name, place, required, _type_of(document, found), field.get("description", ""))


def _type_of(document: dict[str, Any], schema: Any) -> str:
    """The type of a value, in words."""
    found = _resolved(document, schema)
    if "enum" in found:
        return " or ".join(str(value) for value in found["enum"])
    if "anyOf" in found:
        return " or ".join(_type_of(document, each) for each in found["anyOf"])
    kinds = found.get("type", "anything")
    kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if kind == "array":
        return f"list of: {_type_of(document, found.get('items', {}))}"
    bounds = [f"{word} {found[name]}" for name, word in _BOUNDS.items() if name in found]
    return f"{kind} {', '.join(bounds)}".strip()


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The node that a reference points to; keys beside the reference override its keys."""
    if "$ref" not in node:
        return node
    found: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return {**_resolved(document, found), **{name: value for name, value in node.items() if name != "$ref"}}
