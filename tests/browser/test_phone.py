"""Pages on a phone are as readable as on a wide screen."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import POOLS
from tests.browser.test_browser import SCHEMES
from tests.waiting import until

LEAKY = "leaky: {max: 1, max_prealloc: 1, cmd_new: echo sick, cmd_delete: exit 1, tags: [leaky]}"
OVERLAPS = """rows => rows.flatMap(row => {
    const boxes = [...row.children].flatMap((cell, number) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return [...range.getClientRects()].filter(box => box.width && box.height).map(box => [number, box]);
    });
    const meet = ([one, a], [other, b]) => one < other && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    return boxes.some(one => boxes.some(other => meet(one, other))) ? [row.innerText] : [];
})"""
"""The rows in which two cells overlap."""
BROKEN = """elements => elements.flatMap(element => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const broken = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode())
        for (const word of text.data.matchAll(/\\S+/g)) {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(line => Math.round(line.bottom))).size > 1)
                broken.push(word[0]);
        }
    return broken;
})"""
"""The words that wrap."""


@pytest.fixture
def phone(windows):
    return windows(**SCHEMES["phone"])


@pytest.fixture
def leaking(farm):
    """The number of a resource that cannot be deleted."""
    farm.set_pools(POOLS + LEAKY)
    number = until(lambda: farm.up("leaky"), what="a resource of the pool")[0]["id"]
    farm.curl("-X", "DELETE", f"/resources/{number}")

    def failed():
        (found,) = (one for one in farm.resources() if one["id"] == number)
        return found["state"] == "DELETE_REQUEST" and found["delete_failures"]

    until(failed, what="a delete that fails")
    return number


def test_the_menu_fits_on_one_line_of_a_phone(phone):
    page = phone.open("/events")
    tops = page.locator(".top nav a").evaluate_all("links => links.map(link => link.offsetTop)")
    assert len(tops) == 5
    assert len(set(tops)) == 1


def test_nothing_overlaps_and_no_state_wraps_within_a_word(phone, leaking):
    """Given resources in many states, when their pages are shown on a phone, then everything is readable."""
    for path in ("/", "/pools", "/resources", "/tickets", "/events", f"/resources/{leaking}", "/pools/leaky"):
        page = phone.open(path)
        expect(page.locator("tbody tr").first).to_be_visible()
        assert page.locator("tbody tr").evaluate_all(OVERLAPS) == [], path
        assert page.locator("td .state, .events th + td").evaluate_all(BROKEN) == [], path


def test_the_caption_of_a_table_does_not_wrap(phone):
    """Given a waiting ticket, when its page is shown on a phone, then the table of pools has a caption of one line."""
    page = phone.open("/tickets/2")
    caption = page.locator("caption", has_text="Pools that could serve it")
    expect(caption).to_be_visible()
    lines = caption.evaluate(
        """caption => {
            const range = document.createRange();
            range.selectNodeContents(caption);
            return new Set([...range.getClientRects()].map(line => Math.round(line.bottom))).size;
        }"""
    )
    assert lines == 1
