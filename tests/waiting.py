"""Waiting for a condition instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60.0, what: str = "the condition") -> T:
    """The first true result of `condition`; fails when there is none within `seconds` (enough on a busy machine)."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds:g} s; last: {result!r}")
        time.sleep(0.01)
