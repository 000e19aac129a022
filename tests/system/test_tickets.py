"""The way of a ticket through a whole server: curl, shim, real gunicorn, real scheduler, real hooks."""

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


def data(farm: Farm, ticket: int) -> bytes:
    """The output of the pool `echo` for the resource that a ticket has."""
    return b"data of %d" % farm.ticket(ticket)["resource"]


def has_ended(farm: Farm, resource: int) -> bool:
    return any(document["id"] == resource for document in farm.ended())


def reason(farm: Farm, resource: int) -> str:
    """Why a resource has ended."""
    return next(str(document["reason"]) for document in farm.ended() if document["id"] == resource)


def test_a_ticket_is_assigned_a_resource_and_releases_it(running: Farm) -> None:
    running.set_pools(ECHO)
    ticket = running.take("A")
    output = running.wait(ticket)
    assert output == data(running, ticket)
    resource = running.ticket(ticket)["resource"]
    running.close(ticket)
    until(lambda: has_ended(running, resource), what="the end of the resource")
    assert running.ended()[-1]["releases_counter"] == 1
    assert running.ticket(ticket)["state"] == "CLOSED"


def test_the_shim_walks_the_same_way(running: Farm) -> None:
    running.set_pools(ECHO)
    ticket = running.shim("ticket", "--tag", "A").stdout.decode().strip()
    output = running.shim("ticket-wait", ticket).stdout
    assert output == data(running, int(ticket))
    assert running.shim("ticket-check", ticket).stdout == output
    assert running.shim("ticket-close", ticket).stdout == b""
    assert running.shim("ticket-check", ticket, check=False).returncode == 1


def test_output_is_handed_over_byte_for_byte(running: Farm) -> None:
    running.set_pools(ECHO.replace("printf 'data of %s' \"$RESALLOC_ID\"", r"printf 'a\0b\377\n\n'"))
    ticket = running.take("A")
    assert running.wait(ticket) == b"a\0b\xff\n\n"
    assert running.shim("ticket-wait", str(ticket)).stdout == b"a\0b\xff\n\n"


def test_a_wait_that_begins_before_the_resource_exists_is_answered(running: Farm) -> None:
    running.set_pools(
        f"""
slow:
  max_prealloc: 0
  cmd_new: 'while [ ! -e {running.folder}/go ]; do sleep 0.05; done; echo here'
  cmd_delete: 'true'
  tags_on_demand: [A]
"""
    )
    ticket = running.take("A")
    answers: list[bytes] = []
    waiting = threading.Thread(target=lambda: answers.append(running.wait(ticket)))
    waiting.start()
    until(lambda: [document["state"] for document in running.resources()] == ["STARTING"], what="the start")
    assert running.status(f"/tickets/{ticket}/output") == 409
    (running.folder / "go").touch()
    waiting.join(20)
    assert answers == [b"here\n"]


def test_spares_are_refilled_while_one_is_taken(running: Farm) -> None:
    running.set_pools(ECHO.replace("max_prealloc: 1", "max_prealloc: 2"))
    until(lambda: len(running.up()) == 2, what="two spares")
    running.wait(running.take("A"))
    until(lambda: len(running.up()) == 3, what="two spares beside the taken one")


def test_max_holds_tickets_back_until_one_is_closed(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 2"))
    tickets = [running.take("A") for _ in range(3)]
    running.wait(tickets[0])
    running.wait(tickets[1])
    assert running.status(f"/tickets/{tickets[2]}/wait?timeout=0.3") == 408
    until(lambda: "max of 2" in (running.get(f"/tickets/{tickets[2]}")["why"] or ""), what="the reason")
    assert running.get(f"/tickets/{tickets[2]}")["place"] == 1
    running.close(tickets[0])
    output = running.wait(tickets[2])
    assert output == data(running, tickets[2])
    assert len({running.ticket(ticket)["resource"] for ticket in tickets}) == 3
    assert len(running.resources()) <= 2


def test_the_resource_with_the_higher_priority_is_assigned_first(running: Farm) -> None:
    running.set_pools(
        """
low: {max_prealloc: 1, cmd_new: echo low, cmd_delete: 'true', tags: [{name: A, priority: -5}]}
high: {max_prealloc: 1, cmd_new: echo high, cmd_delete: 'true', tags: [{name: A, priority: 5}]}
"""
    )
    until(lambda: running.up("low") and running.up("high"), what="a spare in each pool")
    assert running.wait(running.take("A")) == b"high\n"


def test_an_on_demand_pool_starts_only_for_a_waiting_ticket(running: Farm) -> None:
    running.set_pools("big: {cmd_new: echo big, cmd_delete: 'true', tags: [A], tags_on_demand: [BIG]}")
    plain = running.take("A")
    assert running.status(f"/tickets/{plain}/wait?timeout=0.5") == 408
    assert running.resources() == []
    assert running.wait(running.take("A", "BIG")) == b"big\n"


def test_a_ticket_that_no_pool_can_serve_is_taken_and_says_so(running: Farm) -> None:
    running.set_pools(ECHO)
    until(running.up, what="the pool")
    # Each worker notices a change of the pools within a second.
    taken = until(lambda: (done := running.shim("ticket", "--tag", "NOSUCH")).stderr and done, what="the warning")
    assert b"NOSUCH" in taken.stderr
    ticket = int(taken.stdout)
    until(lambda: "NOSUCH" in (running.get(f"/tickets/{ticket}")["why"] or ""), what="the reason")


def test_a_wait_on_what_never_had_a_resource_ends_at_once(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 0"))
    ticket = running.take("A")
    running.close(ticket)
    ended = running.shim("ticket-wait", str(ticket), check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert running.shim("ticket-wait", "77777", check=False).returncode == 1


def test_a_failing_livecheck_replaces_a_resource_and_fails_its_ticket(running: Farm) -> None:
    running.set_pools(
        f"""
checked:
  max: 2
  max_prealloc: 1
  cmd_new: 'touch {running.folder}/alive-$RESALLOC_ID; echo $RESALLOC_ID'
  cmd_delete: 'rm -f {running.folder}/alive-$RESALLOC_ID'
  cmd_livecheck: 'test -e {running.folder}/alive-$RESALLOC_ID'
  livecheck_period: 1
  livecheck_attempts: 2
  tags: [A]
"""
    )
    ticket = running.take("A")
    output = running.wait(ticket)
    resource = running.ticket(ticket)["resource"]
    assert output == b"%d\n" % resource
    (running.folder / f"alive-{resource}").unlink()
    until(lambda: running.ticket(ticket)["state"] == "FAILED", what="the failure of the ticket")
    assert "livecheck" in running.ticket(ticket)["reason"]
    until(lambda: any(document["id"] != resource for document in running.up()), what="another resource")
    again = running.shim("ticket-wait", str(ticket))
    assert again.stdout == output
    assert running.shim("ticket-check", str(ticket), check=False).returncode == 1


def test_a_released_resource_waits_for_its_sandbox_and_no_other(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 2\n  reuse_opportunity_time: 60"))
    first = running.take("A", sandbox="mine")
    output = running.wait(first)
    assert output == data(running, first)
    running.close(first)
    assert running.wait(running.take("A", sandbox="yours")) != output
    assert running.wait(running.take("A", sandbox="mine")) == output


def test_reuse_ends_after_its_count(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 1\n  reuse_opportunity_time: 60\n  reuse_max_count: 1"))
    outputs = []
    for _ in range(3):
        ticket = running.take("A", sandbox="mine")
        outputs.append(running.wait(ticket))
        running.close(ticket)
    assert outputs[0] == outputs[1] != outputs[2]


def test_reuse_ends_without_a_ticket_of_the_sandbox_in_time(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 1\n  reuse_opportunity_time: 1"))
    ticket = running.take("A", sandbox="mine")
    running.wait(ticket)
    running.close(ticket)
    resource = running.ticket(ticket)["resource"]
    until(lambda: has_ended(running, resource), what="the end of the resource")
    assert "reuse_opportunity_time" in reason(running, resource)


def test_cmd_release_runs_between_two_tickets_and_its_failure_means_delete(running: Farm) -> None:
    release = (
        f"cmd_release: 'echo $RESALLOC_ID >> {running.folder}/released; test ! -e {running.folder}/fails-$RESALLOC_ID'"
    )
    running.set_pools(ECHO.replace("max: 4", f"max: 1\n  reuse_opportunity_time: 60\n  {release}"))
    resources = []
    for fails in (False, True, False):
        ticket = running.take("A", sandbox="mine")
        output = running.wait(ticket)
        assert output == data(running, ticket)
        resources.append(running.ticket(ticket)["resource"])
        if fails:
            (running.folder / f"fails-{resources[-1]}").touch()
        running.close(ticket)
    assert resources[0] == resources[1] != resources[2]
    until(lambda: has_ended(running, resources[1]), what="the end of the resource")
    assert "cmd_release" in reason(running, resources[1])
    assert (running.folder / "released").read_text().split()[:2] == [str(resources[0])] * 2


def test_many_clients_at_once_never_share_a_resource(running: Farm) -> None:
    running.set_pools(ECHO.replace("max: 4", "max: 3\n  max_starting: 3"))
    script = (
        'id=$("$0" --connection "$1" ticket --tag A) && "$0" --connection "$1" ticket-wait "$id" && echo'
        ' && "$0" --connection "$1" ticket-close "$id"'
    )
    clients = [
        subprocess.Popen(["sh", "-c", script, SHIM / "resalloc", running.url], stdout=subprocess.PIPE)
        for _ in range(12)
    ]
    outputs = [client.communicate(timeout=60)[0] for client in clients]
    assert all(client.returncode == 0 for client in clients)
    assert len(set(outputs)) == 12


@pytest.mark.parametrize("path", ["/tickets/0", "/tickets/-1", "/tickets/x", "/tickets/99999999999999999999"])
def test_bad_ids_are_refused(running: Farm, path: str) -> None:
    running.set_pools(ECHO)
    reply = json.loads(running.curl("-H", "Accept: application/json", path, check=False))
    assert 400 <= reply["error"]["status"] < 500
    assert reply["error"]["field"] == "id"
