"""Verbs on pages: a page asks for confirmation, its form does the verb, and the page reports it."""

import html
import re
import time

import pytest

from state.documents import IntentKind, PoolMode, ResourceState, TicketState


@pytest.fixture
def farm(client, scheduler):
    """The pool `p q` with the free resource 1 and 2, which ticket 1 has; ticket 2 waits."""
    scheduler.record("p q", options={"max": 4, "tags": {"A": 0}})
    for number in (1, 2):
        scheduler.resource(number, tags={"A": 0}, pool="p q")
    for _ in range(2):
        client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, resource=2)


def offered(page: str) -> list[str]:
    """The verbs that a page offers."""
    return re.findall(r'href="\?ask=(\w+)"', page)


def form(page: str) -> tuple[str, list[str]]:
    """The action of the form that asks for confirmation, and its fields."""
    (found,) = re.findall(r'<form class="ask" method="post" action="([^"]*)".*?</form>', page, re.DOTALL)
    return html.unescape(found), re.findall(r'<input type="text" name="(\w+)"', page)


@pytest.mark.parametrize(
    ("page", "verb", "action", "fields"),
    [
        ("/pools/p%20q", "pause", "/pools/p%20q/pause", ["reason"]),
        ("/pools/p%20q", "drain", "/pools/p%20q/drain", ["reason"]),
        ("/pools/p%20q", "deadline", "/pools/p%20q/drain", ["by", "reason"]),
        ("/pools/p%20q", "unused", "/pools/p%20q/delete-unused", ["reason"]),
        ("/resources/1", "delete", "/resources/1/delete", ["reason"]),
        ("/resources/1", "hold", "/resources/1/hold", ["for", "reason"]),
        ("/tickets/1", "close", "/tickets/1/close", []),
        ("/tickets/1", "bad", "/tickets/1/close", ["bad"]),
    ],
)
def test_a_page_asks_for_confirmation_before_a_verb_is_done(browser, store, farm, page, verb, action, fields):
    assert verb in offered(browser.page(page))
    assert form(browser.page(f"{page}?ask={verb}")) == (action, fields)
    assert list(store.intents.living()) == []


@pytest.mark.parametrize(
    ("action", "fields", "place", "kind"),
    [
        ("/pools/p%20q/pause", {"reason": "a test"}, "/pools/p%20q?done=pause", IntentKind.PAUSE_POOL),
        ("/pools/p%20q/drain", {"reason": ""}, "/pools/p%20q?done=drain", IntentKind.DRAIN_POOL),
        ("/pools/p%20q/drain", {"reason": "", "by": "+2h"}, "/pools/p%20q?done=drain", IntentKind.DRAIN_POOL),
        ("/pools/p%20q/resume", {"reason": ""}, "/pools/p%20q?done=resume", IntentKind.RESUME_POOL),
        ("/pools/p%20q/retry", {}, "/pools/p%20q?done=retry", IntentKind.RETRY_POOL),
        ("/resources/2/hold", {"reason": "a test", "for": "2h"}, "/resources/2?done=hold", IntentKind.HOLD_RESOURCE),
        ("/resources/2/release", {"reason": ""}, "/resources/2?done=release", IntentKind.RELEASE_RESOURCE),
        ("/resources/2/delete", {"reason": "a test"}, "/resources/2?done=delete", IntentKind.DELETE_RESOURCE),
        ("/pools/p%20q/delete-unused", {"reason": ""}, "/pools/p%20q?done=unused", IntentKind.DELETE_RESOURCE),
    ],
)
def test_a_sent_form_writes_an_intent_and_the_page_reports_it(browser, store, farm, action, fields, place, kind):
    reply = browser.post(action, data=fields)
    assert (reply.status_code, reply.headers["Location"]) == (303, place)
    (number,) = store.intents.living()
    intent = store.intents.read(number)
    assert (intent.kind, intent.by) == (kind, "127.0.0.1")
    if "a test" in fields.values():
        assert intent.reason in ("a test", "deleted by an operator (127.0.0.1): a test")
    assert "The scheduler does this within a moment." in browser.page(place)


def test_a_ticket_is_closed_and_its_resource_reported_as_bad(browser, store, farm):
    assert browser.post("/tickets/2/close").headers["Location"] == "/tickets/2?done=close"
    assert store.tickets.read(2).state is TicketState.CLOSED
    browser.post("/tickets/1/close", data={"bad": "its disk is full"})
    assert store.tickets.read(1).bad == "its disk is full"
    assert "its disk is full" in browser.page("/tickets/1?done=close")


def test_curl_gets_text_from_the_same_routes(client, farm):
    reply = client.post("/resources/1/delete", data={"reason": "x"})
    assert (reply.status_code, reply.text) == (202, "deleted 1 p_00000001\n")
    assert client.post("/tickets/2/close").text == "closed\n"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_forms_from_other_sites_are_refused(browser, store, farm, headers):
    for action in ("/pools/p%20q/drain", "/resources/1/delete", "/tickets/1/close"):
        reply = browser.post(action, headers=headers)
        assert (reply.status_code, reply.mimetype) == (403, "text/html")
    assert list(store.intents.living()) == []
    assert store.tickets.read(1).state is TicketState.OPEN


@pytest.mark.parametrize(
    ("action", "fields", "status"),
    [
        ("/pools/none/pause", {}, 404),
        ("/resources/99/delete", {}, 404),
        ("/tickets/99/close", {}, 404),
        ("/pools/p%20q/drain", {"by": "<b>yesterday</b>"}, 422),
        ("/pools/p%20q/pause", {"reason": "x" * 300}, 422),
        ("/tickets/1/close", {"bad": ""}, 422),
        ("/resources/1/delete", {"colour": "red"}, 422),
    ],
)
def test_errors_of_a_form_are_shown_on_a_page(browser, store, farm, action, fields, status):
    reply = browser.post(action, data=fields)
    assert (reply.status_code, reply.mimetype) == (status, "text/html")
    assert "<b>" not in reply.text
    assert list(store.intents.living()) == []


def test_only_possible_verbs_are_offered(browser, scheduler, farm):
    options = {"options": {"max": 4}, "mode_since": time.time() - 60}
    scheduler.record("p q", **options, mode=PoolMode.PAUSED, mode_by="anna", mode_reason="its disk is full")
    page = browser.page("/pools/p%20q?ask=pause")
    assert offered(page) == ["resume", "drain", "deadline", "unused"]
    assert "by anna: its disk is full" in page
    assert "Pausing this pool is no longer possible." in page
    assert '<form class="ask"' not in page
    scheduler.record("p q", **options, mode=PoolMode.DRAINING, start_failures=1, paused_until=time.time() + 60)
    assert offered(browser.page("/pools/p%20q")) == ["retry", "resume", "unused"]
    assert offered(browser.page("/resources/1")) == ["hold", "delete"]
    scheduler.resource(1, held_until=time.time() + 60, held_by="bert", held_reason="to be <b>looked</b> at")
    page = browser.page("/resources/1")
    assert offered(page) == ["release"]
    assert "by bert: to be &lt;b&gt;looked&lt;/b&gt; at" in page
    scheduler.resource(1, state=ResourceState.DELETING)
    assert offered(browser.page("/resources/1")) == []
    scheduler.fail(1)
    assert offered(browser.page("/tickets/1")) == ["close"]
    browser.post("/tickets/1/close")
    assert offered(browser.page("/tickets/1")) == []


def test_a_page_that_asks_for_confirmation_does_not_refresh_itself(browser, farm):
    """Without scripts, a refresh would discard what the user typed into the form."""
    assert "http-equiv" in browser.page("/pools/p%20q")
    assert "http-equiv" not in browser.page("/pools/p%20q?ask=pause")


@pytest.mark.parametrize("query", ["ask=explode", "done=explode", "ask=", "done=<b>"])
@pytest.mark.parametrize("page", ["/pools/p%20q", "/resources/1", "/tickets/1"])
def test_unknown_verbs_are_refused(browser, farm, page, query):
    assert browser.get(f"{page}?{query}").status_code == 400
