"""Times and spans as people write them in requests."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from functions.web.errors import BadField, BadParameter
from functions.web.times import read_future, read_past, read_span

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
def test_a_past_time_is_the_last_one_that_matches(text: str, local: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    assert read_past("at", text, now) == datetime.fromisoformat(local).timestamp()


@pytest.mark.parametrize("text", ["1795521600", "1795521600.0", "2026-11-24T12:00Z", "2026-11-24T14:00+02:00"])
def test_unix_seconds_and_offsets_mean_the_same_in_every_zone(text: str) -> None:
    assert read_past("at", text, NOW) == 1795521600
    assert read_future("by", text, 1795521000, 86400) == 1795521600


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2026-11-27T14:05", "2026-11-27T14:05"),
        ("2026-11-27 14:05:30", "2026-11-27T14:05:30"),
        ("2026-11-28", "2026-11-28T00:00"),
        ("23:59", "2026-11-26T23:59"),
        ("14:05", "2026-11-27T14:05"),
        ("today at 16:05", "2026-11-26T16:05"),
        ("tomorrow 14:05", "2026-11-27T14:05"),
        ("Tuesday 14:05", "2026-12-01T14:05"),
        ("Thu 15:31", "2026-11-26T15:31"),
        ("Thu 15:29", "2026-12-03T15:29"),
        ("2h", "2026-11-26T17:30"),
        ("+2h", "2026-11-26T17:30"),
        ("+1d12h", "2026-11-28T03:30"),
        ("7200", "2026-11-26T17:30"),
    ],
)
def test_a_future_time_is_the_next_one_that_matches(text: str, local: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    assert read_future("by", text, now, 30 * 86400) == datetime.fromisoformat(local).timestamp()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a time"),
        ("x", "must be a time"),
        ("25:00", "must be a time"),
        ("2026-11-26", "must be in the future"),
        ("today 14:05", "must be in the future"),
        ("yesterday 14:05", "must be in the future"),
        ("0s", "must be in the future"),
        ("31d", "must be at most 30d ahead"),
        ("2999-01-01", "must be at most 30d ahead"),
        ("9" * 40, "must be a time"),
    ],
)
def test_other_future_times_are_refused(text: str, message: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    with pytest.raises(BadField, match=message) as refused:
        read_future("by", text, now, 30 * 86400)
    assert refused.value.field == "by"


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("+1d12h", 129600), ("90", 90), (" 30m ", 1800)])
def test_a_span_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert read_span("for", text, 30 * 86400) == seconds


@pytest.mark.parametrize("text", ["", "h", "-2h", "0", "31d", "1.5h", "2h ago"])
def test_other_spans_are_refused(text: str) -> None:
    with pytest.raises(BadField):
        read_span("for", text, 30 * 86400)


@pytest.mark.parametrize(
    "text", ["", " ", "x", "yesterday", "25:00", "14:5", "Xyz 14:05", "7", "99999999999", "٣h", "2h ago"]
)
def test_other_past_times_are_refused(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        read_past("at", text, NOW)
    assert refused.value.field == "at"


@pytest.mark.parametrize("text", ["2026-11-27", "today 16:05", "tomorrow 14:05"])
def test_a_future_time_is_not_a_past_one(text: str) -> None:
    now = datetime(2026, 11, 26, 15, 30).timestamp()
    with pytest.raises(BadParameter, match="must not be in the future"):
        read_past("at", text, now)
