"""Errors for clients: status, code and sentence."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.exceptions import BadGateway, Gone

from functions.web import errors
from functions.web.errors import ReplyError, reply_error_of
from state.documents import Resource, ResourceState
from state.errors import NewerDocument, NotFound


def classes(base: type[ReplyError] = ReplyError) -> Iterator[type[ReplyError]]:
    for found in base.__subclasses__():
        yield found
        yield from classes(found)


@pytest.mark.parametrize("kind", [*classes()], ids=lambda kind: kind.__name__)
def test_each_error_has_a_status_and_a_code_of_one_word(kind: type[ReplyError]) -> None:
    instance_sets_it = {"status": {errors.BadRequest}, "code": {errors.Unknown}}
    if kind not in instance_sets_it["status"]:
        assert 400 <= kind.status <= 599
    if kind not in instance_sets_it["code"]:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", kind.code)


@pytest.mark.parametrize("kind", ["ticket", "resource", "pool", "asset"])
def test_an_unknown_document_is_named(kind: str) -> None:
    refusal = reply_error_of(NotFound(kind, "x y"))
    assert (refusal.status, refusal.code, refusal.field) == (404, f"unknown_{kind}", "id")
    assert refusal.sentence == f"There is no {kind} 'x y'."


@pytest.mark.parametrize(("kind", "name"), [("ticket", "Ticket"), ("resource", "Resource"), ("poolrecord", "Pool")])
def test_document_of_a_newer_version_is_named(kind: str, name: str) -> None:
    refusal = reply_error_of(NewerDocument(f"somewhere/{kind}", kind, 42, "Invalid enum value 'LATER'", b""))
    assert (refusal.status, refusal.code, refusal.headers) == (503, "store_unreadable", {"Retry-After": "1"})
    assert refusal.sentence == f"{name} 42 was written by a newer version of this program."


def test_an_ended_resource_is_unknown_to_verbs() -> None:
    refusal = errors.ResourceEnded(Resource(id=7, name="p_7", pool="p", state=ResourceState.ENDED))
    assert (refusal.status, refusal.code, refusal.sentence) == (404, "unknown_resource", "Resource 7 has ended.")


def test_other_errors_of_the_framework_keep_their_status_unless_it_is_a_server_error() -> None:
    with Flask("test").test_request_context("/"):
        assert [(found.status, found.code) for found in map(reply_error_of, (Gone(), BadGateway(), ValueError()))] == [
            (410, "bad_request"),
            (500, "internal_error"),
            (500, "internal_error"),
        ]
