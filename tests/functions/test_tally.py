"""What gunicorn's master and its workers do with the tally, here in one process."""

import os

import pytest

from functions.web.request_counts import Places, Tally, counting


def counts(tally: Tally) -> dict[tuple[str, str], int]:
    return {(route, status): count for route, status, count in tally.read()}


def test_the_counts_of_all_workers_are_added_up():
    places = Places(3)
    one, two = Tally(["a", "b"], places, places.take()), Tally(["a", "b"], places, places.take())
    one.add("a", 200)
    two.add("a", 204)
    two.add("b", 503)
    assert counts(one) == counts(two) == {("a", "2xx"): 2, ("b", "5xx"): 1}


def test_a_child_process_counts_where_its_parent_reads():
    places = Places(2)
    mine = Tally(["a"], places, places.take())
    place = places.take()
    child = os.fork()
    if child == 0:
        Tally(["a"], places, place).add("a", 200)
        os._exit(0)
    os.waitpid(child, 0)
    assert counts(mine) == {("a", "2xx"): 1}


def test_the_worker_that_follows_goes_on_with_the_counts():
    places = Places(1)
    place = places.take()
    Tally(["a"], places, place).add("a", 200)
    places.give_back(place)
    follower = Tally(["a"], places, places.take())
    follower.add("a", 200)
    assert counts(follower) == {("a", "2xx"): 2}


def test_what_a_worker_of_another_version_counted_is_not_mixed_in():
    places = Places(2)
    old = Tally(["a", "b"], places, places.take())
    old.add("a", 200)
    new = Tally(["x", "a", "b"], places, places.take())
    new.add("x", 200)
    assert (counts(old), counts(new)) == ({("a", "2xx"): 1}, {("x", "2xx"): 1})


def test_a_follower_of_another_version_begins_at_zero():
    places = Places(1)
    place = places.take()
    Tally(["a"], places, place).add("a", 200)
    assert counts(Tally(["b"], places, place)) == {}


def test_when_all_places_are_taken_there_is_none():
    places = Places(1)
    assert (places.take(), places.take()) == (0, None)
    places.give_back(None)
    assert places.take() is None


def test_a_place_that_is_too_small_is_an_error_and_not_a_wrong_count():
    with pytest.raises(ValueError, match="too many routes"):
        Tally([str(number) for number in range(500)], Places(1), 0)


def test_a_reply_is_counted_by_its_route_or_else_by_the_default():
    tally = Tally(["a", "none"], Places(1), 0)

    def app(environ, start_response):
        start_response("404 NOT FOUND", [])
        return []

    counted = counting(app, tally, "none")
    counted({"resalloc.route": "a"}, lambda *_: None)
    counted({}, lambda *_: None)
    assert counts(tally) == {("a", "4xx"): 1, ("none", "4xx"): 1}
