"""What another pools.yaml would do, before it is put in place: `POST /plan`, with the text of the file as the body.

Reads pool records, resources, tickets and intents. Writes nothing.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from flask import Response, request

from config.errors import ConfigError, Problem
from config.pools import Pool, parse_pools
from config.yamlfile import LARGEST, text_of
from functions.operators.living import read_living
from functions.operators.preview_text import as_json, as_lines
from functions.policy.preview.preview import Documents, Preview, preview
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BODY_LIMIT, MOST_FAULTS, AlreadyUnderWay, BadField, FaultyPools, UnsupportedBody
from functions.web.offload import in_thread
from functions.web.requests import Query, read_body

FILE = "pools.yaml.new"
"""What the file is called in its faults."""
LIMIT = LARGEST + BODY_LIMIT
"""Bytes of a body: the largest pools.yaml, and what a form has around it."""
MOST_POOLS = 2000
MOST_STARTS = 20_000
"""Resources that a file may let start at once."""
# curl's --data-binary calls everything a form.
_KINDS = frozenset(
    (
        "",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/yaml",
        "text/plain",
        "text/x-yaml",
        "text/yaml",
    )
)
_one_at_a_time = threading.Lock()


class Outlook(NamedTuple):
    """What was found, and beside it what is probably a mistake in the file, and what is not quite sure."""

    found: Preview
    warnings: list[str]
    notes: list[str]


def tell() -> Response:
    """200 with what the file would start, stop or strand: a line for each pool, or JSON. 422 with all that is wrong
    with the file. One at a time in each process: 429 otherwise.
    """
    outlook = look_ahead(read_file())
    found, warnings, notes = outlook
    if http.wants_json():
        return http.json_reply({**as_json(found), "warnings": warnings, "notes": notes, "text": as_lines(found)})
    lines = [*(f"warning: {each}" for each in warnings), *as_lines(found), *(f"note: {each}" for each in notes)]
    return http.text_reply("".join(f"{line}\n" for line in lines))


def usage() -> Response:
    """200 with how to ask."""
    url = request.host_url.rstrip("/")
    return http.text_reply(
        "What another pools.yaml would start, stop or strand, before it is put in place:\n\n"
        f"  curl -fsS {url}/plan --data-binary @pools.yaml\n"
    )


def read_file() -> bytes:
    """The file: the whole body, or of a form of a page the field `file`, and `text` when that is empty.

    Raises UnsupportedBody, MalformedBody, BadField and BodyTooLarge.
    """
    Query().finish()
    request.max_content_length = request.max_form_memory_size = LIMIT
    if request.mimetype == "multipart/form-data":
        return _read_form()
    if request.mimetype not in _KINDS:
        raise UnsupportedBody(request.content_type or "", "YAML (text/yaml)")
    return read_body()


def look_ahead(content: bytes) -> Outlook:
    """What the file with this content would do now; raises FaultyPools, AlreadyUnderWay and StoreUnavailable."""
    context = current()
    # A large file takes seconds of this process.
    if not _one_at_a_time.acquire(blocking=False):
        raise AlreadyUnderWay("a look at what a pools.yaml would do")
    try:
        return in_thread(_look_ahead, context, content)
    finally:
        _one_at_a_time.release()


def _look_ahead(context: Context, content: bytes) -> Outlook:
    try:
        file = parse_pools(text_of(content, FILE), FILE)
    except ConfigError as error:
        raise FaultyPools(error.problems) from None
    if fault := fault_of_size(file.pools):
        raise FaultyPools([Problem(FILE, None, None, None, fault)])
    intents = read_living(context.store.intents)
    look = context.looking.look()
    documents = Documents(look.records, look.resources, look.tickets, intents)
    notes = []
    if not look.led:
        notes.append("no scheduler is running, so nothing happens before one does")
    if look.shown is not None and look.shown.faults:
        notes.append("the pools.yaml that is in place is broken; this compares with the last good one")
    if look.shown is not None and look.shown.quarantine:
        notes.append("some documents are damaged (see /healthz), and what they occupy is not counted here")
    warnings = [str(each) for each in file.warnings[:MOST_FAULTS]]
    return Outlook(preview(documents, file.pools, look.at), warnings, notes)


def fault_of_size(pools: Sequence[Pool]) -> str | None:
    """Why these pools are too many, or start too much, to be looked at in a moment."""
    if len(pools) > MOST_POOLS:
        return f"has more than {MOST_POOLS} pools, which is too many to look ahead"
    starts = sum(min(pool.max, pool.max_starting, pool.max_prealloc) for pool in pools if not pool.on_demand)
    if starts > MOST_STARTS:
        return f"would let more than {MOST_STARTS} resources start at once, which is too many to look ahead"
    return None


def _read_form() -> bytes:
    for name in {*request.form, *request.files} - {"file", "text"}:
        raise BadField(name, "is not known here")
    upload, text = request.files.get("file"), request.form.get("text")
    content = upload.read() if upload is not None else b""
    if not content and text is None:
        raise BadField("text", "or file must be given")
    return content or (text or "").encode()
