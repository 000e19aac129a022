"""Check the state folder: `GET /fsck`. Reads all of it, without a lock, and changes nothing."""

import threading
import time

from flask import Response

from functions.integrity.fsck import as_json, as_lines, examine, examine_living
from functions.integrity.invariants import Fault
from functions.web import replies as http
from functions.web.context import current
from functions.web.errors import AlreadyUnderWay
from functions.web.offload import in_thread
from functions.web.requests import Query

_one_at_a_time = threading.Lock()


def check() -> Response:
    """200 with the faults and notes: a line for each, the last says how many there are; or JSON.

    What changes while it is read looks wrong for a moment, so only what is still wrong a second later is told. One
    check at a time in each process: 429 otherwise.
    """
    context = current()
    Query().finish()

    def look() -> list[Fault]:
        return examine(context.store.root, context.settings.log_dir, context.clock())

    if not _one_at_a_time.acquire(blocking=False):
        raise AlreadyUnderWay("a check of the state folder")
    try:
        faults = in_thread(examine_living, look, time.sleep)
    finally:
        _one_at_a_time.release()
    if http.wants_json():
        return http.json_reply(as_json(faults))
    return http.text_reply("".join(f"{line}\n" for line in as_lines(faults)))
