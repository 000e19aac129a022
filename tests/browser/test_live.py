"""Pages that change while somebody reads them, types or is about to click: nothing is taken out of the hand."""

import re

from playwright.sync_api import Page, expect

from tests.waiting import until

expect.set_options(timeout=20_000)


def await_updates(page: Page, count: int = 1) -> None:
    """Until the page has been brought up to date so many times."""
    for _ in range(count):
        before = page.locator("#footer time").text_content()
        expect(page.locator("#footer time")).not_to_have_text(before or "")


def focused(page: Page) -> str:
    """Where the link that has the focus leads to."""
    return str(page.evaluate("document.activeElement.getAttribute('href')"))


def test_the_focus_stays_with_its_row_when_rows_above_go(window, farm):
    first, second = farm.take("gpu"), farm.take("gpu")
    page = window.open("/tickets")
    page.get_by_role("link", name=str(second), exact=True).focus()
    farm.close(first)
    expect(page.get_by_role("link", name=str(first), exact=True)).to_have_count(0)
    assert focused(page) == f"/tickets/{second}"
    farm.close(second)
    window.check()


def test_the_focus_stays_with_its_row_when_rows_above_come(window, farm):
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


def test_an_update_leaves_the_scrolled_place_alone(windows, farm):
    window = windows(viewport={"width": 600, "height": 300})
    page = window.open("/")
    page.evaluate("window.scrollTo(0, 200)")
    await_updates(page, 2)
    assert page.evaluate("window.scrollY") == 200
    window.check()


def test_a_question_stays_with_what_is_typed_and_says_what_is_true_by_now(window, farm):
    """Given a question that is being answered, when the farm changes, then its words change, and nothing else does."""
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


def test_screen_readers_are_told_what_is_new_and_not_what_only_grows_older(window, farm):
    """Given a list of what needs attention, when times in it go on, then no entry comes anew; a new one does."""
    page = window.open("/")
    urgent = page.locator("#urgent")
    expect(urgent).to_contain_text("failing broken")
    assert (urgent.get_attribute("aria-live"), urgent.get_attribute("aria-relevant")) == ("polite", "additions")
    page.evaluate("""() => {
        window.come = [];
        new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => {
            if (node.nodeType === Node.ELEMENT_NODE) window.come.push(node.textContent);
        }))).observe(document.getElementById("urgent"), { childList: true, subtree: true });
    }""")
    await_updates(page, 2)
    assert page.evaluate("window.come") == []
    farm.curl("-d", "reason=a test", "/pools/vms/pause")
    expect(urgent).to_contain_text("paused vms")
    told = page.evaluate("window.come")
    assert len(told) == 1
    assert "paused" in told[0]
    farm.curl("-X", "POST", "/pools/vms/resume")
    expect(urgent).not_to_contain_text("paused vms")
    window.check()


def test_the_state_of_a_ticket_is_told_when_it_changes(window, farm):
    number = farm.take("gpu")
    page = window.open(f"/tickets/{number}")
    state = page.locator("#facts").get_by_role("status")
    expect(state).to_have_text("WAITING")
    state.evaluate("element => { element.mine = true; }")
    farm.close(number)
    expect(state).to_have_text("CLOSED")
    assert state.evaluate("element => element.mine")
    window.check()


def test_without_scripts_a_question_is_not_reloaded_away(windows, farm):
    page = windows(java_script_enabled=False).open("/pools/vms?ask=drain")
    expect(page.get_by_role("form", name="Drain: vms?")).to_be_visible()
    assert "http-equiv" not in page.content()


def test_unused_ones_of_a_pool_are_deleted_from_its_page(window, farm):
    until(lambda: farm.get("/pools/vms")["ready"] == 1, what="a free one")
    page = window.open("/pools/vms")
    page.get_by_role("link", name="Delete unused…").click()
    page.get_by_label("Reason").fill("an old image")
    page.get_by_role("button", name="Delete unused").click()
    expect(page.get_by_text("The unused resources are to be deleted.")).to_be_visible()
    gone = until(
        lambda: [one for one in farm.ended() if "as unused: an old image" in str(one["reason"])], what="its end"
    )
    assert [one["pool"] for one in gone] == ["vms"]
    assert farm.get("/tickets/1")["state"] == "OPEN"
    window.check()
