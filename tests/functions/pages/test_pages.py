"""What every page keeps: who gets it, what it may do, that nothing in it is HTML but what the templates made."""

import re
from urllib.parse import quote

import pytest

from state.documents import ResourceState
from tests.functions.pages.conftest import BROWSER
from tests.functions.pages.demo import Demo, write_logs

PAGES = ("/", "/pools", "/pools/p", "/resources", "/resources/1", "/tickets", "/tickets/1")
EVIL = "<script>alert(1)<b>\"'&"


@pytest.fixture
def farm(client, scheduler):
    """The pool p with resource 1, which ticket 1 has; ticket 2 waits."""
    scheduler.record("p", options={"max": 4, "tags": {"A": 0}})
    scheduler.resource(1, tags={"A": 0})
    for _ in range(2):
        client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1)


@pytest.mark.parametrize("path", PAGES)
def test_browsers_get_pages_and_other_clients_get_text(client, browser, farm, path):
    page, text = browser.get(path), client.get(path, headers={"Accept": "*/*"})
    assert (page.mimetype, page.status_code) == ("text/html", 200)
    assert text.status_code == 200
    assert text.mimetype in ("text/plain", "application/json")
    assert "<html" not in text.text
    if path != "/":
        assert client.get(path, headers={"Accept": "application/json"}).is_json
    assert page.headers["Vary"] == text.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("application/xhtml+xml, text/html;q=0.9, */*;q=0.1", "text/html"),
        ("*/*", "text/plain"),
        (None, "text/plain"),
        ("text/*", "text/plain"),
        ("text/plain, text/html", "text/plain"),
        ("text/html;q=0.5, text/plain", "text/plain"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("image/png", "text/plain"),
    ],
)
def test_the_accept_header_selects_page_json_or_text(client, accept, form):
    assert client.get("/pools", headers={"Accept": accept} if accept else {}).mimetype == form


@pytest.mark.parametrize("path", [*PAGES, "/nope"])
def test_pages_have_a_strict_content_security_policy(browser, farm, path):
    headers = browser.get(path).headers
    policy: dict[str, str] = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/nope"])
def test_pages_have_no_links_to_other_hosts_and_no_inline_scripts_or_styles(browser, farm, path):
    page = browser.get(path).text
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', page):
        assert address.startswith(("/", "#", "?")), address
        assert not address.startswith("//")
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", page)


def test_text_from_users_is_escaped(client, browser, scheduler, settings):
    """Given HTML in every text that a client, a hook or an operator can set, when pages show it, then it is text."""
    options = {"max": 1, "description": EVIL, "tags": {EVIL: 0}}
    scheduler.record(EVIL, options=options, paused_until=9e9, pause_reason=EVIL, start_failures=1)
    fields = {"name": EVIL, "pool": EVIL, "user": EVIL, "sandbox": EVIL, "data": EVIL.encode(), "tags": {EVIL: 0}}
    scheduler.resource(1, **fields, reason=EVIL, delete_after_run=EVIL)
    scheduler.resource(2, **fields | {"name": "2"}, state=ResourceState.DELETE_REQUEST, delete_failures=1)
    for _ in range(2):
        client.post("/tickets", data={"tag": EVIL, "sandbox": EVIL})
    scheduler.assign(1, resource_name=EVIL, pool=EVIL, output=EVIL.encode())
    scheduler.fail(1, EVIL)
    scheduler.show_pools(faults=[EVIL], warnings=[EVIL], quarantine=[EVIL])
    scheduler.show_waiting({"tags": [EVIL], "ids": [2], "why": EVIL})
    hooks = settings.log_dir / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "000001_alloc").write_text(EVIL)
    paths = ["/", "/pools", "/resources", "/resources/1", "/resources/2", "/tickets", "/tickets/1", "/tickets/2"]
    evil = quote(EVIL)
    paths += [
        f"/pools/{evil}",
        f"/pools/x{evil}",
        f"/resources?q={evil}",
        f"/tickets?q={evil}",
        f"/tickets?state={evil}",
    ]
    with scheduler.leading():
        for path in paths:
            page = browser.get(path).text
            assert "alert(1)" in page, path
            assert "<script>" not in page, path
            assert "\"'&" not in page, path


def test_pages_with_500_resources_are_at_most_100_kb(browser, store, settings):
    Demo(store)
    write_logs(settings.log_dir, 3)
    for path in ("/", "/pools", "/resources", "/tickets", "/resources/3", "/pools/rdu-x86-64-00"):
        assert len(browser.page(path).encode()) < 100_000, path


def test_errors_are_pages(browser, farm):
    reply = browser.get("/nope/%3Cb%3E")
    assert (reply.status_code, reply.mimetype) == (404, "text/html")
    assert "There is nothing at &#39;/nope/&lt;b&gt;&#39;." in reply.text
    assert "GET /nope/\ufffd\ufffd[31m" in browser.get("/nope/%00%1b[31m").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/resources/99", 404),
        ("/resources/nobody", 404),
        ("/tickets/99", 404),
        ("/tickets/x", 400),
        ("/pools/nothing", 404),
        ("/tickets/2/output", 409),
        ("/resources/1/logs/nothing", 400),
        ("/resources?state=GONE", 400),
        ("/resources?page=x", 400),
        ("/resources?q=a&q=b", 400),
        ("/resources?colour=red", 400),
        ("/resources?q=" + "x" * 256, 400),
        ("/tickets?state=GONE", 400),
        ("/tickets?page=-1", 400),
        ("/pools?x=1", 400),
        ("/?x=1", 400),
    ],
)
def test_wrong_requests_are_reported_on_a_page(browser, farm, path, status):
    reply = browser.get(path)
    assert (reply.status_code, reply.mimetype) == (status, "text/html")
    assert re.search(r"<h1>[A-Z].*\.</h1>", reply.text)


def test_an_unreadable_store_is_reported_on_a_page(browser, store, farm):
    store.resources.folder.rename(store.root / "away")
    reply = browser.get("/resources")
    assert (reply.status_code, reply.mimetype) == (503, "text/html")


def test_faults_of_the_server_are_on_each_page(browser, scheduler, farm):
    scheduler.show_pools(faults=["pools.yaml:3: wrong"], quarantine=["tickets/open/9: damaged"])
    for path in PAGES:
        page = browser.page(path)
        assert "No scheduler is running" in page
        assert "pools.yaml:3: wrong" in page
        assert "tickets/open/9: damaged" in page
    with scheduler.leading():
        assert "No scheduler is running" not in browser.page("/")


def test_assets_are_cached_by_their_version(client, browser):
    addresses = set(re.findall(r'"(/assets/[^"]+)"', browser.page("/")))
    assert {address.partition("?")[0] for address in addresses} == {
        "/assets/style.css",
        "/assets/live.js",
        "/assets/icon.svg",
    }
    for address in addresses:
        reply = client.get(address)
        assert reply.status_code == 200
        assert reply.mimetype in ("text/css", "text/javascript", "image/svg+xml")
        assert "immutable" in reply.headers["Cache-Control"]
        assert client.get(address.partition("?")[0]).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/assets/nope.css", 404), ("/assets/..%2Fassets.py", 404), ("/assets/style.css?v=0", 400)],
)
def test_unknown_assets_are_not_served(client, path, status):
    assert client.get(path).status_code == status
