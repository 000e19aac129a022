"""What hooks of resources wrote: `GET /resources/ID|NAME/logs`, `.../logs/KIND`, `GET /logs`. Reads LOGDIR/hooks."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from flask import Response

from functions.operators.living import find
from functions.web import lifetime
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import Query
from state.documents import HookKind

LONGEST_WAIT = 60
MOST_AT_ONCE = 1024 * 1024
TAIL = 16 * 1024
"""Bytes of each log that a page shows before it follows."""
_LOOK_EVERY = 0.2


class Log(msgspec.Struct, frozen=True):
    """One log file; `size` in bytes."""

    kind: HookKind
    size: int
    file: str


def every(id_or_name: str) -> Response:
    """200 with the logs that there are: lines `KIND SIZE FILE`, or JSON.

    With `?wait=S&seen=N` it waits up to S seconds until the sum of the sizes is not N any more.
    """
    context = current()
    query = Query()
    seconds = query.seconds("wait", 0, LONGEST_WAIT)
    seen = query.whole("seen", 0, 2**53)
    query.finish()
    number = _number(context, id_or_name)
    logs = _until(seconds, lambda: logs_of(context, number), lambda logs: sum(log.size for log in logs) != seen)
    if http.wants_json():
        return http.json_reply({"logs": logs})
    return http.text_reply("".join(f"{log.kind} {log.size} {log.file}\n" for log in logs))


def of_several() -> Response:
    """200 with the logs of each `?resource=ID|NAME`: lines `ID KIND SIZE FILE`, or JSON.

    With `&wait=S&seen=N` it waits up to S seconds until the number of logs and the sum of their sizes do not add up
    to N any more: also an empty log that is new ends the wait.
    """
    context = current()
    query = Query()
    named = query.strings("resource")
    seconds = query.seconds("wait", 0, LONGEST_WAIT)
    seen = query.whole("seen", 0, 2**53)
    query.finish()
    if not named:
        raise BadParameter("resource", "must be given, once for each resource")
    numbers = list(dict.fromkeys(_number(context, id_or_name) for id_or_name in named))
    logs = _until(
        seconds,
        lambda: [(number, log) for number in numbers for log in logs_of(context, number)],
        lambda logs: sum(1 + log.size for _, log in logs) != seen,
    )
    if http.wants_json():
        return http.json_reply({"logs": [{"resource": number, **msgspec.to_builtins(log)} for number, log in logs]})
    return http.text_reply("".join(f"{number} {log.kind} {log.size} {log.file}\n" for number, log in logs))


def one(id_or_name: str, kind: str) -> Response:
    """200 with the bytes from `?offset=N` on, at most 1 MiB of them.

    `Log-Size` tells the size of the whole, `Log-Next` the offset of what follows these bytes.

    With `?wait=S` it waits up to S seconds for bytes to come. A log that is not there yet is empty.
    """
    context = current()
    if kind not in list(HookKind):
        raise BadParameter("kind", f"of a log is one of {', '.join(HookKind)}, not {shown(kind)}")
    query = Query()
    seconds = query.seconds("wait", 0, LONGEST_WAIT)
    offset = query.whole("offset", 0, 2**53)
    query.finish()
    path = _path(context, _number(context, id_or_name), HookKind(kind))
    content, size = _until(seconds, lambda: _read(path, offset), lambda found: found[1] != offset)
    following = min(offset, size) + len(content)
    return http.bytes_reply(content, {"Log-Size": str(size), "Log-Next": str(following)})


def logs_of(context: Context, number: int) -> list[Log]:
    """The logs that a resource has."""
    logs = []
    for kind in HookKind:
        path = _path(context, number, kind)
        try:
            logs.append(Log(kind, path.stat().st_size, str(path)))
        except FileNotFoundError:
            pass
    return logs


class Tail(msgspec.Struct, frozen=True):
    """The end of a log: all of its `size` bytes, or the last of them; `next` is the offset of what follows."""

    kind: HookKind
    size: int
    next: int
    content: bytes


def tails_of(context: Context, number: int) -> list[Tail]:
    """The logs that a resource has, each with its last `TAIL` bytes."""
    tails = []
    for log in logs_of(context, number):
        content, size = _read(Path(log.file), max(0, log.size - TAIL))
        tails.append(Tail(log.kind, size, max(0, log.size - TAIL) + len(content), content))
    return tails


def _number(context: Context, id_or_name: str) -> int:
    return in_thread(find, context.store, id_or_name).id


def _path(context: Context, number: int, kind: HookKind) -> Path:
    return context.settings.log_dir / "hooks" / f"{number:06d}_{kind}"


def _read(path: Path, offset: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(min(offset, size))
            return file.read(MOST_AT_ONCE), size
    except FileNotFoundError:
        return b"", 0


def _until(seconds: float, look: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """What `look` finds, once it is `enough` or so many seconds have passed. Hooks tell nobody what they write."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if enough(found) or time.monotonic() >= until or lifetime.stopping():
            return found
        time.sleep(_LOOK_EVERY)
