"""Times, spans and lists as people read them."""

import pytest

from functions.text import first_few, listed, ordinal, plural, rough_span, span, units, utc


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (21, "21st"), (111, "111th")],
)
def test_ordinals(number: int, text: str) -> None:
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("seconds", "rough", "short", "in_units"),
    [
        (0, "0 s", "0 s", "0s"),
        (7.4, "7 s", "7.4 s", "7s"),
        (42, "40 s", "42 s", "42s"),
        (89, "90 s", "89 s", "1m 29s"),
        (240, "4 min", "4 min", "4m"),
        (5000, "83 min", "83 min", "1h 23m"),
        (9000, "2.5 h", "2 h", "2h 30m"),
        (400_000, "4.6 days", "5 d", "4d 15h"),
        (-1, "0 s", "0 s", "0s"),
    ],
)
def test_spans(seconds: float, rough: str, short: str, in_units: str) -> None:
    assert (rough_span(seconds), span(seconds), units(max(0, seconds))) == (rough, short, in_units)


def test_lists_and_counts() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [first_few("ab", 2), first_few("abcd", 2)] == ["a, b", "a, b and 2 more"]
    assert [plural(0, "pool"), plural(1, "pool")] == ["0 pools", "1 pool"]


def test_a_time_in_a_sentence_is_in_utc() -> None:
    assert utc(40.0) == "1970-01-01 00:00:40 UTC"
