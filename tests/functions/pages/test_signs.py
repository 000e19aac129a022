"""What is seen at a glance on the first page: what is failing, leaking, full, idle, and what operators want."""

import re
import time

import pytest

from state.documents import PoolMode, ResourceState


def words(fragment: str) -> str:
    """The text of a piece of a page."""
    return " ".join(re.sub("<[^>]*>", " ", fragment).split())


def urgent(page: str) -> list[str]:
    """The entries below "Needs attention"."""
    (found,) = re.findall(r'<div id="urgent"[^>]*>(.*?)</div>', page, re.DOTALL)
    return [words(entry) for entry in re.split("<li[^>]*>", found)[1:]]


def signs(page: str) -> str:
    """The state of the only pool in its row of the table."""
    (found,) = re.findall(r'<table class="farm">.*?<tbody>.*?<td>(.*?)</td>', page, re.DOTALL)
    return words(found)


@pytest.fixture
def now() -> float:
    return time.time()


FULL = {"options": {"max": 1, "tags": {"A": 0}}}


def test_nothing_needs_attention(browser, client, scheduler):
    scheduler.record()
    page = browser.page("/")
    assert (urgent(page), signs(page)) == ([], "idle")
    assert "Nothing: no pool fails" in page


def test_a_pool_whose_starts_fail_says_why_and_when_it_tries_again(browser, scheduler, now):
    scheduler.record(start_failures=2, paused_until=now + 90, pause_reason="cmd_new exited 1: no quota")
    page = browser.page("/")
    (entry,) = urgent(page)
    assert re.fullmatch(r"failing p : Starts fail; the next try is in [0-9]+ s: cmd_new exited 1: no quota", entry)
    assert signs(page) == "failing idle"


def test_a_resource_that_cannot_be_deleted_leaks(browser, scheduler):
    scheduler.record(options={"max": 3})
    scheduler.resource(1, state=ResourceState.DELETE_REQUEST, delete_failures=2)
    page = browser.page("/")
    assert urgent(page) == ["leaking p : 1 resource could not be deleted so far."]
    assert 'href="/resources?pool=p&amp;state=TROUBLE"' in page


def test_a_delete_that_was_given_up_is_told_for_a_day_and_counted_for_ever(browser, scheduler, now):
    """Given a resource that is ENDED though its cmd_delete never worked, then its pool leaks."""
    scheduler.record(abandoned_resources=2, last_abandoned_at=now - 7200)
    page = browser.page("/")
    wanted = "leaking p : The delete of 2 resources was given up, of the last one 2 h ago: still there, perhaps."
    assert urgent(page) == [wanted]
    assert signs(page) == "leaking idle"
    scheduler.record(abandoned_resources=2, last_abandoned_at=now - 90_000)
    assert urgent(browser.page("/")) == []
    assert "Deletes given up" in browser.page("/pools/p")


def test_a_pool_is_full_which_is_urgent_when_tickets_wait(browser, client, scheduler, now):
    scheduler.record(**FULL)
    scheduler.resource(1, tags={"A": 0})
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, assigned_at=now)
    page = browser.page("/")
    assert (urgent(page), signs(page)) == ([], "full")
    client.post("/tickets", data={"tag": "A"})
    assert urgent(browser.page("/")) == ["full p : It is at its max of 1, and 1 ticket waits."]


def test_a_pool_is_full_too_when_what_it_has_is_kept_for_others(browser, client, scheduler, now):
    scheduler.record(**FULL)
    scheduler.resource(1, tags={"A": 0}, sandbox="theirs", released_at=now)
    client.post("/tickets", data={"tag": "A", "sandbox": "mine"})
    assert urgent(browser.page("/")) == ["full p : It is at its max of 1, and 1 ticket waits."]


def test_what_is_taken_for_long_and_what_operators_hold_are_two_things(browser, client, scheduler, now):
    scheduler.record(options={"max": 3, "tags": {"A": 0}})
    scheduler.resource(1, tags={"A": 0})
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, assigned_at=now - 90_000)
    assert signs(browser.page("/")) == "taken long"
    scheduler.resource(2, held_until=now + 60)
    page = browser.page("/")
    assert signs(page) == "taken long held"
    assert "1 resource kept by operators." in browser.page("/pools/p")
    assert '<rect class="held" x="1" width="1"' in page


def test_what_operators_want_says_who_and_why(browser, scheduler, now):
    wish = {"mode_since": now - 60, "mode_by": "anna", "mode_reason": "a new image"}
    scheduler.record(mode=PoolMode.PAUSED, **wish)
    assert urgent(browser.page("/")) == ["paused p : Nothing starts, for 60 s, by anna: a new image"]
    scheduler.resource(1)
    scheduler.record(mode=PoolMode.DRAINING, **wish)
    wanted = "draining p : Nothing is given any more, 1 resource left, for 60 s, by anna: a new image"
    assert urgent(browser.page("/")) == [wanted]


def test_tickets_that_no_pool_can_serve_stand_first(browser, client, scheduler):
    scheduler.record(start_failures=1)
    client.post("/tickets", data={"tag": "nope"})
    assert urgent(browser.page("/"))[0] == "no pool 1 ticket waits, and no pool starts anything for it."


def test_tickets_for_which_no_pool_starts_anything_are_told_too(browser, client, scheduler):
    """Given a pool that starts on demand only, when a ticket has its other tags only, then it waits for no pool."""
    scheduler.record(options={"max": 1, "tags": {"plain": 0}, "tags_on_demand": {"demand": 0}})
    for tags in ("plain", "demand"):
        client.post("/tickets", data={"tag": tags})
    assert urgent(browser.page("/"))[0] == "no pool 1 ticket waits, and no pool starts anything for it."
    listed = browser.page("/tickets?state=WAITING&pool=p")
    assert [number for number in (1, 2) if f'href="/tickets/{number}"' in listed] == [2]
