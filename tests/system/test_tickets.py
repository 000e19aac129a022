"""The way of a ticket through a whole farm: curl, shim, real gunicorn, real scheduler, real hooks."""

import json
import subprocess
import threading

import pytest

from tests.system.farm import SHIM, Farm
from tests.waiting import until

ECHO = """
echo:
  max: 4
  max_prealloc: 1
  cmd_new: printf 'data of %s' "$RESALLOC_ID"
  cmd_delete: 'true'
  tags: [A]
"""


def test_a_ticket_gets_a_resource_and_gives_it_back(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    ticket = farm.take("A")
    assert farm.wait(ticket) == b"data of 1"
    assert farm.ticket(ticket)["resource"] == 1
    farm.close(ticket)
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert farm.ended()[0]["releases_counter"] == 1
    assert farm.ticket(ticket)["state"] == "CLOSED"


def test_the_shim_walks_the_same_way(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    ticket = farm.shim("ticket", "--tag", "A").stdout.decode().strip()
    assert farm.shim("ticket-wait", ticket).stdout == b"data of 1"
    assert farm.shim("ticket-check", ticket).stdout == b"data of 1"
    assert farm.shim("ticket-close", ticket).stdout == b""
    assert farm.shim("ticket-check", ticket, check=False).returncode == 1


def test_output_is_handed_over_byte_for_byte(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("printf 'data of %s' \"$RESALLOC_ID\"", r"printf 'a\0b\377\n\n'"))
    farm.start()
    ticket = farm.take("A")
    assert farm.wait(ticket) == b"a\0b\xff\n\n"
    assert farm.shim("ticket-wait", str(ticket)).stdout == b"a\0b\xff\n\n"


def test_a_wait_that_begins_before_the_resource_exists_is_answered(farm: Farm) -> None:
    farm.set_pools(
        f"""
slow:
  max_prealloc: 0
  cmd_new: 'while [ ! -e {farm.folder}/go ]; do sleep 0.05; done; echo here'
  cmd_delete: 'true'
  tags_on_demand: [A]
"""
    )
    farm.start()
    ticket = farm.take("A")
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(farm.wait(ticket)))
    waiting.start()
    until(lambda: [document["state"] for document in farm.resources()] == ["STARTING"], what="the start")
    assert farm.status(f"/tickets/{ticket}/output") == 409
    (farm.folder / "go").touch()
    waiting.join(20)
    assert answers == [b"here\n"]


def test_spares_are_refilled_while_one_is_taken(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max_prealloc: 1", "max_prealloc: 2"))
    farm.start()
    until(lambda: len(farm.up()) == 2, what="two spares")
    farm.wait(farm.take("A"))
    until(lambda: len(farm.up()) == 3, what="two spares beside the taken one")


def test_max_holds_tickets_back_until_one_is_closed(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 2"))
    farm.start()
    tickets = [farm.take("A") for _ in range(3)]
    farm.wait(tickets[0])
    farm.wait(tickets[1])
    assert farm.status(f"/tickets/{tickets[2]}/wait?timeout=0.3") == 408
    until(lambda: "max of 2" in (farm.get(f"/tickets/{tickets[2]}")["why"] or ""), what="the reason")
    assert farm.get(f"/tickets/{tickets[2]}")["place"] == 1
    farm.close(tickets[0])
    assert farm.wait(tickets[2]) == b"data of 3"
    assert len(farm.resources()) <= 2


def test_the_resource_with_the_higher_priority_is_given_first(farm: Farm) -> None:
    farm.set_pools(
        """
low: {max_prealloc: 1, cmd_new: echo low, cmd_delete: 'true', tags: [{name: A, priority: -5}]}
high: {max_prealloc: 1, cmd_new: echo high, cmd_delete: 'true', tags: [{name: A, priority: 5}]}
"""
    )
    farm.start()
    until(lambda: farm.up("low") and farm.up("high"), what="a spare in each pool")
    assert farm.wait(farm.take("A")) == b"high\n"


def test_an_on_demand_pool_starts_only_for_a_waiting_ticket(farm: Farm) -> None:
    farm.set_pools("big: {cmd_new: echo big, cmd_delete: 'true', tags: [A], tags_on_demand: [BIG]}")
    farm.start()
    plain = farm.take("A")
    assert farm.status(f"/tickets/{plain}/wait?timeout=0.5") == 408
    assert farm.resources() == []
    assert farm.wait(farm.take("A", "BIG")) == b"big\n"


def test_a_ticket_that_no_pool_can_serve_is_taken_and_says_so(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    taken = farm.shim("ticket", "--tag", "NOSUCH")
    assert taken.stdout == b"1\n"
    assert b"NOSUCH" in taken.stderr
    until(lambda: "NOSUCH" in (farm.get("/tickets/1")["why"] or ""), what="the reason")


def test_a_wait_on_what_never_had_a_resource_ends_at_once(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 0"))
    farm.start()
    ticket = farm.take("A")
    farm.close(ticket)
    ended = farm.shim("ticket-wait", str(ticket), check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert farm.shim("ticket-wait", "77", check=False).returncode == 1


def test_a_failing_livecheck_replaces_a_resource_and_fails_its_ticket(farm: Farm) -> None:
    farm.set_pools(
        f"""
checked:
  max: 2
  max_prealloc: 1
  cmd_new: 'touch {farm.folder}/alive-$RESALLOC_ID; echo $RESALLOC_ID'
  cmd_delete: 'rm -f {farm.folder}/alive-$RESALLOC_ID'
  cmd_livecheck: 'test -e {farm.folder}/alive-$RESALLOC_ID'
  livecheck_period: 1
  livecheck_attempts: 2
  tags: [A]
"""
    )
    farm.start()
    ticket = farm.take("A")
    assert farm.wait(ticket) == b"1\n"
    (farm.folder / "alive-1").unlink()
    until(lambda: farm.ticket(ticket)["state"] == "FAILED", what="the failure of the ticket")
    assert "livecheck" in farm.ticket(ticket)["reason"]
    until(lambda: any(document["id"] != 1 for document in farm.up()), what="another resource")
    again = farm.shim("ticket-wait", str(ticket))
    assert again.stdout == b"1\n"
    assert farm.shim("ticket-check", str(ticket), check=False).returncode == 1


def test_a_released_resource_waits_for_its_sandbox_and_no_other(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 2\n  reuse_opportunity_time: 60"))
    farm.start()
    first = farm.take("A", sandbox="mine")
    assert farm.wait(first) == b"data of 1"
    farm.close(first)
    assert farm.wait(farm.take("A", sandbox="yours")) == b"data of 2"
    assert farm.wait(farm.take("A", sandbox="mine")) == b"data of 1"


def test_reuse_ends_after_its_count(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 1\n  reuse_opportunity_time: 60\n  reuse_max_count: 1"))
    farm.start()
    outputs = []
    for _ in range(3):
        ticket = farm.take("A", sandbox="mine")
        outputs.append(farm.wait(ticket))
        farm.close(ticket)
    assert outputs == [b"data of 1", b"data of 1", b"data of 2"]


def test_reuse_ends_when_nobody_of_the_sandbox_came_in_time(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 1\n  reuse_opportunity_time: 1"))
    farm.start()
    ticket = farm.take("A", sandbox="mine")
    farm.wait(ticket)
    farm.close(ticket)
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert "reuse_opportunity_time" in farm.ended()[0]["reason"]


def test_cmd_release_runs_between_two_tickets_and_its_failure_means_delete(farm: Farm) -> None:
    release = f"cmd_release: 'echo released >> {farm.folder}/log; test $RESALLOC_ID != 2'"
    farm.set_pools(ECHO.replace("max: 4", f"max: 1\n  reuse_opportunity_time: 60\n  {release}"))
    farm.start()
    for _ in range(2):
        ticket = farm.take("A", sandbox="mine")
        assert farm.wait(ticket) == b"data of 1"
        farm.close(ticket)
    assert farm.status("-X", "DELETE", "/resources/1") == 202
    ticket = farm.take("A", sandbox="mine")
    assert farm.wait(ticket) == b"data of 2"
    farm.close(ticket)
    assert farm.wait(farm.take("A", sandbox="mine")) == b"data of 3"
    until(lambda: len(farm.ended()) == 2, what="the archive")
    assert "cmd_release" in farm.ended()[1]["reason"]


def test_many_clients_at_once_never_share_a_resource(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("max: 4", "max: 3\n  max_starting: 3"))
    farm.start()
    script = (
        'id=$("$0" --connection "$1" ticket --tag A) && "$0" --connection "$1" ticket-wait "$id" && echo'
        ' && "$0" --connection "$1" ticket-close "$id"'
    )
    clients = [
        subprocess.Popen(["sh", "-c", script, SHIM / "resalloc", farm.url], stdout=subprocess.PIPE) for _ in range(12)
    ]
    outputs = [client.communicate(timeout=60)[0] for client in clients]
    assert all(client.returncode == 0 for client in clients)
    assert len(set(outputs)) == 12


@pytest.mark.parametrize("path", ["/tickets/0", "/tickets/-1", "/tickets/x", "/tickets/99999999999999999999"])
def test_bad_ids_are_told(farm: Farm, path: str) -> None:
    farm.set_pools(ECHO)
    farm.start_web()
    reply = json.loads(farm.curl("-H", "Accept: application/json", path, check=False))
    assert 400 <= reply["error"]["status"] < 500
    assert reply["error"]["field"] == "id"
