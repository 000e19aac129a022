"""The pages of pools, resources and tickets: their columns, filters and rows."""

import re
import time

import pytest

from state.documents import ResourceState
from state.sample import Sample


def headings(page: str, table: str) -> list[str]:
    """The column headings of the table of this class."""
    (found,) = re.findall(rf'<table class="{table}">(.*?)</thead>', page, re.DOTALL)
    return re.findall(r"<th [^>]*>([^<]*)", found)


def rows(page: str, table: str) -> list[list[str]]:
    """The texts of the table's cells, by row."""
    (found,) = re.findall(rf'<table class="{table}">.*?<tbody>(.*?)</table>', page, re.DOTALL)
    return [
        [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.split("<t[dh][^>]*>", row)[1:]]
        for row in re.split("<tr[^>]*>", found)[1:]
    ]


@pytest.fixture
def farm(client, scheduler):
    """1 taken, 2 free, 3 starting, 4 free with a failed check, 5 not deleted,
    6 held; tickets 1 (has 1), 2 waits, 3 failed."""
    scheduler.record("p", options={"max": 9, "tags": {"A": 0, "B": 0}, "description": "pool of all"})
    scheduler.record("q", position=1, options={"max": 2, "tags": {"C": 0}})
    scheduler.resource(1, tags={"A": 0})
    scheduler.resource(2, tags={"B": 0}, sandbox="box", data=b"10.9.9.9\n")
    scheduler.resource(3, state=ResourceState.STARTING, data=None)
    scheduler.resource(4, check_failed_count=2, name="four")
    scheduler.resource(5, pool="q", state=ResourceState.DELETE_REQUEST, delete_failures=3)
    scheduler.resource(6, pool="q", held_until=9e9, held_reason="look")
    for tag in ("A", "C", "A"):
        client.post("/tickets", data={"tag": tag})
    scheduler.assign(1, sandbox="mine")
    scheduler.assign(3, resource=2)
    scheduler.fail(3)


def test_pools_have_the_columns_of_resalloc(browser, farm):
    page = browser.page("/pools")
    wanted = "Pool, Max, Up, Ready, Taken, Starting, Delete requested, Deleting, Releasing, Description"
    assert headings(page, "counts") == wanted.split(", ")
    first, second, total = rows(page, "counts")
    assert first == ["p sick", "9", "3", "2", "1", "1", "0", "0", "0", "pool of all"]
    assert second == ["q leaking full", "2", "1", "0", "0", "0", "1", "0", "0", ""]
    assert total == ["Total", "11", "4", "2", "1", "1", "1", "0", "0", ""]


def test_resources_have_the_columns_of_resalloc(browser, farm):
    page = browser.page("/resources")
    assert headings(page, "resources") == ["Id", "Name", "Pool", "State", "Ticket", "User", "Sandbox", "Data"]
    found = rows(page, "resources")
    assert found[0] == ["1", "p_00000001", "p", "UP", "1", "", "mine", "10.0.0.1"]
    assert found[1] == ["2", "p_00000002", "p", "UP", "", "", "box", "10.9.9.9"]
    assert found[3][3] == "UP check failed 2×"
    assert found[4][3] == "DELETE REQUEST delete failed 3×"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "1 2 3 4 5 6"),
        ("pool=p", "1 2 3 4"),
        ("pool=none", ""),
        ("state=UP", "1 2 4 6"),
        ("state=starting", "3"),
        ("state=taken", "1"),
        ("state=READY", "2 4"),
        ("state=HELD", "6"),
        ("state=TROUBLE", "4 5"),
        ("q=BOX", "2"),
        ("q=10.9.", "2"),
        ("q=mine", "1"),
        ("q=four", "4"),
        ("pool=q&state=UP", "6"),
        ("pool=&state=&q=", "1 2 3 4 5 6"),
    ],
)
def test_resources_are_filtered(browser, farm, query, ids):
    found = rows(browser.page(f"/resources?{query}"), "resources")
    assert [row[0] for row in found if row[0] != "None."] == ids.split()


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "1 2 3"),
        ("state=WAITING", "2"),
        ("state=served", "1"),
        ("state=OPEN", "1 2"),
        ("state=FAILED", "3"),
        ("state=CLOSED", ""),
        ("pool=q", "2"),
        ("pool=p", "1 3"),
        ("pool=none", ""),
        ("q=died", "3"),
        ("q=MINE", "1"),
    ],
)
def test_tickets_are_filtered(browser, farm, query, ids):
    found = rows(browser.page(f"/tickets?{query}"), "tickets")
    assert [row[0] for row in found if row[0] != "None."] == ids.split()


def test_waiting_tickets_and_reasons_are_above_the_list(browser, scheduler, farm):
    scheduler.show_waiting({"tags": ["C"], "ids": [2], "why": "pool q is at its max of 2"})
    with scheduler.leading():
        (row,) = rows(browser.page("/tickets"), "queues")
    assert (row[0], row[1], row[3]) == ("C", "1", "pool q is at its max of 2")


def test_long_lists_are_paged(browser, scheduler):
    scheduler.put(*(scheduler.resource(number) for number in range(1, 206)))
    assert len(rows(browser.page("/resources"), "resources")) == 200
    page = browser.page("/resources?page=2&q=p_")
    assert [row[0] for row in rows(page, "resources")] == ["201", "202", "203", "204", "205"]
    assert "205 resources, 201 to 205 shown" in page
    assert 'href="/resources?pool=&amp;state=&amp;q=p_&amp;page=1"' in page
    assert len(rows(browser.page("/resources?page=9999"), "resources")) == 5


def test_long_or_binary_data_is_shortened(browser, scheduler):
    scheduler.resource(1, data=b"\xff" + b"x y\n" * 10_000)
    ((*_, data),) = rows(browser.page("/resources"), "resources")
    assert data.startswith("�x y x y")
    assert len(data) == 120


def test_an_empty_server_has_pages(browser):
    assert "No pools are configured." in browser.page("/")
    assert rows(browser.page("/resources"), "resources") == [["None."]]
    assert rows(browser.page("/tickets"), "tickets") == [["None."]]


def test_a_pool_shows_its_last_day(browser, scheduler, store, farm):
    assert "No samples yet" in browser.page("/pools/p")
    store.samples.add("p", Sample(at=time.time() - 30, max=9, taken=2))
    assert "2 taken at most" in browser.page("/pools/p")
    assert 'aria-label="last day: 2 taken at most"' in browser.page("/")
