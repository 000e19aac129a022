"""Conditions of pools on the overview: failing, leaking, full, idle, and what operators set."""

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


def conditions(page: str) -> str:
    """The conditions of the only pool in its row of the table."""
    (found,) = re.findall(r'<table class="overview">.*?<tbody>.*?<td>(.*?)</td>', page, re.DOTALL)
    return words(found)


@pytest.fixture
def now() -> float:
    return time.time()


FULL = {"options": {"max": 1, "tags": {"A": 0}}}


def test_nothing_needs_attention(browser, client, scheduler):
    scheduler.record()
    page = browser.page("/")
    assert (urgent(page), conditions(page)) == ([], "idle")
    assert "Nothing: no pool is failing" in page


def test_a_pool_with_failing_starts_shows_the_reason_and_the_next_attempt(browser, scheduler, now):
    scheduler.record(start_failures=2, paused_until=now + 90, pause_reason="cmd_new exited 1: no quota")
    page = browser.page("/")
    (entry,) = urgent(page)
    assert re.fullmatch(r"failing p : Starts fail; next attempt in [0-9]+ s: cmd_new exited 1: no quota", entry)
    assert conditions(page) == "failing idle"


def test_a_pool_with_a_failing_delete_is_leaking(browser, scheduler):
    scheduler.record(options={"max": 3})
    scheduler.resource(1, state=ResourceState.DELETE_REQUEST, delete_failures=2)
    page = browser.page("/")
    assert urgent(page) == ["leaking p : 1 resource could not be deleted so far; more attempts follow."]
    assert 'href="/resources?pool=p&amp;state=TROUBLE"' in page


def test_abandoned_resources_are_shown_for_a_day_and_counted_without_limit(browser, scheduler, now):
    """Given resources that are ENDED although their cmd_delete never succeeded, then their pool is leaking."""
    scheduler.record(abandoned_resources=2, last_abandoned_at=now - 7200)
    page = browser.page("/")
    wanted = "leaking p : 2 resources could not be deleted (last attempt 2 h ago). They may still exist."
    assert urgent(page) == [wanted]
    assert conditions(page) == "leaking idle"
    scheduler.record(abandoned_resources=2, last_abandoned_at=now - 90_000)
    assert urgent(browser.page("/")) == []
    assert "Abandoned resources" in browser.page("/pools/p")


def test_a_full_pool_is_urgent_when_tickets_wait(browser, client, scheduler, now):
    scheduler.record(**FULL)
    scheduler.resource(1, tags={"A": 0})
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, assigned_at=now)
    page = browser.page("/")
    assert (urgent(page), conditions(page)) == ([], "full")
    client.post("/tickets", data={"tag": "A"})
    assert urgent(browser.page("/")) == ["full p : It is at its max of 1, and 1 ticket waits."]


def test_a_pool_is_full_when_its_free_resources_are_reserved_for_other_sandboxes(browser, client, scheduler, now):
    scheduler.record(**FULL)
    scheduler.resource(1, tags={"A": 0}, sandbox="theirs", released_at=now)
    client.post("/tickets", data={"tag": "A", "sandbox": "mine"})
    assert urgent(browser.page("/")) == ["full p : It is at its max of 1, and 1 ticket waits."]


def test_resources_taken_for_long_and_held_resources_are_different_conditions(browser, client, scheduler, now):
    scheduler.record(options={"max": 3, "tags": {"A": 0}})
    scheduler.resource(1, tags={"A": 0})
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, assigned_at=now - 90_000)
    assert conditions(browser.page("/")) == "taken long"
    scheduler.resource(2, held_until=now + 60)
    page = browser.page("/")
    assert conditions(page) == "taken long held"
    assert "1 resource held by operators." in browser.page("/pools/p")
    assert '<rect class="held" x="1" width="1"' in page


def test_a_paused_and_a_draining_pool_show_the_operator_and_the_reason(browser, scheduler, now):
    mode = {"mode_since": now - 60, "mode_by": "anna", "mode_reason": "a new image"}
    scheduler.record(mode=PoolMode.PAUSED, **mode)
    assert urgent(browser.page("/")) == ["paused p : Paused for 60 s, by anna: a new image"]
    scheduler.resource(1)
    scheduler.record(mode=PoolMode.DRAINING, **mode)
    wanted = "draining p : Draining, 1 resource left, for 60 s, by anna: a new image"
    assert urgent(browser.page("/")) == [wanted]


def test_tickets_that_no_pool_can_serve_come_first(browser, client, scheduler):
    scheduler.record(start_failures=1)
    client.post("/tickets", data={"tag": "nope"})
    assert urgent(browser.page("/"))[0] == "no pool 1 ticket waits, but no pool can serve it."


def test_tickets_without_an_on_demand_tag_are_not_served_by_on_demand_pools(browser, client, scheduler):
    """Given an on-demand pool, when a ticket has only its other tags, then the pool cannot serve it."""
    scheduler.record(options={"max": 1, "tags": {"plain": 0}, "tags_on_demand": {"demand": 0}})
    for tags in ("plain", "demand"):
        client.post("/tickets", data={"tag": tags})
    assert urgent(browser.page("/"))[0] == "no pool 1 ticket waits, but no pool can serve it."
    listed = browser.page("/tickets?state=WAITING&pool=p")
    assert [number for number in (1, 2) if f'href="/tickets/{number}"' in listed] == [2]
