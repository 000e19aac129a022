"""The page of all pools: `GET /pools`."""

from typing import Any

from flask import Response

from functions.operators.read_model import COUNTS, ReadModel
from functions.pages.layout import page_reply
from functions.pages.warnings import conditions_by_pool
from functions.web.requests import NoFields, parse_query


def show() -> Response:
    """200 with a table of limits, counts and descriptions, and a total row."""
    parse_query(NoFields)
    return page_reply("pools.html", _facts)


def _facts(model: ReadModel) -> dict[str, Any]:
    return {"columns": ("max", *COUNTS), "conditions": conditions_by_pool(model)}
