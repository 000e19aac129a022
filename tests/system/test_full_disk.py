"""The disk of the state folder is full or read-only: 503, a line in the log, nothing lost, and all well afterwards."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xprocess import XProcess

from tests.mounts import needs_mounts
from tests.system.farm import Farm
from tests.waiting import until

pytestmark = needs_mounts("A FULL AND A READ-ONLY DISK OF THE STATE FOLDER")
HOLDER = 'mount --make-rprivate / && mount -t tmpfs -o size=2m tmpfs "$1" && echo mounted && exec sleep 600'
POOLS = """
p:
  max: 3
  max_prealloc: 1
  cmd_new: 'echo {folder}/$RESALLOC_ID'
  cmd_delete: 'true'
  cmd_livecheck: 'echo >> {folder}/checks'
  livecheck_period: 1
  tags: [A]
slow:
  max: 1
  cmd_new: 'sleep 600'
  cmd_new_timeout: 3
  cmd_delete: 'true'
"""


class FarmOnSmallDisk(Farm):
    """A farm whose state is on a disk of 2 MB in mounts of their own, which process `holder` keeps."""

    def __init__(self, xprocess: XProcess, folder: Path, holder: int) -> None:
        super().__init__(xprocess, folder)
        self._holder = holder
        self._inside = folder / "disk" / "state"
        self.disk = Path(f"/proc/{holder}/root{folder}/disk")
        self.state = self.disk / "state"

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"RESALLOC_STATE_DIR": str(self._inside)}

    def _start(self, name: str, command: list[Any], ready: Callable[[], bool]) -> int:
        return super()._start(name, ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "--", *command], ready)

    def fill(self) -> None:
        """Fill the disk to its last byte, again when something was freed since."""
        with (self.disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def remount(self, how: str) -> None:
        """Mount the disk anew as `ro` or `rw`."""
        mount = ["mount", "-o", f"remount,{how}", self._inside.parent]
        subprocess.run(["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "--", *mount], check=True)

    def refuses(self, *arguments: str) -> bool:
        """Whether a request is answered 503 while the disk is full. A hook that ends may have freed a page since."""
        self.fill()
        return self.status(*arguments) == 503

    def refused(self, *arguments: str) -> dict[str, Any]:
        """The error of a request that is refused while the disk is full, None when it had room."""
        self.fill()
        reply = json.loads(self.curl("-H", "Accept: application/json", *arguments, check=False))
        error: dict[str, Any] = reply.get("error", {})
        return error


@pytest.fixture
def farm(xprocess: XProcess, tmp_path: Path) -> Iterator[FarmOnSmallDisk]:
    disk = tmp_path / "farm" / "disk"
    disk.mkdir(parents=True)
    command = ["unshare", "--mount", "sh", "-c", HOLDER, "sh", disk]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        farm = FarmOnSmallDisk(xprocess, tmp_path / "farm", holder.pid)
        try:
            yield farm
        finally:
            farm.stop()
            holder.kill()


def errors_logged(farm: Farm, by: str) -> int:
    """The number of errors about the disk in the log."""
    lines = (farm.logs / "main.log").read_text().splitlines()
    return sum("No space left" in line and f" ERROR {by}" in line for line in lines)


def test_a_full_disk_is_reported_with_503_and_in_the_log_and_nothing_is_lost(farm: FarmOnSmallDisk) -> None:
    farm.set_pools(POOLS.format(folder=farm.folder))
    farm.start()
    taken = farm.take("A")
    output = farm.wait(taken)
    until(lambda: len(farm.up("p")) == 2, what="another spare")
    ready = [found["id"] for found in farm.up("p")]
    until(lambda: any(found["pool"] == "slow" for found in farm.resources()), what="a start that outlasts its limit")

    # Tickets that wait in vain: one that had room after all changes nothing else.
    in_vain = [farm.take("Z") for _ in range(5)]
    error = until(lambda: farm.refused("-d", "tag=Z", "/tickets"), what="a ticket that is refused")
    assert error["status"] == 503
    assert error["message"] == "The state folder cannot be used at the moment."
    assert errors_logged(farm, "functions") >= 1
    until(lambda: farm.refuses("-d", "tag=Z", "/tickets"), what="another one")
    assert any(farm.refuses("-X", "DELETE", f"/tickets/{ticket}") for ticket in in_vain)
    until(lambda: farm.refuses("/healthz"), what="the 503 of the server itself")
    tags = "<params><param><value><array><data><value>Z</value></data></array></value></param></params>"
    body = f"<methodCall><methodName>takeTicket</methodName>{tags}</methodCall>"
    until(lambda: farm.refuses("-H", "Content-Type: text/xml", "-d", body, "/RPC2"), what="an old client's fault")
    assert farm.curl(f"/tickets/{taken}/output") == output

    until(lambda: errors_logged(farm, "scheduler") >= 1, what="the scheduler's error in the log")
    log = farm.logs / "main.log"
    until(lambda: "ended after its time limit of 3 s" in log.read_text(), what="the limit of the start")
    before = errors_logged(farm, "scheduler")
    until(lambda: farm.fill() or errors_logged(farm, "scheduler") > before + 1, what="more attempts")
    assert errors_logged(farm, "scheduler") < 100
    assert [found["id"] for found in farm.up("p")] == ready

    (farm.disk / "filler").unlink()
    until(lambda: farm.status("/healthz") == 200, what="a healthy server")
    assert farm.get(f"/tickets/{taken}")["state"] == "OPEN"
    assert farm.wait(farm.take("A"))
    farm.close(taken)
    until(lambda: farm.ticket(taken)["state"] == "CLOSED", what="the close")
    until(lambda: any(found["pool"] == "slow" for found in farm.ended()), what="the delete of what was cut off")
    assert all(found["check_failed_count"] == 0 for found in farm.up("p"))
    content = log.read_text()
    assert content.count("leading in") == 1
    assert "Traceback" not in content


def test_a_read_only_disk_is_reported_with_503_and_in_the_log_and_can_still_be_read(farm: FarmOnSmallDisk) -> None:
    farm.set_pools("p: {max: 0, cmd_new: 'true', cmd_delete: 'true', tags: [A]}")
    farm.start_web()
    ticket = farm.take("A")
    farm.remount("ro")
    assert farm.status("-d", "tag=A", "/tickets") == 503
    assert farm.status("-X", "DELETE", f"/tickets/{ticket}") == 503
    until(lambda: farm.status("/healthz") == 503, what="the 503 of the server itself, at most a second old")
    problem = b"problem: The state folder cannot be written: Read-only file system."
    until(lambda: problem in farm.curl("/readyz", check=False).splitlines(), what="the problem in each worker's reply")
    assert farm.get(f"/tickets/{ticket}")["state"] == "OPEN"
    assert "Read-only file system" in (farm.logs / "main.log").read_text()
    farm.remount("rw")
    assert farm.status("/healthz") == 200
    farm.close(ticket)
    assert farm.ticket(ticket)["state"] == "CLOSED"
