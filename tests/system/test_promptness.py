"""Things happen when they are due, not at the next `sleeptime`, which is ten minutes here."""

import subprocess
import threading
import time

import pytest

from tests.system.farm import SHIM, Farm
from tests.waiting import until


@pytest.fixture
def lazy(farm: Farm) -> Farm:
    """A farm that would sleep for ten minutes if nothing woke it."""
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 600\n")
    return farm


@pytest.mark.thorough
def test_start_delay_is_over_when_it_is_over(lazy: Farm) -> None:
    lazy.set_pools("p: {max: 3, max_prealloc: 3, max_starting: 3, start_delay: 1, cmd_new: 'true', cmd_delete: 'true'}")
    lazy.start()
    until(lambda: len(lazy.up()) == 3, what="three resources")
    first, second, third = [document["created_at"] for document in lazy.up()]
    assert 1 <= second - first < 60
    assert 1 <= third - second < 60


DUE = {
    "a livecheck": "cmd_new: 'true', cmd_delete: 'true', cmd_livecheck: {note}, livecheck_period: 1",
    "a delete that failed": (
        "cmd_new: 'true', cmd_delete: '{note}; false', cmd_livecheck: 'false', livecheck_attempts: 1, start_delay: 600"
    ),
    "a pool whose start failed": "cmd_new: '{note}; false', cmd_delete: 'true'",
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", DUE)
def test_livechecks_retries_of_deletes_and_pauses_are_due_when_they_are(lazy: Farm, what: str) -> None:
    noted = lazy.folder / "noted"
    lazy.set_pools(f"p: {{max: 1, {DUE[what].replace('{note}', f'echo >> {noted}')}}}")
    lazy.start()
    until(lambda: noted.exists() and len(noted.read_text()) >= 3, what="the third time")


@pytest.mark.thorough
def test_a_resource_that_is_not_reused_in_time_is_deleted(lazy: Farm) -> None:
    lazy.set_pools("p: {max: 1, cmd_new: 'true', cmd_delete: 'true', reuse_opportunity_time: 1, tags: [A]}")
    lazy.start()
    ticket = lazy.take("A", sandbox="mine")
    lazy.wait(ticket)
    lazy.close(ticket)
    until(lambda: [document["id"] for document in lazy.ended()] == [1], what="the end of resource 1")


@pytest.mark.thorough
def test_instant_starts_follow_one_another_without_a_pause(lazy: Farm) -> None:
    lazy.set_pools("p: {max: 25, max_prealloc: 25, max_starting: 1, cmd_new: 'true', cmd_delete: 'true'}")
    lazy.start()
    until(lambda: len(lazy.up()) == 25, what="25 resources")
    began = [document["created_at"] for document in lazy.up()]
    assert min(sixth - first for first, sixth in zip(began, began[5:], strict=False)) < 5


def test_a_closed_ticket_serves_the_next_one_in_its_sandbox_at_once(lazy: Farm) -> None:
    lazy.set_pools(
        "p: {max: 1, cmd_new: 'true', cmd_delete: 'true', cmd_release: 'true', reuse_opportunity_time: 60, tags: [A]}"
    )
    lazy.start()
    holding = lazy.take("A", sandbox="mine")
    lazy.wait(holding)
    took = []
    for _ in range(5):
        waiting = lazy.take("A", sandbox="mine")
        answered = threading.Thread(target=lazy.wait, args=(waiting,))
        answered.start()
        began = time.monotonic()
        lazy.close(holding)
        answered.join(20)
        assert not answered.is_alive()
        took.append(time.monotonic() - began)
        holding = waiting
    assert min(took) < 5
    assert lazy.resources()[0]["releases_counter"] == 5


def test_a_close_shows_in_the_list_of_tickets_at_once_even_without_a_scheduler(farm: Farm) -> None:
    farm.set_pools("p: {max: 0, cmd_new: 'true', cmd_delete: 'true', tags: [A]}")
    farm.start_web()
    closed, kept = farm.take("A"), farm.take("A")
    farm.close(closed)
    command = [SHIM / "resalloc-maint", "--connection", farm.url, "ticket-list"]
    listed = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    assert listed.decode() == f"{kept} - state=OPEN tags=A\n"
