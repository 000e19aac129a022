"""What tags and sandboxes may be, whichever way they come in."""

import re
from collections.abc import Iterable

MOST_TAGS = 64
LONGEST = 255
# Controls, line and paragraph separators, and halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def fault_of_tags(tags: Iterable[str], least: int) -> str | None:
    """What is wrong with the distinct tags of a ticket, said of "the field"; None when they can be taken."""
    count = 0
    for tag in tags:
        fault = fault_of_name(tag)
        if fault:
            return fault
        count += 1
    if count < least:
        return "must give at least one tag"
    if count > MOST_TAGS:
        return f"must give at most {MOST_TAGS} tags"
    return None


def one_line(text: str) -> str:
    """The text without line breaks and superfluous white space."""
    return " ".join(text.split())


def fault_of_reason(reason: str) -> str | None:
    """What is wrong with a reason that somebody gives, said of "the field"; None when it can be taken."""
    if not reason.strip():
        return "must not be empty"
    if len(reason) > LONGEST:
        return f"must not be longer than {LONGEST} characters"
    if _FORBIDDEN.search(reason):
        return "must not contain control characters"
    return None


def fault_of_name(name: str) -> str | None:
    """What is wrong with one tag or sandbox, said of "the field"; None when it can be taken."""
    if not name:
        return "must not be empty"
    if len(name) > LONGEST:
        return f"must not be longer than {LONGEST} characters"
    if _FORBIDDEN.search(name):
        return "must not contain control characters"
    return None
