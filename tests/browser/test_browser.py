"""Pages in a real browser: what they show, that they stay up to date, what can be done on them, for everybody."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import slow_one
from tests.waiting import until

expect.set_options(timeout=20_000)

PATHS = (
    "/",
    "/pools",
    "/pools/vms",
    "/pools/broken",
    "/pools/vms?ask=drain",
    "/resources",
    "/resources?state=UP&q=10.",
    "/resources/1",
    "/tickets",
    "/tickets/1",
    "/tickets/2",
    "/tickets/1?ask=bad",
    "/events",
    "/events?pool=vms&resource=&ticket=&since=1h",
    "/plan",
)
SCHEMES = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "has_touch": True},
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_is_accessible_fits_the_window_and_loads_nothing_from_other_hosts(windows, farm, scheme):
    """Given each page in light, dark and on a phone, when axe-core checks it, then it finds nothing, and the page has
    no errors, sends no requests to other hosts and needs no horizontal scrolling.
    """
    window = windows(**SCHEMES[scheme])
    for path in PATHS:
        page = window.open(path)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#live-word")).to_have_text("Live")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        window.check()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_held_resource_and_a_preview_are_accessible(windows, farm, scheme):
    """Given a held resource and a preview with a result, when axe-core checks their pages, then it finds nothing."""
    window = windows(**SCHEMES[scheme])
    farm.curl("-d", "reason=an <b>odd</b> network", "/resources/1/hold")
    page = window.open("/resources/1")
    expect(page.locator("#facts")).to_contain_text("an <b>odd</b> network")
    assert_accessible(page)
    page = window.open("/resources/1?ask=release")
    expect(page.get_by_role("form")).to_be_visible()
    assert_accessible(page)
    farm.curl("-X", "POST", "/resources/1/release")
    page = window.open("/plan")
    page.get_by_label("Text of the file").fill("vms: {cmd_new: x, cmd_delete: y, tags: [new]}")
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_role("region", name="What it would do")).to_contain_text("stranded")
    assert_accessible(page)
    window.check()


def assert_accessible(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def many_tickets(farm):
    """As many as give one of them a number of two digits, with a tag that takes much room."""
    tickets = [farm.curl("-d", f"tag=nobody-has-{'this-' * 8}tag", "/tickets").decode().strip() for _ in range(10)]
    yield
    for ticket in tickets:
        farm.curl("-X", "DELETE", f"/tickets/{ticket}")


@pytest.mark.parametrize("width", [360, 820, 1000])
def test_numbers_and_names_of_pools_do_not_wrap(windows, farm, many_tickets, width):
    """Given tickets with numbers of two digits, when the window is narrow, then no number or pool breaks in two."""
    window = windows(viewport={"width": width, "height": 800})
    for path in ("/tickets", "/resources"):
        page = window.open(path)
        expect(page.locator("tbody .n").first).to_be_visible()
        broken = page.locator("tbody .n, tbody .pool").evaluate_all(
            """cells => cells.filter(cell => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return new Set([...range.getClientRects()].map(line => Math.round(line.bottom))).size > 1;
            }).map(cell => cell.innerText)"""
        )
        assert broken == [], path


def test_error_pages_are_accessible(window):
    page = window.open("/tickets/999")
    expect(page.locator("h1")).to_have_text("There is no ticket 999.")
    assert Axe().run(page).violations_count == 0
    assert [complaint for complaint in window.complaints if "404" not in complaint] == []


def test_the_colour_scheme_of_the_browser_is_used(windows):
    def brightness(scheme: str) -> int:
        page = windows(color_scheme=scheme).open("/")
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)))

    assert brightness("dark") < 200 < 600 < brightness("light")


def test_the_overview_shows_failing_pools_and_waiting_tickets(window, farm):
    page = window.open("/")
    attention = page.locator("#urgent")
    expect(attention).to_contain_text("failing broken")
    expect(attention).to_contain_text("no <b>quota</b> left")
    expect(page.get_by_role("row", name="vms")).to_contain_text("working")
    expect(page.locator("#sums")).to_contain_text("Tickets waiting1")
    window.check()


def test_a_list_is_updated_without_a_reload(window, farm):
    page = window.open("/tickets")
    page.evaluate("window.untouched = true")
    ticket = farm.take("x86_64", sandbox="lively")
    row = page.get_by_role("row", name=f"{ticket} OPEN")
    expect(row).to_contain_text("lively")
    expect(row).to_contain_text("vms_")
    farm.close(ticket)
    expect(row).to_have_count(0)
    assert page.evaluate("window.untouched")
    window.check()


def test_an_update_keeps_the_focus_and_what_is_typed(window, farm):
    page = window.open("/resources")
    page.get_by_role("searchbox").fill("10.0")
    page.get_by_role("link", name="1", exact=True).first.focus()
    before = page.locator("#footer time").text_content()
    expect(page.locator("#footer time")).not_to_have_text(before or "")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/resources/1"
    expect(page.get_by_role("searchbox")).to_have_value("10.0")


def test_updates_can_be_paused(window, farm):
    page = window.open("/tickets")
    page.get_by_role("button", name="Pause updates").click()
    expect(page.locator("#live-word")).to_have_text("Paused")
    ticket = farm.take("gpu")
    page.wait_for_timeout(4000)
    expect(page.get_by_role("row", name=f"{ticket} WAITING")).to_have_count(0)
    page.get_by_role("button", name="Resume updates").click()
    expect(page.get_by_role("row", name=f"{ticket} WAITING")).to_have_count(1)
    farm.close(ticket)


def test_a_page_shows_while_the_server_does_not_answer(window, farm):
    page = window.open("/")
    page.route("**/*", lambda route: route.abort())
    expect(page.locator("#live-word")).to_contain_text("Not updated")
    page.unroute("**/*")
    expect(page.locator("#live-word")).to_have_text("Live")


def test_a_log_is_followed_as_it_grows_and_is_escaped(window, farm, folder):
    number = slow_one(farm)
    page = window.open(f"/resources/{number}")
    log = page.locator("#text-alloc")
    expect(log).to_have_text("it begins <script>")
    (folder / "go").touch()
    expect(log).to_have_text("it begins <script> it ends")
    (folder / "up").touch()
    expect(page.locator("#facts .lead")).to_contain_text("UP free")
    window.check()


def test_a_pool_is_paused_and_resumed_after_a_confirmation(window, farm):
    page = window.open("/pools/vms")
    page.get_by_role("link", name="Pause…").click()
    form = page.get_by_role("form", name="Pause: vms?")
    expect(form).to_contain_text("It starts no more resources.")
    expect(form.get_by_label("Reason")).to_be_focused()
    assert farm.get("/pools/vms")["mode"] == "ACTIVE"
    page.keyboard.type("a <b>test</b>")
    form.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The pool will be paused.")).to_be_visible()
    expect(page.locator("#now")).to_contain_text("a <b>test</b>")
    assert farm.get("/pools/vms")["mode"] == "PAUSED"
    page.get_by_role("link", name="Resume…").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#now")).to_contain_text("working")
    expect(page.get_by_role("link", name="Pause…")).to_be_visible()
    window.check()


def test_a_resource_is_deleted_after_a_confirmation_that_can_be_cancelled(window, farm):
    farm.wait(farm.take("x86_64"))
    resource = max(one["id"] for one in farm.up("vms"))
    page = window.open(f"/resources/{resource}")
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("form", name="Delete")).to_have_count(0)
    assert any(one["id"] == resource for one in farm.up())
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Reason").fill("worn out")
    page.keyboard.press("Enter")
    expect(page.locator("#facts")).to_contain_text("ENDED")
    until(lambda: [one for one in farm.ended() if one["id"] == resource], what="its end")
    assert "worn out" in str(next(one["reason"] for one in farm.ended() if one["id"] == resource))
    window.check()


def test_a_pools_yaml_is_pasted_then_uploaded_and_previewed(window, farm, tmp_path):
    page = window.open("/pools")
    page.get_by_role("link", name="Preview another pools.yaml").click()
    text = page.get_by_label("Text of the file")
    text.fill("<b>")
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_text("fault pools.yaml.new:1: must be a mapping")).to_be_visible()
    expect(text).to_have_value("<b>")

    # An update keeps what the user typed.
    before = page.locator("#footer time").text_content()
    text.fill("vms: {cmd_new: x, cmd_delete: y, tags: [new]}")
    expect(page.locator("#footer time")).not_to_have_text(before or "")
    page.get_by_role("button", name="Show what it would do").click()
    found = page.get_by_role("region", name="What it would do")
    expect(found.get_by_role("listitem").first).to_contain_text("stranded ticket")
    expect(found).to_contain_text("broken is not in the file")
    assert Axe().run(page).violations_count == 0

    file = tmp_path / "pools.yaml"
    file.write_text((farm.config / "pools.yaml").read_text())
    page.get_by_label("or upload the file").set_input_files(file)
    page.get_by_role("button", name="Show what it would do").click()
    expect(found).to_contain_text("Nothing would change.")
    expect(text).to_have_value(re.compile("everyday</b> builds"))
    assert [complaint for complaint in window.complaints if "422" not in complaint] == []
    assert {one["name"] for one in farm.get("/pools")["pools"]} == {"vms", "broken", "slow"}


def test_everything_can_be_reached_by_keyboard(window, farm):
    page = window.open("/resources")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Pool")).to_be_focused()
    page.keyboard.type("vms")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("10.")
    page.keyboard.press("Enter")
    page.wait_for_url("**/resources?pool=vms&state=&q=10.")
    outline = page.evaluate("""() => {
        const link = document.querySelector("nav a");
        link.focus({focusVisible: true});
        return getComputedStyle(link).outlineStyle;
    }""")
    assert outline == "solid"


def test_without_scripts_a_page_refreshes_itself_and_everything_works(windows, farm):
    page = windows(java_script_enabled=False).open("/pools/slow")
    assert 'http-equiv="refresh"' in page.content()
    page.get_by_role("link", name="Pause…").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("The pool will be paused.")).to_be_visible()
    until(lambda: farm.get("/pools/slow")["mode"] == "PAUSED", what="the pause")


def test_a_form_on_another_site_is_refused(window, farm, tmp_path):
    site = tmp_path / "evil.html"
    site.write_text(f'<form method="post" action="{farm.url}/pools/vms/drain"><button>win</button></form>')
    window.page.goto(site.as_uri())
    window.page.get_by_role("button", name="win").click()
    expect(window.page.locator("h1")).to_contain_text("are refused")
    assert farm.get("/pools/vms")["mode"] == "ACTIVE"
