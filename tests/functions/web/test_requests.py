"""Queries, forms and JSON as structs."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from flask import Flask
from msgspec import Meta

from functions.web.errors import BadField, BadParameter
from functions.web.requests import Fields, parse_body, parse_query


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


class Sample(Fields):
    names: Annotated[tuple[str, ...], Meta(extra={"form": "name"})] = ()
    seconds: Annotated[float, Meta(ge=0, le=60)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    colour: Colour | None = None
    urgent: bool = False
    text: str | None = None
    for_: str | None = msgspec.field(name="for", default=None)


class Needed(Fields):
    text: str


def query(text: str, form: type[Fields] = Sample, **options: bool) -> Any:
    with Flask("test").test_request_context(f"/?{text}"):
        return parse_query(form, **options)


def body(form: type[Fields] = Sample, **sent: Any) -> Any:
    with Flask("test").test_request_context("/", method="POST", **sent):
        return parse_body(form)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Sample()),
        ("name=a&name=b", Sample(names=("a", "b"))),
        ("seconds=1e1&limit=007", Sample(seconds=10.0, limit=7)),
        ("colour=red", Sample(colour=Colour.RED)),
        ("urgent=yes", Sample(urgent=True)),
        ("urgent=", Sample()),
        ("text=", Sample(text="")),
        ("for=2h", Sample(for_="2h")),
    ],
)
def test_a_query_and_a_form_give_the_same(text: str, expected: Sample) -> None:
    assert query(text) == expected
    assert body(data=text, content_type="application/x-www-form-urlencoded") == expected


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        ("seconds=61", "seconds", "must be a number of seconds from 0 to 60, not '61'"),
        ("seconds=nan", "seconds", "must be a number of seconds from 0 to 60, not 'nan'"),
        ("seconds=1_0", "seconds", "must be a number of seconds from 0 to 60, not '1_0'"),
        ("limit=0", "limit", "must be a whole number from 1 to 1000, not '0'"),
        ("limit=%EF%BC%91", "limit", "must be a whole number from 1 to 1000, not '１'"),
        ("limit=" + "9" * 400, "limit", f"must be a whole number from 1 to 1000, not '{'9' * 60}...'"),
        ("colour=green", "colour", "must be one of RED, BLUE, not 'green'"),
        ("urgent=maybe", "urgent", "must be 1 or 0, not 'maybe'"),
        ("text=a&text=b", "text", "may be given only once"),
        ("colur=red", "colur", "is not known here (did you mean 'colour'?)"),
        ("names=a", "names", "is not known here (did you mean 'name'?)"),
        ("xyz=1", "xyz", "is not known here"),
    ],
)
def test_a_wrong_text_is_named_with_what_it_must_be(text: str, field: str, why: str) -> None:
    with pytest.raises(BadParameter) as in_query:
        query(text)
    with pytest.raises(BadField) as in_form:
        body(data=text, content_type="application/x-www-form-urlencoded")
    assert (in_query.value.field, in_query.value.why) == (in_form.value.field, in_form.value.why) == (field, why)


def test_an_unknown_name_cannot_break_the_sentence() -> None:
    with pytest.raises(BadParameter) as refused:
        query("a%0Ab=1")
    assert str(refused.value) == r"The 'a\nb' is not known here."


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, Sample()),
        ({"names": ["a"], "limit": 1, "urgent": True}, Sample(names=("a",), limit=1, urgent=True)),
        ({"seconds": 2}, Sample(seconds=2.0)),
        ({"names": None, "text": None, "colour": "BLUE"}, Sample(colour=Colour.BLUE)),
    ],
)
def test_json_gives_its_own_types(sent: dict[str, Any], expected: Sample) -> None:
    assert body(json=sent) == expected


@pytest.mark.parametrize(
    ("sent", "field", "why"),
    [
        ({"names": "a"}, "names", "must be a list of strings"),
        ({"names": ["a", 1]}, "names", "must be a list of strings"),
        ({"text": 1}, "text", "must be a string"),
        ({"urgent": None}, "urgent", "must be true or false"),
        ({"urgent": "1"}, "urgent", "must be true or false"),
        ({"limit": "1"}, "limit", "must be a whole number from 1 to 1000"),
        ({"for": 1}, "for", "must be a string"),
        ({"name": ["a"]}, "name", "is not known here (did you mean 'names'?)"),
    ],
)
def test_json_of_a_wrong_type_is_named_with_what_it_must_be(sent: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(BadField) as refused:
        body(json=sent)
    assert (refused.value.field, refused.value.why) == (field, why)


def test_what_is_required_must_be_given() -> None:
    for sent in ({"json": {}}, {"json": {"text": None}}, {"data": ""}):
        with pytest.raises(BadField) as refused:
            body(Needed, **sent)
        assert (refused.value.field, refused.value.why) == ("text", "must be given")


def test_a_blank_value_of_a_page_form_can_count_as_absent() -> None:
    assert query("text=&limit=5", blank_is_absent=True) == Sample(limit=5)
