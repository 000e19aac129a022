"""What a browser gets when it sends the form of a verb: it is done as for everybody else, then the page shows it."""

from collections.abc import Callable
from urllib.parse import quote

from flask import Response

from functions.web import replies as http


def then(act: Callable[..., Response], place: str, verb: str) -> Callable[..., Response]:
    """A view that calls `act` and goes on to `place`, with the values of the route put in; what `act` raises is told on
    a page.
    """

    def view(**arguments: str) -> Response:
        act(**arguments)
        target = place.format(**{name: quote(value, safe="") for name, value in arguments.items()})
        return http.see_other(f"{target}?done={verb}")

    return view
