"""The description of all HTTP functions, `GET /openapi.json`, and a text with commands to try, `GET /`.

openapi.yaml holds the prose, the replies and the examples. Where an operation there says `query: NAME` or `body: NAME`,
the parameters or the request body are generated from the struct of that name, a subclass of `Fields`.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from flask import Response

from functions.web import replies
from functions.web.requests import Field, Fields, NoFields, base_url, fields_of, parse_query

_FILE = Path(__file__).with_name("openapi.yaml")
_COMPONENTS = "#/components/schemas/{name}"
_START = """\
This server allocates resources to tickets. Try:

  id=$(curl -fsS {url}/tickets -d tag=TAG)
  curl -fsS --retry 1000 --retry-delay 1 --retry-connrefused {url}/tickets/$id/wait
  curl -fsS -X DELETE {url}/tickets/$id

More: /healthz  /readyz  /metrics  /tickets  /resources  /pools  /api/stats
"""


def show_start() -> Response:
    """200 with three commands to try."""
    return replies.text_reply(_START.format(url=base_url()))


def show_description() -> Response:
    """200 with OpenAPI 3.1 as JSON."""
    parse_query(NoFields)
    return replies.json_reply(description())


@functools.cache
def description() -> msgspec.Raw:
    """The OpenAPI document as JSON. All functions must be imported before the first call (functions/app.py does it)."""
    document = yaml.safe_load(_FILE.read_text())
    structs = {struct.__name__: struct for struct in _subclasses(Fields)}
    for item in document["paths"].values():
        for operation in item.values():
            if "query" in operation:
                operation.setdefault("parameters", []).extend(_parameters(structs[operation.pop("query")]))
            if "body" in operation:
                operation["requestBody"] = _request_body(structs[operation.pop("body")], operation.pop("example"))
    return msgspec.Raw(msgspec.json.encode(document))


def _subclasses(struct: type[Fields]) -> Iterator[type[Fields]]:
    for subclass in struct.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _parameters(struct: type[Fields]) -> list[dict[str, Any]]:
    found = []
    for field, json_schema in _schemas(struct):
        if not field.listed:
            continue
        schema = _as_text(json_schema)
        about = {"description": schema.pop("description")} if "description" in schema else {}
        needed = {"required": True} if field.required else {}
        found.append({"name": field.text_name, "in": "query", **needed, **about, "schema": schema})
    return found


def _request_body(struct: type[Fields], example: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(struct)
    text_names = {field.name: field.text_name for field in fields}
    texts = {text_names[name]: "1" if value is True else value for name, value in example.items()}
    required = [field for field in fields if field.required]
    in_form = {field.text_name: _as_text(schema) for field, schema in _schemas(struct)}
    in_json = {field.name: schema for field, schema in _schemas(struct)}
    return {
        "required": bool(required),
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": _object(in_form, [field.text_name for field in required]),
                "example": texts,
            },
            "application/json": {"schema": _object(in_json, [field.name for field in required]), "example": example},
        },
    }


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    needed = {"required": required} if required else {}
    return {"type": "object", **needed, "additionalProperties": False, "properties": properties}


def _schemas(struct: type[Fields]) -> list[tuple[Field, dict[str, Any]]]:
    _, components = msgspec.json.schema_components([struct], ref_template=_COMPONENTS)
    properties = components[struct.__name__]["properties"]
    return [(field, _plain(properties[field.name])) for field in fields_of(struct)]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its default. A reference stays alone, and null becomes one of the types where possible."""
    schema = {name: value for name, value in schema.items() if name != "default"}
    if "$ref" in schema:
        return {name: value for name, value in schema.items() if name in ("$ref", "description")}
    if "enum" in schema:
        return {"type": "string", **schema}
    if "items" in schema:
        return {**schema, "items": _plain(schema["items"])}
    if "anyOf" in schema:
        value = _plain(next(one for one in schema.pop("anyOf") if one != {"type": "null"}))
        if "type" in value:
            return {**schema, **value, "type": [value["type"], "null"]}
        return {**schema, "anyOf": [value, {"type": "null"}]}
    return schema


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the same value in a query or a form, which have no null and no booleans."""
    if "anyOf" in schema:
        value: dict[str, Any] = schema["anyOf"][0]
        return {name: other for name, other in schema.items() if name != "anyOf"} | value
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "boolean":
        return {**schema, "type": "string", "enum": ["1", "0"]}
    return schema if kind is None else {**schema, "type": kind}
