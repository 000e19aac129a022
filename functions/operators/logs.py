"""Logs of hooks: `GET /resources/ID|NAME/logs`, `.../logs/KIND` and `GET /logs`. Reads the files in LOGDIR/hooks."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from flask import Response
from msgspec import Meta

from functions.operators.read_model import find_resource
from functions.web import lifetime, replies
from functions.web.context import Context, current
from functions.web.errors import BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import HIGHEST_ID, Fields, Wait, parse_query
from state.documents import HookKind

R = TypeVar("R")

MOST_AT_ONCE = 1024 * 1024
"""Most bytes of a log in one reply."""
TAIL = 16 * 1024
"""Bytes of each log that a page shows before it follows."""
_POLL_INTERVAL = 0.2
"""Seconds between two reads of a request that waits."""


Seen = Annotated[int, Meta(ge=0, le=HIGHEST_ID, description="What the last reply added up to.")]


class LogsQuery(Fields):
    """The query of `GET /resources/ID|NAME/logs`."""

    wait: Wait = 0.0
    seen: Seen = 0


class LogsOfSeveralQuery(Fields):
    """The query of `GET /logs`."""

    resource: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema={"minLength": 1})], ...],
        Meta(description="Ids or names.", extra_json_schema={"minItems": 1}),
    ]
    wait: Wait = 0.0
    seen: Seen = 0


class LogQuery(Fields):
    """The query of `GET /resources/ID|NAME/logs/KIND`."""

    wait: Wait = 0.0
    offset: Annotated[int, Meta(ge=0, le=HIGHEST_ID, description="The first byte to read.")] = 0


class Log(msgspec.Struct, frozen=True):
    """One log file; `size` in bytes."""

    kind: HookKind
    size: int
    file: str


class LogTail(msgspec.Struct, frozen=True):
    """The end of a log of `size` bytes; `next` is the offset of what follows it."""

    kind: HookKind
    size: int
    next: int
    content: bytes


def list_logs(id_or_name: str) -> Response:
    """200 with the logs of a resource: lines `KIND SIZE FILE`, or JSON.

    With `?wait=S&seen=N` the request waits up to S seconds until the sum of the sizes differs from N.
    """
    context = current()
    query = parse_query(LogsQuery)
    number = _resource_id(context, id_or_name)
    logs = _poll(query.wait, lambda: logs_of(context, number), lambda logs: sum(log.size for log in logs) != query.seen)
    if replies.wants_json():
        return replies.json_reply({"logs": logs})
    return replies.text_reply("".join(f"{log.kind} {log.size} {log.file}\n" for log in logs))


def list_logs_of_several() -> Response:
    """200 with the logs of each `?resource=ID|NAME`: lines `ID KIND SIZE FILE`, or JSON.

    With `&wait=S&seen=N` the request waits up to S seconds until the number of logs plus the sum of their sizes differs
    from N, so that a new log ends the wait even while it is empty.
    """
    context = current()
    query = parse_query(LogsOfSeveralQuery)
    numbers = list(dict.fromkeys(_resource_id(context, id_or_name) for id_or_name in query.resource))
    logs = _poll(
        query.wait,
        lambda: [(number, log) for number in numbers for log in logs_of(context, number)],
        lambda logs: sum(1 + log.size for _, log in logs) != query.seen,
    )
    if replies.wants_json():
        return replies.json_reply({"logs": [{"resource": number, **msgspec.to_builtins(log)} for number, log in logs]})
    return replies.text_reply("".join(f"{number} {log.kind} {log.size} {log.file}\n" for number, log in logs))


def read_log(id_or_name: str, kind: str) -> Response:
    """200 with at most 1 MiB of the log from `?offset=N` on; a log that does not exist yet is empty.

    The header `Log-Size` is the size of the whole log, `Log-Next` the offset of what follows these bytes. With
    `?wait=S` the request waits up to S seconds for new bytes.
    """
    context = current()
    if kind not in list(HookKind):
        raise BadParameter("kind", f"of a log is one of {', '.join(HookKind)}, not {shown(kind)}")
    query = parse_query(LogQuery)
    path = _path(context, _resource_id(context, id_or_name), HookKind(kind))
    content, size = _poll(query.wait, lambda: _read(path, query.offset), lambda found: found[1] != query.offset)
    following = min(query.offset, size) + len(content)
    return replies.bytes_reply(content, {"Log-Size": str(size), "Log-Next": str(following)})


def logs_of(context: Context, number: int) -> list[Log]:
    """The logs of the resource with this id. Blocks on the disk."""
    logs = []
    for kind in HookKind:
        path = _path(context, number, kind)
        try:
            logs.append(Log(kind, path.stat().st_size, str(path)))
        except FileNotFoundError:
            pass
    return logs


def tails_of(context: Context, number: int) -> list[LogTail]:
    """The last `TAIL` bytes of each log of the resource with this id. Blocks on the disk."""
    tails = []
    for log in logs_of(context, number):
        content, size = _read(Path(log.file), max(0, log.size - TAIL))
        tails.append(LogTail(log.kind, size, max(0, log.size - TAIL) + len(content), content))
    return tails


def _resource_id(context: Context, id_or_name: str) -> int:
    return in_thread(find_resource, context.store, id_or_name).id


def _path(context: Context, number: int, kind: HookKind) -> Path:
    return context.settings.log_dir / "hooks" / f"{number:06d}_{kind}"


def _read(path: Path, offset: int) -> tuple[bytes, int]:
    """The bytes from this offset on, and the size of the whole file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(offset, size))
            return file.read(MOST_AT_ONCE), size
    except FileNotFoundError:
        return b"", 0


def _poll(seconds: float, read: Callable[[], R], enough: Callable[[R], bool]) -> R:
    """What `read` returns in a native thread, once it is `enough`, after this many seconds, or when this process stops.

    It polls because hooks do not notify anyone of what they write.
    """
    until = time.monotonic() + seconds
    while True:
        found = in_thread(read)
        if enough(found) or time.monotonic() >= until or lifetime.stopping():
            return found
        time.sleep(_POLL_INTERVAL)
