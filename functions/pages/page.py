"""What all pages do: look at the farm and render, beside the requests of clients."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Response

from functions.operators.read_model import Look
from functions.pages.layout import render
from functions.web import replies as http
from functions.web.context import current
from functions.web.errors import BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import Query

T = TypeVar("T")

ROWS = 200
"""Rows of a list on one page."""
LONGEST_SEARCH = 255


def reply(template: str, make: Callable[[Look], dict[str, Any]], searches: bool = False, status: int = 200) -> Response:
    """The page that `template` makes of one look at the farm, and of what `make` makes of that; `searches` tells that
    it looks through files of events.
    """
    context = current()
    looking = context.looking
    call: Callable[[Callable[[], str]], str] = context.search if searches else in_thread

    def build() -> str:
        look = looking.look()
        return render(template, look=look, **make(look))

    return http.html_reply(call(build), status)


def read_choice(query: Query, name: str, choices: Sequence[str]) -> str:
    """The parameter `name`, one of `choices`, in any case, or empty; raises BadParameter."""
    value = query.string(name) or ""
    if value.upper() not in ("", *choices):
        raise BadParameter(name, f"must be one of {', '.join(choices)}, not {shown(value)}")
    return value.upper()


def read_text(query: Query, name: str) -> str:
    """The parameter `name`, a text to look for, or empty; raises BadParameter."""
    value = (query.string(name) or "").strip()
    if len(value) > LONGEST_SEARCH:
        raise BadParameter(name, f"may have at most {LONGEST_SEARCH} characters")
    return value


class Rows:
    """One page of a list: `shown` of `count` found, page `number` of `last`."""

    def __init__(self, found: Sequence[Any], number: int) -> None:
        self.count = len(found)
        self.last = max(1, -(-self.count // ROWS))
        self.number = min(max(number, 1), self.last)
        self.first = (self.number - 1) * ROWS
        self.shown = found[self.first : self.first + ROWS]
