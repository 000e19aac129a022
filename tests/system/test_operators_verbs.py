"""Operators' verbs of `resalloc-maint` on a running service: they are done at once, and survive restarts."""

import json

import pytest

from tests.system.farm import Farm
from tests.system.test_maint import ECHO, maint, printed
from tests.waiting import until

FAILING = """
echo:
  max: 1
  max_prealloc: 1
  cmd_new: 'test -e {folder}/good'
  cmd_delete: 'true'
"""


def pool(farm: Farm) -> dict[str, object]:
    record: dict[str, object] = json.loads((farm.state / "pools" / "echo.json").read_bytes())
    return record


@pytest.mark.thorough
def test_a_paused_pool_starts_nothing_until_it_is_resumed_also_over_a_restart(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    until(lambda: len(farm.up()) == 2, what="two spares")
    said = printed(farm, "pool-pause", "echo", "--reason", "new image")
    assert said == "pool echo: nothing starts in it; its resources are assigned, checked and deleted as before\n"
    until(lambda: pool(farm)["mode"] == "PAUSED", what="the pause")
    farm.kill("scheduler")
    farm.start_scheduler()
    farm.wait(farm.take("A"))
    farm.wait(farm.take("A"))
    third = farm.take("A")
    assert farm.status(f"/tickets/{third}/wait?timeout=1") == 408
    assert len(farm.resources()) == 2
    assert farm.curl("/pools").endswith(b" mode=PAUSED\n")
    assert pool(farm)["mode_reason"] == "new image"
    printed(farm, "pool-resume", "echo")
    farm.wait(third)


def test_a_drained_pool_is_empty_and_what_is_taken_ends_by_its_deadline(farm: Farm) -> None:
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 600\n")
    farm.set_pools(ECHO)
    farm.start()
    first, second = farm.take("A"), farm.take("A")
    for ticket in (first, second):
        farm.wait(ticket)
    until(lambda: len(farm.up()) == 4, what="two spares beside two taken ones")
    assert " taken are deleted when their tickets are closed, no deadline\n" in printed(farm, "pool-drain", "echo")
    until(lambda: len(farm.resources()) == 2, what="the end of what is free")
    farm.close(first)
    until(lambda: len(farm.resources()) == 1, what="the end of the released resource")
    assert farm.ticket(second)["state"] == "OPEN"
    printed(farm, "pool-drain", "echo", "--by", "+1s", "--reason", "the host goes")
    until(lambda: farm.ticket(second)["state"] == "FAILED", what="the deadline")
    deadlines = [event.get("until") for event in pool(farm)["history"] if event["after"] == "DRAINING"]
    assert deadlines[:2] == [None, pool(farm)["drain_until"]]
    assert farm.ticket(second)["reason"].startswith("its pool is drained: the host goes (the deadline was ")
    until(lambda: pool(farm)["drained_at"], what="the end of the drain")
    until(lambda: farm.resources() == [], what="an empty pool")
    assert maint(farm, "pool-pause", "echo").returncode == 1
    printed(farm, "pool-resume", "echo")
    until(farm.up, what="a new spare")
    assert pool(farm)["drained_at"] is None


@pytest.mark.thorough
def test_a_retry_starts_at_once_what_would_have_waited(farm: Farm) -> None:
    farm.set_pools(FAILING.format(folder=farm.folder))
    farm.start()
    until(lambda: pool(farm)["start_failures"] == 3, what="failed starts")
    (farm.folder / "good").touch()
    assert "tries again at once" in printed(farm, "pool-retry", "echo")
    until(farm.up, what="a start")
    assert pool(farm)["start_failures"] == 0


@pytest.mark.thorough
def test_unused_resources_of_one_pool_are_deleted_and_it_fills_again(farm: Farm) -> None:
    """Given two pools with spares, when the unused ones of one are deleted, then those of the other stay."""
    farm.set_pools(ECHO + ECHO.replace("echo:", "other:"))
    farm.start()
    until(lambda: len(farm.up()) == 4, what="two spares in each pool")
    ticket = farm.take("A")
    farm.wait(ticket)
    taken = farm.ticket(ticket)["resource"]
    until(lambda: len(farm.up()) == 5, what="a spare in place of the taken one")
    before = farm.up()
    free = {document["id"] for document in before if document["pool"] == "echo" and document["id"] != taken}
    said = printed(farm, "pool-delete-unused", "echo", "--reason", "an old image")
    assert {int(line.split()[1]) for line in said.splitlines()} == free
    until(lambda: {document["id"] for document in farm.ended()} == free, what="their end")
    assert all("as unused: an old image" in str(document["reason"]) for document in farm.ended())
    until(lambda: len(farm.up()) == 5, what="new spares")
    kept = {document["id"] for document in before} - free
    assert kept <= {document["id"] for document in farm.up()}


@pytest.mark.thorough
def test_verbs_for_pools_that_are_not_there_are_refused(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    done = maint(farm, "pool-drain", "nope")
    assert (done.returncode, done.stderr) == (1, b"resalloc-maint: There is no pool 'nope'.\n")
    done = maint(farm, "pool-delete-unused", "nope")
    assert (done.returncode, done.stderr) == (1, b"resalloc-maint: There is no pool 'nope'.\n")
    done = maint(farm, "pool-drain", "echo", "--by", "yesterday")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"must be a time like 2026-03-01T18:00" in done.stderr


@pytest.mark.thorough
def test_a_resource_that_its_client_calls_bad_is_deleted_and_counted(farm: Farm) -> None:
    farm.set_pools(f"{ECHO}  reuse_opportunity_time: 600\n  cmd_release: 'true'\n")
    farm.start()
    farm.wait(farm.take("A", sandbox="mine"))
    farm.curl("-X", "DELETE", "/tickets/1?bad=no%20network")
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert farm.ended()[0]["reason"] == "its client called it bad: no network"
    assert pool(farm)["bad_resources"] == 1
    assert farm.curl("/pools").endswith(b" bad=1\n")


def test_a_held_resource_stays_whatever_happens_until_it_is_released(farm: Farm) -> None:
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 600\n")
    farm.set_pools(ECHO)
    farm.start()
    ticket = farm.take("A")
    farm.wait(ticket)
    said = printed(farm, "resource-hold", "echo-00000001", "--reason", "odd network", "--for", "1h")
    assert said.startswith("resource 1 (echo-00000001): its ticket keeps it, and it is held until 20")
    until(lambda: farm.get("/resources/1")["held_reason"] == "odd network", what="the hold")
    farm.kill("scheduler")
    farm.start_scheduler()
    done = maint(farm, "resource-delete", "1")
    assert (done.returncode, done.stdout) == (1, b"")
    held = b"resalloc-maint: on hold, so not deleted; run resource-release first: 1 echo-00000001: odd network\n"
    assert done.stderr == held
    farm.close(ticket)
    until(lambda: farm.get("/resources/1")["releases_counter"] == 1, what="the release")
    assert [document["id"] for document in farm.up() if document["held_until"]] == [1]
    assert farm.ended() == []
    printed(farm, "resource-release", "1")
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")


@pytest.mark.thorough
def test_a_hold_ends_by_itself(farm: Farm) -> None:
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 600\n")
    farm.set_pools(ECHO.replace("max: 4", "max: 1"))
    farm.start()
    until(farm.up, what="a spare")
    printed(farm, "resource-hold", "1", "--reason", "look", "--until", "+2s")
    until(lambda: farm.up()[0]["held_until"], what="the hold")
    ticket = farm.take("A")
    assert farm.status(f"/tickets/{ticket}/wait?timeout=0") == 408
    assert farm.wait(ticket) == b"10.0.0.1\n"
