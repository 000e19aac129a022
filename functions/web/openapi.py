"""The description of all HTTP functions: `GET /openapi.json`. Reads openapi.yaml beside this file, once."""

import functools
from pathlib import Path

import msgspec
import yaml
from flask import Response

from functions.web import replies as http
from functions.web.requests import Query

_FILE = Path(__file__).with_name("openapi.yaml")


def document() -> Response:
    """200 with OpenAPI 3.1 as JSON."""
    Query().finish()
    return http.json_reply(description())


@functools.cache
def description() -> msgspec.Raw:
    """The document as JSON."""
    return msgspec.Raw(msgspec.json.encode(yaml.safe_load(_FILE.read_text())))
