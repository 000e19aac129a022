"""Checks the state folder: `GET /fsck`. Reads all documents without a lock and changes nothing."""

import threading
import time

from flask import Response

from functions.integrity.fsck import as_json, as_lines, examine, examine_living
from functions.integrity.invariants import Fault
from functions.web import replies
from functions.web.context import current
from functions.web.errors import AlreadyUnderWay
from functions.web.offload import in_thread
from functions.web.requests import NoFields, parse_query

_one_at_a_time = threading.Lock()


def check() -> Response:
    """200 with a line for each fault and note and their numbers in the last line, or JSON.

    Documents that change during the check look wrong for a moment, so only what is still wrong a second later is
    reported. Each process runs one check at a time: 429 otherwise.
    """
    context = current()
    parse_query(NoFields)

    def examine_once() -> list[Fault]:
        return examine(context.store.root, context.settings.log_dir, context.clock())

    if not _one_at_a_time.acquire(blocking=False):
        raise AlreadyUnderWay("a check of the state folder")
    try:
        faults = in_thread(examine_living, examine_once, time.sleep)
    finally:
        _one_at_a_time.release()
    if replies.wants_json():
        return replies.json_reply(as_json(faults))
    return replies.text_reply("".join(f"{line}\n" for line in as_lines(faults)))
