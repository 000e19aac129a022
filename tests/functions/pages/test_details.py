"""The pages of one ticket, one resource and one pool."""

import time

import pytest

from state.documents import HookKind, ResourceState, Run


@pytest.fixture
def farm(client, scheduler):
    """The pool p with resource 1, which ticket 1 has; ticket 2 waits."""
    scheduler.record("p", options={"max": 1, "tags": {"A": 0}, "cmd_new": "secret-of-the-site"})
    scheduler.resource(1, tags={"A": 0})
    for _ in range(2):
        client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1)


def test_a_waiting_ticket_shows_its_position_and_the_limits_of_each_pool(browser, scheduler, farm):
    held = {"pool": "p", "sentence": "is at its max of 1, taken <for long>", "max": 1, "living": 1, "taken": 1}
    forecast = {"arrivals": [[time.time() + 240, "high"]], "each": 60}
    group = {"tags": ["A"], "ids": [2], "why": "pool p is at its max of 1", "pools": [held], "forecast": forecast}
    scheduler.show_waiting(group)
    with scheduler.leading():
        page = browser.page("/tickets/2")
    assert "No other ticket is ahead of it." in page
    assert "It should take about 4 min more" in page
    assert "is at its max of 1, taken &lt;for long&gt;" in page
    assert 'href="/pools/p"' in page


def test_a_ticket_that_no_pool_can_serve_shows_this(browser, scheduler, farm):
    scheduler.show_waiting({"tags": ["A"], "ids": [2], "why": "no configured pool has the tag A", "missing": ["A"]})
    with scheduler.leading():
        assert "No configured pool has the tag A." in browser.page("/tickets/2")


def test_a_served_ticket_shows_its_resource_and_output(browser, farm):
    page = browser.page("/tickets/1")
    assert '<a href="/resources/1">p_00000001</a>' in page
    assert "10.0.0.1</pre>" in page
    assert "Why it waits" not in page


def test_finished_tickets_and_resources_have_pages(client, browser, scheduler, farm):
    client.delete("/tickets/1")
    scheduler.settle(1)
    scheduler.ended(1, reason="deleted by an operator", ended_at=time.time() - 60)
    assert "CLOSED" in browser.page("/tickets/1")
    page = browser.page("/resources/p_00000001")
    assert "ENDED" in page
    assert "deleted by an operator" in page


def test_a_resource_shows_its_ticket_its_hook_and_its_failures(browser, scheduler, farm):
    assert 'taken by ticket <a href="/tickets/1">1</a>' in browser.page("/resources/1")
    now = time.time()
    run = Run(id="2_terminate_1", kind=HookKind.TERMINATE, started_at=now - 90)
    scheduler.resource(2, state=ResourceState.DELETING, run=run, delete_failures=3, delete_retry_at=now + 500)
    page = browser.page("/resources/2")
    assert "terminate for 90 s" in page
    assert "delete failed 3×" in page
    assert "in 8 min" in page


def test_logs_are_shown_from_their_end_and_followed_from_there(browser, settings, farm):
    hooks = settings.log_dir / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "000001_alloc").write_bytes(b"first\n" + b"x" * 20_000 + b"\nlast <b>\xff\n")
    page = browser.page("/resources/1")
    assert "last &lt;b&gt;�" in page
    assert "first\n" not in page
    assert 'data-log="/resources/1/logs/alloc" data-next="20017"' in page
    assert len(page) < 25_000


def test_a_pool_shows_its_limits_but_not_its_commands(browser, farm):
    page = browser.page("/pools/p")
    assert "max_prealloc" in page
    assert "secret-of-the-site" not in page
    assert 'href="/tickets?state=WAITING&amp;pool=p">1</a>' in page
