"""Pages that are updated while a user reads, types or is about to click: focus, text and scroll position stay."""

import re

from playwright.sync_api import Page, expect

from tests.waiting import until

expect.set_options(timeout=20_000)


def await_updates(page: Page, count: int = 1) -> None:
    """Wait until the page has been updated this many times."""
    for _ in range(count):
        before = page.locator("#footer time").text_content()
        expect(page.locator("#footer time")).not_to_have_text(before or "")


def focused(page: Page) -> str:
    """The address of the focused link."""
    return str(page.evaluate("document.activeElement.getAttribute('href')"))


def test_the_focus_stays_on_its_row_when_rows_above_are_removed(window, farm):
    first, second = farm.take("gpu"), farm.take("gpu")
    page = window.open("/tickets")
    page.get_by_role("link", name=str(second), exact=True).focus()
    farm.close(first)
    expect(page.get_by_role("link", name=str(first), exact=True)).to_have_count(0)
    assert focused(page) == f"/tickets/{second}"
    farm.close(second)
    window.check()


def test_the_focus_stays_on_its_row_when_rows_above_are_added(window, farm):
    first = farm.take("gpu")
    page = window.open("/events")
    row = page.get_by_role("row", name=f"ticket {first} taken")
    expect(row).to_have_count(1)
    row.get_by_role("link").first.focus()
    page.evaluate("document.activeElement.closest('tr').mine = true")
    second = farm.take("gpu")
    expect(page.get_by_role("row", name=f"ticket {second} taken")).to_have_count(1)
    assert focused(page) == f"/tickets/{first}"
    assert page.evaluate("document.activeElement.closest('tr').mine")
    order = [int(number) for number in re.findall(r"ticket (\d+)", page.locator(".events").inner_text())]
    assert order.index(second) < order.index(first)
    for ticket in (first, second):
        farm.close(ticket)
    window.check()


def test_an_update_keeps_the_scroll_position(windows, farm):
    window = windows(viewport={"width": 600, "height": 300})
    page = window.open("/")
    page.evaluate("window.scrollTo(0, 200)")
    await_updates(page, 2)
    assert page.evaluate("window.scrollY") == 200
    window.check()


def test_an_update_changes_the_sentence_of_a_form_and_keeps_what_is_typed(window, farm):
    """Given a form that is being filled in, when its pool changes, then only its sentence is updated."""
    until(lambda: farm.get("/pools/vms")["ready"] == 1, what="a free one")
    page = window.open("/pools/vms?ask=drain")
    taken = farm.get("/pools/vms")["taken"]
    form = page.get_by_role("form", name="Drain: vms?")
    expect(form).to_contain_text(f"{taken} taken when")
    expect(form.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("half a rea")
    ticket = farm.take("x86_64")
    expect(form).to_contain_text(f"{taken + 1} taken when")
    page.keyboard.type("son")
    expect(form.get_by_label("Reason")).to_have_value("half a reason")
    expect(form.get_by_label("Reason")).to_be_focused()
    assert farm.get("/pools/vms")["mode"] == "ACTIVE"
    farm.close(ticket)
    window.check()


def test_screen_readers_announce_new_entries_and_not_changed_times(window, farm):
    """Given the list of what needs attention, when only times change, then no entry is added again; a new one is."""
    page = window.open("/")
    urgent = page.locator("#urgent")
    expect(urgent).to_contain_text("failing broken")
    assert (urgent.get_attribute("aria-live"), urgent.get_attribute("aria-relevant")) == ("polite", "additions")
    page.evaluate("""() => {
        window.added = [];
        new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => {
            if (node.nodeType === Node.ELEMENT_NODE) window.added.push(node.textContent);
        }))).observe(document.getElementById("urgent"), { childList: true, subtree: true });
    }""")
    await_updates(page, 2)
    assert page.evaluate("window.added") == []
    farm.curl("-d", "reason=a test", "/pools/vms/pause")
    expect(urgent).to_contain_text("paused vms")
    added = page.evaluate("window.added")
    assert len(added) == 1
    assert "paused" in added[0]
    farm.curl("-X", "POST", "/pools/vms/resume")
    expect(urgent).not_to_contain_text("paused vms")
    window.check()


def test_screen_readers_announce_a_changed_ticket_state(window, farm):
    number = farm.take("gpu")
    page = window.open(f"/tickets/{number}")
    state = page.locator("#facts").get_by_role("status")
    expect(state).to_have_text("WAITING")
    state.evaluate("element => { element.mine = true; }")
    farm.close(number)
    expect(state).to_have_text("CLOSED")
    assert state.evaluate("element => element.mine")
    window.check()


def test_without_scripts_a_form_is_not_refreshed(windows, farm):
    page = windows(java_script_enabled=False).open("/pools/vms?ask=drain")
    expect(page.get_by_role("form", name="Drain: vms?")).to_be_visible()
    assert "http-equiv" not in page.content()


def test_unused_resources_of_a_pool_are_deleted_from_its_page(window, farm):
    until(lambda: farm.get("/pools/vms")["ready"] == 1, what="a free one")
    page = window.open("/pools/vms")
    page.get_by_role("link", name="Delete unused…").click()
    page.get_by_label("Reason").fill("an old image")
    page.get_by_role("button", name="Delete unused").click()
    expect(page.get_by_text("The unused resources will be deleted.")).to_be_visible()
    ended = until(
        lambda: [one for one in farm.ended() if "as unused: an old image" in str(one["reason"])], what="its end"
    )
    assert [one["pool"] for one in ended] == ["vms"]
    assert farm.get("/tickets/1")["state"] == "OPEN"
    window.check()
