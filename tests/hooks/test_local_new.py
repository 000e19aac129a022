"""Starting the resources of the demo pool `local`."""

import os
import shutil
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from .farm import Farm, await_until, fetch


def open_files(pid: int) -> set[str]:
    """What the descriptors of a process lead to, but for sockets."""
    targets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            targets.add(os.readlink(link))
        except FileNotFoundError:  # a connection that was just closed
            continue
    return {target for target in targets if not target.startswith("socket:")}


def test_a_started_resource_serves_its_folder(farm: Farm) -> None:
    """Given nothing, when local-new has ended, then the address that it printed serves the resource's files."""
    data = farm.new("local_1", id_in_pool=0)

    assert data == f"127.0.0.1:{farm.base_port}\n"
    assert fetch(data, "resource-name.txt") == "local_1\n"
    (farm.root / "local_1/files/report.txt").write_text("built\n")
    assert fetch(data, "report.txt") == "built\n"


def test_resources_side_by_side_have_their_own_port_and_folder(farm: Farm) -> None:
    first = farm.new("local_1", id_in_pool=0)
    second = farm.new("local_2", id_in_pool=1)

    assert second == f"127.0.0.1:{farm.base_port + 1}\n"
    assert fetch(first, "resource-name.txt") == "local_1\n"
    assert fetch(second, "resource-name.txt") == "local_2\n"
    assert sorted(farm.names()) == ["local_1", "local_2"]


def test_the_server_outlives_the_hooks_process_group_and_holds_nothing_of_it_open(farm: Farm) -> None:
    """Given a hook with pipes, when it has ended, then the server has its own session and files."""
    hook = farm.start("hooks/local-new", "local_1", 0)
    stdout, _ = hook.communicate(timeout=30)  # ends only when every process has closed the pipes

    (server,) = farm.servers()
    assert os.getsid(server) == server != hook.pid
    own = ("/dev/null", str(farm.root / "local_1"))
    assert [path for path in open_files(server) if not path.startswith(own)] == []
    assert fetch(stdout, "resource-name.txt") == "local_1\n"


def test_only_the_own_user_may_look_into_the_folders(farm: Farm) -> None:
    farm.new("local_1")

    assert stat.S_IMODE(farm.root.stat().st_mode) == 0o700


def test_a_taken_port_is_reported_and_leaves_nothing(farm: Farm) -> None:
    """Given another program on the port, when a resource is started there, then one sentence and nothing else."""
    with socket.create_server(("127.0.0.1", farm.base_port)):
        done = farm.run("hooks/local-new", "local_1", 0)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"no server on 127.0.0.1:{farm.base_port}" in done.stderr
    assert "Address already in use" in done.stderr
    assert "LOCAL_BASE_PORT" in done.stderr
    assert farm.names() == []
    assert farm.servers() == []


def test_a_name_that_exists_is_refused_and_stays_as_it_was(farm: Farm) -> None:
    data = farm.new("local_1", id_in_pool=0)

    done = farm.run("hooks/local-new", "local_1", 1)

    assert done.returncode == 1
    assert "local-delete" in done.stderr
    assert fetch(data, "resource-name.txt") == "local_1\n"


@pytest.mark.parametrize("id_in_pool", ["None", "", "1x", "-1"])
def test_an_id_in_the_pool_that_is_no_number_is_reported(farm: Farm, id_in_pool: str) -> None:
    done = farm.run("hooks/local-new", "local_1", id_in_pool)

    assert done.returncode == 1
    assert f'RESALLOC_ID_IN_POOL is "{id_in_pool}"' in done.stderr
    assert farm.names() == []


@pytest.mark.parametrize("moment", ["folder made", "server started"])
def test_what_a_killed_start_left_is_deleted(farm: Farm, tmp_path: Path, moment: str) -> None:
    """Given a start that was killed half way, when the resource is deleted, then nothing of it is left."""
    curl = tmp_path / "bin/curl"  # never gets an answer, so the start cannot end before it is killed
    curl.parent.mkdir()
    curl.write_text("#!/bin/sh\nexit 7\n")
    curl.chmod(0o755)
    hook = farm.start("hooks/local-new", "local_1", 0, PATH=f"{curl.parent}:{os.environ['PATH']}")
    await_until((farm.root / "local_1").exists if moment == "folder made" else farm.servers)

    os.killpg(hook.pid, signal.SIGKILL)
    hook.communicate(timeout=10)
    assert farm.names() == ["local_1"]
    assert farm.run("hooks/local-delete", "local_1", 0).returncode == 0

    assert farm.names() == []
    assert farm.servers() == []


def test_a_start_is_fast(farm: Farm) -> None:
    """The best of five starts takes less than three seconds (0.15 s when nothing else runs)."""
    times = []
    for number in range(5):
        began = time.monotonic()
        farm.new(f"local_{number}", id_in_pool=number)
        times.append(time.monotonic() - began)

    assert min(times) < 3


@pytest.mark.parametrize("interpreter", ["dash", "bash --posix", "busybox sh"])
def test_every_shell_does(farm: Farm, interpreter: str) -> None:
    """Given a POSIX shell, when each hook runs in it, then a resource lives its whole life."""
    if not shutil.which(interpreter.split()[0]):
        pytest.skip(f"{interpreter} is not installed")

    data = farm.new("local_1", interpreter=interpreter)
    for hook in ("livecheck", "release", "livecheck", "list", "delete", "delete", "list"):
        done = farm.run(f"{interpreter} hooks/local-{hook}", "local_1", 0, data)
        assert (hook, done.returncode, done.stderr) == (hook, 0, "")

    assert farm.names() == []
    assert farm.servers() == []
