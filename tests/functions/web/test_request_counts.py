"""What gunicorn's master and its workers do with the counts, here in one process."""

import os

import pytest

from functions.web.request_counts import RequestCounts, Slots, count_replies


def counts(counted: RequestCounts) -> dict[tuple[str, str], int]:
    return {(route, status): count for route, status, count in counted.read()}


def test_the_counts_of_all_workers_are_added_up():
    slots = Slots(3)
    one, two = RequestCounts(["a", "b"], slots, slots.take()), RequestCounts(["a", "b"], slots, slots.take())
    one.add("a", 200)
    two.add("a", 204)
    two.add("b", 503)
    assert counts(one) == counts(two) == {("a", "2xx"): 2, ("b", "5xx"): 1}


def test_a_child_process_counts_where_its_parent_reads():
    slots = Slots(2)
    mine = RequestCounts(["a"], slots, slots.take())
    slot = slots.take()
    child = os.fork()
    if child == 0:
        RequestCounts(["a"], slots, slot).add("a", 200)
        os._exit(0)
    os.waitpid(child, 0)
    assert counts(mine) == {("a", "2xx"): 1}


def test_a_new_worker_continues_the_counts_of_the_one_before():
    slots = Slots(1)
    slot = slots.take()
    RequestCounts(["a"], slots, slot).add("a", 200)
    slots.free(slot)
    follower = RequestCounts(["a"], slots, slots.take())
    follower.add("a", 200)
    assert counts(follower) == {("a", "2xx"): 2}


def test_counts_of_workers_of_another_version_are_not_added():
    slots = Slots(2)
    old = RequestCounts(["a", "b"], slots, slots.take())
    old.add("a", 200)
    new = RequestCounts(["x", "a", "b"], slots, slots.take())
    new.add("x", 200)
    assert (counts(old), counts(new)) == ({("a", "2xx"): 1}, {("x", "2xx"): 1})


def test_a_new_worker_of_another_version_begins_at_zero():
    slots = Slots(1)
    slot = slots.take()
    RequestCounts(["a"], slots, slot).add("a", 200)
    assert counts(RequestCounts(["b"], slots, slot)) == {}


def test_there_is_no_slot_when_all_are_taken():
    slots = Slots(1)
    assert (slots.take(), slots.take()) == (0, None)
    slots.free(None)
    assert slots.take() is None


def test_too_many_routes_for_a_slot_are_an_error():
    with pytest.raises(ValueError, match="too many routes"):
        RequestCounts([str(number) for number in range(500)], Slots(1), 0)


def test_a_reply_without_a_route_is_counted_under_the_default():
    counted = RequestCounts(["a", "none"], Slots(1), 0)

    def app(environ, start_response):
        start_response("404 NOT FOUND", [])
        return []

    counting = count_replies(app, counted, "none")
    counting({"resalloc.route": "a"}, lambda *_: None)
    counting({}, lambda *_: None)
    assert counts(counted) == {("a", "4xx"): 1, ("none", "4xx"): 1}
