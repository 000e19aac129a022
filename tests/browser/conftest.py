"""A headless Chromium and a real server for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from xprocess import XProcess

from tests.system.farm import Farm
from tests.waiting import until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
POOLS = """
vms:
  description: machines for <b>everyday</b> builds
  max: 4
  max_prealloc: 1
  cmd_new: echo "10.0.0.$RESALLOC_ID"
  cmd_delete: 'true'
  tags: [x86_64, builder]
broken:
  max: 2
  max_prealloc: 1
  cmd_new: echo "no <b>quota</b> left" >&2; exit 1
  cmd_delete: 'true'
  tags: [gpu]
slow:
  max: 1
  max_prealloc: 1
  cmd_new: echo "it begins <script>" >&2; until [ -e go ]; do sleep 0.1; done; echo "it ends" >&2; until [ -e up ]; do
    sleep 0.1; done; echo 10.9.9.9
  cmd_delete: 'true'
  tags: [slow]
"""


class Window:
    """A page in the browser with its requests, its console messages and its errors."""

    def __init__(self, page: Page, farm: Farm) -> None:
        self.page = page
        self.farm = farm
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def open(self, path: str) -> Page:
        """Go to a page of the farm."""
        self.page.goto(self.farm.url + path)
        return self.page

    def check(self) -> None:
        """Assert that no request went to another host and the console has no messages."""
        others = [url for url in self.requests if not url.startswith(self.farm.url + "/")]
        assert (others, self.complaints) == ([], [])


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("Chromium is MISSING, so no page is tested: run tests/install-system-packages.sh as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def farm(xprocess: XProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A server with a ready resource, one that starts until `go` and `up` exist, and a pool whose starts fail.

    Ticket 1 has a resource, ticket 2 waits.
    """
    farm = Farm(xprocess, tmp_path_factory.mktemp("browser") / "farm")
    farm.set_pools(POOLS)
    try:
        farm.start()
        farm.wait(farm.take("x86_64", sandbox="<i>mine</i>"))
        farm.take("gpu")
        until(lambda: farm.up("vms")[1:], what="a taken and a ready resource")
        until((farm.logs / "hooks" / f"{slow_one(farm):06d}_alloc").exists, what="the slow start")
        yield farm
    finally:
        farm.stop()


def slow_one(farm: Farm) -> int:
    """The resource of the pool `slow`."""
    found = until(lambda: [one for one in farm.resources() if one["pool"] == "slow"], what="a slow resource")
    number: int = found[0]["id"]
    return number


@pytest.fixture
def windows(chromium: Browser, farm: Farm) -> Iterator[Any]:
    """Opens windows, each with a fresh profile."""
    contexts = []

    def open_window(**options: Any) -> Window:
        context = chromium.new_context(**options)
        contexts.append(context)
        return Window(context.new_page(), farm)

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture
def window(windows: Any) -> Window:
    opened: Window = windows()
    return opened


@pytest.fixture
def folder(farm: Farm) -> Path:
    """The folder in which hooks run."""
    return farm.config
