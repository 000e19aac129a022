"""The page of all pools: `GET /pools`."""

from flask import Response

from functions.operators.counts import COUNTS
from functions.pages import page
from functions.web.requests import Query


def show() -> Response:
    """200 with the table that users of resalloc know: limits, counts, a total row, descriptions."""
    Query().finish()
    return page.reply("pools.html", lambda look: {"columns": ("max", *COUNTS)})
