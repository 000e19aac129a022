"""The commands in docs/operations.md and docs/recovery.md do what the pages say, on a running and a stopped server."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from state.files.store import FileStore
from tests.system.farm import PROJECT, SHIM, Farm
from tests.waiting import until

TEXT = "".join((PROJECT / "docs" / page).read_text() for page in ("operations.md", "recovery.md"))
POOLS = "echo: {max: 3, max_prealloc: 2, max_starting: 3, cmd_new: echo $RESALLOC_ID, cmd_delete: 'true', tags: [A]}"


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def run(farm: Farm, folder: Path, title: str) -> None:
    """Run the commands of a section, each of which prints the output below it."""
    environment = {
        **farm.environment,
        "STATE": str(farm.state),
        "LOGS": str(farm.logs),
        "FSCK": f"{sys.executable} -m scheduler fsck",
        "PATH": f"{SHIM}{os.pathsep}{farm.environment['PATH']}",
        "RESALLOC_URL": farm.url,
    }
    blocks = "".join(re.findall(r"```console\n(.*?)```", section(title), re.DOTALL))
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
    assert commands
    for command, output in commands:
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        printed = ran.stdout.replace(f"{folder}{os.sep}", "")
        assert (command, printed) == (command, output)
        assert ran.returncode == 0 or output, command


def test_a_living_server_is_backed_up_restored_and_moved(farm: Farm, tmp_path: Path) -> None:
    """Given a backup of a running server, when restored over what came later, then no id comes again."""
    farm.set_pools(POOLS)
    farm.start()
    first = farm.take("A")
    output = farm.wait(first)
    until(lambda: len(farm.up()) == 3, what="rest")
    run(farm, tmp_path, "Backup")
    later = farm.take("A")
    farm.wait(later)
    farm.close(later)
    until(lambda: len(farm.ended()) == 1 and len(farm.up()) == 3, what="a new resource")
    highest = max(found["id"] for found in farm.resources() + farm.ended())
    farm.terminate("scheduler")
    farm.terminate("web")

    run(farm, tmp_path, "Restore")
    run(farm, tmp_path, "Move")
    run(farm, tmp_path, "fsck")
    assert FileStore(farm.state).resources.reserve(1).start > highest

    farm.start()
    assert farm.wait(first) == output
    assert farm.take("A") == 100_000
    assert farm.status(f"/tickets/{later}") == 404


def test_a_change_of_pools_does_what_its_preview_showed(farm: Farm, tmp_path: Path) -> None:
    """Given the farm of the document, when the file is put in place, then its pool ends with as many as it says."""
    farm.set_pools(POOLS)
    farm.start()
    farm.wait(farm.take("A"))
    until(lambda: len(farm.up()) == 3, what="two spares beside a taken one")
    run(farm, tmp_path, "Changing pools.yaml")
    until(lambda: len(farm.up()) == 5, what="the announced resources")


def test_a_backup_of_a_busy_server_can_be_repaired(farm: Farm, tmp_path: Path) -> None:
    """Given tickets that come and go, when backed up meanwhile, then fsck puts the copy in order."""
    farm.set_pools(POOLS)
    farm.start()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            ticket = farm.take("A")
            farm.wait(ticket)
            farm.close(ticket)

    clients = [threading.Thread(target=work) for _ in range(3)]
    (command,) = re.findall(r"^\$ (tar .*)$", section("Backup"), re.MULTILINE)
    environment = {**farm.environment, "STATE": str(farm.state)}
    for client in clients:
        client.start()
    try:
        until(lambda: len(farm.ended()) > 3, what="some work")
        backup = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=False, timeout=60)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert backup.returncode in (0, 1)
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["tar", "-C", copy, "-xf", tmp_path / "backup.tar"], check=True, timeout=60)
    for options, status in ([], 1), (["--repair"], 0), ([], 0):
        done = subprocess.run(
            [sys.executable, "-m", "scheduler", "fsck", copy, *options],
            check=False,
            capture_output=True,
            text=True,
            env=farm.environment,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
