"""`resalloc-maint` on a whole farm: real gunicorn, real scheduler, real hooks."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.farm import SHIM, Farm
from tests.waiting import until

ECHO = """
echo:
  max: 4
  max_prealloc: 2
  max_starting: 1
  cmd_new: echo 10.0.0.$RESALLOC_ID
  cmd_delete: 'true'
  tags: [{name: A, priority: 5}, B]
  name_pattern: '{pool_name}-{id}'
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


def maint(farm: Farm, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [SHIM / "resalloc-maint", "--connection", farm.url, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


def printed(farm: Farm, *arguments: str) -> str:
    """Its output; it must succeed without messages on standard error."""
    done = maint(farm, *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def ended_since(farm: Farm, id: int) -> set[int]:
    """The ids above this one of resources that have ended."""
    return {found["id"] for found in farm.ended() if found["id"] > id}


@pytest.fixture
def start(farm: Farm) -> Iterator[Start]:
    """Starts it in a session of its own, which ends with the test."""
    started = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        command = [SHIM / "resalloc-maint", "--connection", farm.url, *arguments]
        shim = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(shim)
        return shim

    yield begin
    for shim in started:
        try:
            os.killpg(shim.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shim.__exit__(None, None, None)


class Reader:
    """Reads what a process prints as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._stdout = process.stdout
        self.got = b""

    def until(self, wanted: bytes) -> bytes:
        """All that was printed so far, once `wanted` is in it."""

        def come() -> bool:
            if select.select([self._stdout], [], [], 0)[0]:
                self.got += os.read(self._stdout.fileno(), 65536)
            return wanted in self.got

        until(come, what=f"{wanted!r} on stdout")
        return self.got


def test_resources_and_tickets_are_listed(running: Farm) -> None:
    first = running.last_id() + 1
    running.set_pools(ECHO)
    until(lambda: len(running.up()) == 2, what="two spares")
    ticket = running.take("B", "A")
    running.wait(ticket)
    waiting = running.take("NOSUCH")
    until(lambda: len(running.up()) == 3, what="another spare")
    assert printed(running, "resource-list", "--up") == "".join(
        f"{id} - echo-{id:08d} pool=echo tags=A,B status=UP releases=0 ticket={holder}\n"
        for id, holder in ((first, ticket), (first + 1, "NULL"), (first + 2, "NULL"))
    )
    assert printed(running, "resource-list") == printed(running, "resource-list", "--up")
    assert printed(running, "ticket-list") == (
        f"{ticket} - state=OPEN tags=B,A resource=echo-{first:08d}\n{waiting} - state=OPEN tags=NOSUCH\n"
    )
    resources = json.loads(printed(running, "resource-list", "--up", "--json"))["resources"]
    assert [resource["ticket_id"] for resource in resources] == [ticket, None, None]
    tickets = json.loads(printed(running, "ticket-list", "--json"))["tickets"]
    assert [found["id"] for found in tickets] == [ticket, waiting]


def test_what_is_not_up_is_in_the_list_of_all_only(farm: Farm) -> None:
    farm.set_pools("slow: {max: 1, cmd_new: sleep 60, cmd_delete: 'true', name_pattern: 'slow-{id}'}")
    farm.start()
    until(farm.resources, what="a start")
    line = "1 - slow-00000001 pool=slow tags= status=STARTING releases=0 ticket=NULL\n"
    assert printed(farm, "resource-list") == line
    assert printed(farm, "resource-list", "--up") == ""


def test_a_resource_is_described_also_when_it_has_ended(running: Farm) -> None:
    running.set_pools(ECHO)
    ticket = running.take("A", sandbox="mine")
    running.wait(ticket)
    id = running.ticket(ticket)["resource"]
    name = f"echo-{id:08d}"
    info = json.loads(printed(running, "resource-info", str(id)))
    assert info == json.loads(printed(running, "resource-info", name))
    wanted = {"id": id, "name": name, "user": None, "data": f"10.0.0.{id}", "pool": "echo", "state": "UP"}
    wanted |= {"ticket_id": ticket, "sandbox": "mine", "releases_counter": 0, "released_at": None}
    wanted |= {"check_last_time": None, "check_failed_count": 0}
    assert info.items() >= wanted.items()
    assert info["sandboxed_since"] == running.ticket(ticket)["assigned_at"]
    running.close(ticket)
    until(lambda: ended_since(running, id - 1) == {id}, what="the end of the resource")
    info = json.loads(printed(running, "resource-info", name))
    assert (info["state"], info["ticket_id"], info["releases_counter"]) == ("ENDED", None, 1)
    assert maint(running, "resource-info", "77777").returncode == 1


def test_deleting_a_taken_resource_fails_its_ticket_at_once(farm: Farm) -> None:
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 600\n")
    farm.set_pools(ECHO)
    farm.start()
    ticket = farm.take("A")
    farm.wait(ticket)
    done = maint(farm, "resource-delete", "echo-00000001", "nope", "99")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.count(b"unknown: there is no resource") == 2
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert farm.ticket(ticket)["state"] == "FAILED"
    assert f"{ticket} - state=FAILED tags=A resource=echo-00000001\n" in printed(farm, "ticket-list")
    assert b"unknown" in maint(farm, "resource-delete", "1").stderr


def test_unused_resources_are_deleted_and_taken_ones_stay(running: Farm) -> None:
    before = running.last_id()
    running.set_pools(ECHO)
    ticket = running.take("A")
    running.wait(ticket)
    until(lambda: len(running.up()) == 3, what="two spares")
    taken = running.ticket(ticket)["resource"]
    spares = {document["id"] for document in running.up()} - {taken}
    assert printed(running, "resource-delete", "--unused") == ""
    until(lambda: ended_since(running, before) == spares, what="the end of the spares")
    assert running.ticket(ticket)["state"] == "OPEN"
    assert [document["state"] for document in running.resources() if document["id"] == taken] == ["UP"]


def test_a_resource_whose_last_check_failed_is_not_unused(running: Farm) -> None:
    bad = running.last_id() + 1
    check = f"cmd_livecheck: 'test $RESALLOC_ID != {bad}'\n  livecheck_attempts: 1000"
    running.set_pools(ECHO.replace("cmd_delete", f"{check}\n  cmd_delete"))
    until(lambda: [d["check_failed_count"] for d in running.up() if d["id"] == bad] == [1], what="a failed check")
    until(lambda: len(running.up()) == 2, what="a second one")
    printed(running, "resource-delete", "--unused")
    until(lambda: ended_since(running, bad - 1) == {bad + 1}, what="the end of the other one")
    assert bad in [document["id"] for document in running.up()]


def test_all_resources_are_deleted_taken_ones_too(running: Farm) -> None:
    before = running.last_id()
    running.set_pools(ECHO)
    ticket = running.take("A")
    running.wait(ticket)
    until(lambda: len(running.up()) == 3, what="two spares")
    there = {document["id"] for document in running.up()}
    assert printed(running, "resource-delete", "--all") == ""
    until(lambda: ended_since(running, before) >= there, what="the end of all")
    assert running.ticket(ticket)["state"] == "FAILED"


def test_a_starting_resource_is_deleted_when_its_start_ends(farm: Farm) -> None:
    farm.set_pools(
        f"""
slow:
  max: 1
  max_prealloc: 1
  cmd_new: 'while [ ! -e {farm.folder}/go ]; do sleep 0.05; done'
  cmd_delete: echo $RESALLOC_ID >> {farm.folder}/deleted
  name_pattern: 'slow-{{id}}'
"""
    )
    farm.start()
    until(farm.resources, what="a start")
    assert printed(farm, "resource-delete", "--all") == ""
    assert printed(farm, "resource-delete", "slow-00000001") == ""
    until(lambda: farm.resources()[0]["delete_asked"], what="that it is to be deleted")
    assert printed(farm, "resource-list").split()[5] == "status=STARTING"
    (farm.folder / "go").touch()
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert (farm.folder / "deleted").read_text() == "1\n"


def test_logs_are_printed_and_followed_over_checks_and_a_restart_of_the_web(farm: Farm, start: Start) -> None:
    farm.set_pools(
        f"""
noisy:
  max: 2
  max_prealloc: 2
  max_starting: 2
  cmd_new: echo new $RESALLOC_ID; echo to stderr >&2
  cmd_delete: echo gone $RESALLOC_ID
  cmd_livecheck: 'cat {farm.folder}/check-$RESALLOC_ID'
  livecheck_period: 1
  livecheck_attempts: 1000
"""
    )
    for number in (1, 2):
        (farm.folder / f"check-{number}").write_text(f"alive {number}\n")
    farm.start()
    until(lambda: all(d["check_last_time"] for d in farm.up()) and len(farm.up()) == 2, what="first checks")
    hooks = farm.logs / "hooks"
    shim = start("resource-logs", farm.up()[0]["name"], "2")
    output = Reader(shim)
    output.until(b"alive 2\n")
    parts = output.got.split(b"==> ")
    assert parts[0] == b""
    assert parts[1].startswith(f"{hooks}/000001_alloc <==\n".encode())
    assert {b"new 1", b"to stderr"} <= set(parts[1].splitlines())
    assert parts[2].startswith(f"{hooks}/000001_watch <==\nalive 1\n".encode())
    (farm.folder / "check-1").write_text("still alive 1\n")
    output.until(b"still alive 1\n")

    farm.terminate("web")
    (farm.folder / "check-2").write_text("alive while the web is away\n")
    until(lambda: b"web is away" in (hooks / "000002_watch").read_bytes(), what="a check meanwhile")
    farm.start_web()
    output.until(b"alive while the web is away\n")

    printed(farm, "resource-delete", "2")
    output.until(f"==> {hooks}/000002_terminate <==\ngone 2\n".encode())
    os.killpg(shim.pid, signal.SIGINT)
    assert shim.wait(5) == 130
    assert output.got.count(b"new 1") == 1


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_foreach_is_not_fooled_by_what_hooks_print(running: Farm, tmp_path: Path, shell: str) -> None:
    nasty = b'it\'s "x"  $(touch fooled) `touch fooled`; touch fooled\n\n\t{name} \\0101 %s \xff\xfe\x01 * #\n'
    (running.folder / "data").write_bytes(b"\0" + nasty)
    running.set_pools(
        f"""
nasty:
  max: 2
  max_prealloc: 1
  cmd_new: cat {running.folder}/data
  cmd_delete: 'true'
  name_pattern: '{{pool_name}}-{{id}}'
"""
    )
    until(running.up, what="a spare")
    name = running.up()[0]["name"].encode()
    command = "printf '<%s>' {name} {state} {data_utf8}; echo {{}}"
    done = subprocess.run(
        [*shell.split(), SHIM / "resalloc-maint", "foreach-resource", "--command", command],
        env={**os.environ, "RESALLOC_URL": running.url},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"<%s><UP><%s>{}\n" % (name, nasty.removesuffix(b"\n"))
    assert not list(tmp_path.glob("fooled"))


def test_server_yaml_shows_where_the_server_is(farm: Farm) -> None:
    farm.set_server(f"port: {farm.port} # as in PORT\n")
    farm.set_pools(ECHO)
    farm.start()
    farm.take("NOSUCH")
    environment = {name: value for name, value in os.environ.items() if name != "RESALLOC_URL"}
    done = subprocess.run(
        [SHIM / "resalloc-maint", "ticket-list"],
        env={**environment, "CONFIG_DIR": str(farm.config)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"1 - state=OPEN tags=NOSUCH\n"
