"""What tags, sandboxes and reasons may be, over HTTP and over XML-RPC."""

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

MOST_TAGS = 64
LONGEST = 255
Name = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/Name"})]
"""A tag or a sandbox, for `fault_of_name` to check; web/openapi.yaml describes it."""
# Control characters, line and paragraph separators, and halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def fault_of_tags(tags: Iterable[str], least: int) -> str | None:
    """What is wrong with the distinct tags of a ticket, as what follows "The field ..."; None when they are good."""
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
    """The text on one line, with single blanks between its words."""
    return " ".join(text.split())


def fault_of_reason(reason: str) -> str | None:
    """What is wrong with a person's reason, as what follows "The field ..."; None when it is good."""
    return fault_of_name(reason.strip() and reason)


def fault_of_name(name: str) -> str | None:
    """What is wrong with one tag or sandbox, as what follows "The field ..."; None when it is good."""
    if not name:
        return "must not be empty"
    if len(name) > LONGEST:
        return f"must not be longer than {LONGEST} characters"
    if _FORBIDDEN.search(name):
        return "must not contain control characters"
    return None
