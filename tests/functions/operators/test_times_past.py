"""Times that are over, as operators write them."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from functions.operators.times import read_past
from functions.web.errors import BadParameter

NOW = datetime(2026, 11, 26, 15, 30).timestamp()
"""A Thursday."""


@pytest.fixture(autouse=True, params=["UTC", "UTC-2"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-11-24T14:05", "2026-11-24T14:05"),
        ("2026-11-24 14:05:30", "2026-11-24T14:05:30"),
        ("2026-11-24", "2026-11-24T00:00"),
        ("14:05", "2026-11-26T14:05"),
        ("16:05", "2026-11-25T16:05"),
        ("Tuesday 14:05", "2026-11-24T14:05"),
        ("tue 14:05", "2026-11-24T14:05"),
        ("Thu 15:29", "2026-11-26T15:29"),
        ("Thu 15:31", "2026-11-19T15:31"),
        ("Tuesday at 14:05", "2026-11-24T14:05"),
        ("Tuesday at 9:05", "2026-11-24T09:05"),
        ("yesterday 14:05", "2026-11-25T14:05"),
        ("yesterday at 16:05:30", "2026-11-25T16:05:30"),
        ("today 14:05", "2026-11-26T14:05"),
        ("2h", "2026-11-26T13:30"),
        ("1d12h", "2026-11-25T03:30"),
    ],
)
def test_a_time_is_the_last_of_its_kind(text: str, local: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    assert read_past("at", text, now) == datetime.fromisoformat(local).timestamp()


@pytest.mark.parametrize("text", ["1795521600", "1795521600.0", "2026-11-24T12:00Z", "2026-11-24T14:00+02:00"])
def test_unix_seconds_and_offsets_are_the_same_everywhere(text: str) -> None:
    assert read_past("at", text, NOW) == 1795521600


@pytest.mark.parametrize(
    "text", ["", " ", "x", "yesterday", "25:00", "14:5", "Xyz 14:05", "7", "99999999999", "٣h", "2h ago"]
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        read_past("at", text, NOW)
    assert refused.value.field == "at"


@pytest.mark.parametrize("text", ["2026-11-27", "today 16:05"])
def test_what_lies_ahead_is_refused(text: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    with pytest.raises(BadParameter, match="must not lie ahead"):
        read_past("at", text, now)
