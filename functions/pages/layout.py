"""The layout of all pages: templates, style sheet and script, and the replies made of them.

Every value in a template is escaped as text, except markup from templates and charts.
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import jinja2
from flask import Response
from jinja2.bccache import Bucket
from msgspec import Meta

from functions import text as words
from functions.operators.events import event_searches
from functions.operators.read_model import ReadModel, read_model
from functions.pages.warnings import conditions_of_server
from functions.web import replies
from functions.web.context import current
from functions.web.errors import BadParameter, ReplyError, shown
from functions.web.offload import in_thread
from functions.web.requests import Fields, parse_query
from state.errors import NotFound

ROWS = 200
"""Rows of a list on one page."""
LONGEST_SEARCH = 255
"""Characters of a text to search for."""
_FOLDER = Path(__file__).parent
_CONTENT_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in (_FOLDER / "assets").iterdir() if path.suffix in _CONTENT_TYPES}
_VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in _FILES.items()}


class ListQuery(Fields):
    """The query of a page with a list: filters, and which page of the list."""

    pool: str = ""
    state: str = ""
    q: str = ""
    page: Annotated[int, Meta(ge=0, le=10_000)] = 1


class AssetQuery(Fields):
    """The query of `GET /assets/NAME`."""

    v: Annotated[str | None, Meta(description="Its version; with it, clients may cache the file without limit.")] = None


def asset_url(name: str) -> str:
    """The URL of this file, with its version."""
    return f"/assets/{name}?v={_VERSIONS[name]}"


class _BytecodeCache(jinja2.FileSystemBytecodeCache):
    """Compiled templates in the temporary folder, shared by all workers and kept over restarts.

    Compiling takes 30 times as long as loading. A temporary folder that cannot be written only costs this time.
    """

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _bytecode_cache() -> jinja2.BytecodeCache | None:
    try:
        return _BytecodeCache()
    except (OSError, RuntimeError):
        return None


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    bytecode_cache=_bytecode_cache(),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.filters.update(
    moment=words.moment,
    iso=words.iso,
    span=words.span,
    percent=words.percent,
    size=words.size,
    astext=words.text,
    aslog=words.log,
    brief=words.brief,
    printable=words.printable,
    plural=words.plural,
)
_TEMPLATES.globals.update(asset=asset_url, zone=words.zone)


def render(template: str, **facts: Any) -> str:
    """The page that a template makes from these facts."""
    return _TEMPLATES.get_template(template).render(facts)


def error_page(error: ReplyError, asked: str) -> str:
    """The page for an error; `asked` is the request, like `GET /tickets/42`."""
    return render("error.html", answer=error, asked=asked)


def page_reply(
    template: str, make: Callable[[ReadModel], dict[str, Any]], searches: bool = False, status: int = 200
) -> Response:
    """The page that `template` makes of the read model and of the facts that `make` returns.

    `searches` says that `make` searches files of events; few such pages are made at once.
    """
    context = current()
    call: Callable[[Callable[[], str]], str] = context.shared(event_searches) if searches else in_thread

    def build() -> str:
        model = read_model(context)
        return render(template, model=model, notices=conditions_of_server(model), **make(model))

    return replies.html_reply(call(build), status)


def read_list_query(states: Sequence[str]) -> tuple[dict[str, str], int]:
    """The filters `pool`, `state` and `q` of a list (empty where not given), and the page; raises BadParameter."""
    query = parse_query(ListQuery)
    for name, text in (("pool", query.pool), ("q", query.q)):
        if len(text.strip()) > LONGEST_SEARCH:
            raise BadParameter(name, f"may have at most {LONGEST_SEARCH} characters")
    if query.state.upper() not in ("", *states):
        raise BadParameter("state", f"must be one of {', '.join(states)}, not {shown(query.state)}")
    return {"pool": query.pool.strip(), "state": query.state.upper(), "q": query.q.strip()}, query.page


class Rows:
    """One page of a list: `shown` are the rows of page `number` of `last`, out of `count` rows."""

    def __init__(self, found: Sequence[Any], number: int) -> None:
        self.count = len(found)
        self.last = max(1, -(-self.count // ROWS))
        self.number = min(max(number, 1), self.last)
        self.first = (self.number - 1) * ROWS
        self.shown = found[self.first : self.first + ROWS]


def send_asset(name: str) -> Response:
    """200 with the file; clients may cache it without limit when the URL names its version."""
    version = parse_query(AssetQuery).v
    if name not in _FILES:
        raise NotFound("asset", name)
    if version not in (None, _VERSIONS[name]):
        raise BadParameter("v", "is not the current version of this file")
    reply = Response(_FILES[name], content_type=_CONTENT_TYPES[Path(name).suffix])
    if version is not None:
        reply.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return reply
