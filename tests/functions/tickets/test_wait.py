from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from functions.web import lifetime
from tests.waiting import until


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def parking(app):
    return app.extensions["resalloc"].parking


def parked(pool, app, path, count=1) -> list[Future]:
    parking = app.extensions["resalloc"].parking
    waits = [pool.submit(lambda: app.test_client().get(path)) for _ in range(count)]
    until(lambda: len(parking) == count, what="parked requests")
    return waits


def test_a_wait_is_answered_by_the_change(app, pool, scheduler, ticket, parking):
    waits = parked(pool, app, "/tickets/1/wait?timeout=60", count=3)
    scheduler.assign(1, b"it")
    replies = [wait.result(5) for wait in waits]
    assert [(reply.status_code, reply.data) for reply in replies] == [(200, b"it")] * 3
    until(lambda: len(parking) == 0)


@pytest.mark.parametrize("over", ["close", "close and settle"])
def test_a_wait_ends_when_the_ticket_does(app, client, pool, scheduler, ticket, over):
    (wait,) = parked(pool, app, "/tickets/1/wait?timeout=60")
    client.delete("/tickets/1")
    if over == "close and settle":
        scheduler.settle(1)
    assert wait.result(5).status_code == 410


def test_changes_of_other_tickets_do_not_end_a_wait(app, client, pool, scheduler, ticket):
    other = int(client.post("/tickets", data={"tag": "A"}).text)
    (wait,) = parked(pool, app, "/tickets/1/wait?timeout=60")
    scheduler.assign(other)
    assert client.get(f"/tickets/{other}/wait").status_code == 200
    assert not wait.done()
    scheduler.assign(1)
    assert wait.result(5).status_code == 200


def test_a_wait_ends_after_its_time(client, ticket):
    reply = client.get("/tickets/1/wait?timeout=0.05")
    assert (reply.status_code, reply.headers["Retry-After"], reply.headers["Ticket-State"]) == (408, "1", "OPEN")
    assert reply.text == "Ticket 1 still waits: no scheduler is running.\n"


def test_a_wait_with_timeout_0_checks_once(client, scheduler, ticket):
    assert client.get("/tickets/1/wait?timeout=0").status_code == 408
    scheduler.assign(1)
    assert client.get("/tickets/1/wait?timeout=0").status_code == 200


def test_a_stopping_process_answers_its_waits_and_parks_no_more(app, client, pool, ticket, monkeypatch):
    monkeypatch.setattr(lifetime, "_stopping", False)
    waits = parked(pool, app, "/tickets/1/wait?timeout=60", count=3)
    lifetime.begin_stop()
    assert [wait.result(5).status_code for wait in waits] == [408] * 3
    assert client.get("/tickets/1/wait?timeout=60").headers["Retry-After"] == "1"


def test_a_watch_overflow_wakes_all_waits(app, pool, ticket, parking):
    (wait,) = parked(pool, app, "/tickets/1/wait?timeout=60")
    woken = []
    request = next(iter(parking._parked[1]))
    real_wake = request.wake
    request.wake = lambda: (woken.append(1), real_wake())
    parking.wake_all()
    assert woken
    assert not wait.done()
    parking.wake(1)
    app.test_client().delete("/tickets/1")
    assert wait.result(5).status_code == 410
