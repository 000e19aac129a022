"""Power cuts on a real file system: ext4 on a loop device is shut down under a working server, without its journal.

The kernel's own EXT4_IOC_SHUTDOWN drops what was not synced, as a power cut does. Then it is mounted again, which
replays the journal, and a server starts: what was acknowledged must be there. Only root can do this.
"""

import fcntl
import functools
import multiprocessing
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from state.errors import StateError
from state.files.disk import Disk
from tests.chaos import checks
from tests.chaos.children import LONGEST, fast_folder, in_child, reboot
from tests.chaos.report import Report
from tests.chaos.transitions import REUSING
from tests.chaos.world import Send, World
from tests.waiting import until

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
SIZE = 64 * 1024 * 1024
ROUNDS = 8
"""Power cuts of one disk before a new one is made."""
_FORK = multiprocessing.get_context("fork")


def run(seconds: float, seed: int) -> Report:
    """Cut and check, as long as there is time; at the end once more without syncs, which must be found."""
    report = Report("power cuts of a real ext4")
    report.skipped = why_not()
    if report.skipped is not None:
        return report
    chance = random.Random(seed)
    until = time.monotonic() + seconds * 0.9
    while time.monotonic() < until:
        with disk() as folder:
            acknowledged: list[checks.Fact] = []
            for number in range(ROUNDS):
                if time.monotonic() > until:
                    break
                acknowledged += cut_under_load(folder, chance.uniform(0.02, 0.6), f"boot {number}")
                report.count("cuts")
                report.faults += [
                    f"seed {seed}: {fault}" for fault in check_after(folder, acknowledged, f"boot {number} after")
                ]
                if report.faults:
                    return report
            report.count("promises", len(acknowledged))
    if not finds_missing_syncs(chance):
        report.faults.append("a server that never syncs lost nothing")
    return report


@functools.cache
def why_not() -> str | None:
    """Why this machine cannot mount an ext4 on a loop device; None when it can."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    if not shutil.which("mkfs.ext4"):
        return "there is no mkfs.ext4"
    try:
        with disk():
            return None
    except subprocess.CalledProcessError as error:
        return f"no ext4 on a loop device: {error.stderr.decode(errors='replace').strip() or error}"
    except (subprocess.SubprocessError, OSError) as error:
        return f"no ext4 on a loop device: {error}"


@contextmanager
def disk() -> Iterator[Path]:
    """The folder of a server whose `state` is a new disk."""
    with tempfile.TemporaryDirectory(prefix="loopdisk-", dir=fast_folder()) as place:
        folder = Path(place)
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(SIZE)
        _call("mkfs.ext4", "-q", str(image))
        (folder / "state").mkdir()
        (folder / "config").mkdir()
        (folder / "config/server.yaml").write_text("")
        (folder / "config/pools.yaml").write_text(REUSING)
        _mount(folder)
        try:
            (folder / "state" / "lost+found").rmdir()
            yield folder
        finally:
            _call("umount", str(folder / "state"))


def _mount(folder: Path) -> None:
    """Wait until the disk is released: mounted again too early, it is the one that was shut down, and refuses all."""
    image = str(folder / "image")
    until(lambda: not _call("losetup", "--associated", image), LONGEST, "the end of the disk that was shut down")
    _call("mount", "-o", "loop", image, str(folder / "state"))


def _call(*command: str) -> bytes:
    return subprocess.run(command, check=True, timeout=30, capture_output=True).stdout


def cut_under_load(folder: Path, after: float, boot: str, syncs: bool = True) -> list[checks.Fact]:
    """Let clients and a scheduler work, cut the power so many seconds after each has begun to acknowledge something;
    returns what they acknowledged.
    """
    writers = [_start(work, folder, boot, syncs) for work in (_take_and_close, _take_with_keys, _lead)]
    for _, pipe in writers:
        pipe.poll(LONGEST)
    time.sleep(after)
    descriptor = os.open(folder / "state", os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(descriptor)
    acknowledged: list[checks.Fact] = []
    for process, pipe in writers:
        process.kill()
        try:
            while True:
                acknowledged.append(pipe.recv())
        except EOFError:
            pass
        process.join()
        pipe.close()
    _call("umount", str(folder / "state"))
    _mount(folder)
    shutil.rmtree(folder / "farm" / "runs", ignore_errors=True)
    return acknowledged


def _start(work: Callable[[World, Send], None], folder: Path, boot: str, syncs: bool) -> tuple[Any, Any]:
    pipe, ours = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_write, args=(work, folder, boot, syncs, ours.send), daemon=True)
    process.start()
    ours.close()
    return process, pipe


def _write(work: Callable[[World, Send], None], folder: Path, boot: str, syncs: bool, send: Send) -> None:
    reboot(boot)
    if not syncs:
        Disk._sync = lambda self, descriptor, path: None  # type: ignore[method-assign]
    try:
        work(World(folder), send)
    except (StateError, OSError):
        pass


def _take_and_close(world: World, send: Send) -> None:
    mine: list[int] = []
    while True:
        mine.append(world.take("A").id)
        send(("created", mine[-1], None))
        if len(mine) > 3:
            number = mine.pop(0)
            world.close(number)
            send(("closed", number, None))


def _take_with_keys(world: World, send: Send) -> None:
    while True:
        key = f"key {time.time_ns()}"
        send(("tried", 0, key))
        number = world.take_once(key, "A").id
        send(("created", number, key))
        world.close(number)
        send(("closed", number, None))


def _lead(world: World, send: Send) -> None:
    world.lead()
    while True:
        process = world.process
        assert process is not None
        process.turns.turn(process.inbox.take(0.01))
        for ticket in world.granted():
            send(("granted", ticket.id, (ticket.resource, ticket.output)))


def check_after(folder: Path, acknowledged: list[checks.Fact], boot: str) -> list[str]:
    """Start a server after the reboot, run it to quiet; faults in words."""
    messages, _ = in_child(_check, folder, acknowledged, boot)
    wrong = [fact for kind, fact in messages if kind == "wrong"]
    return wrong or ([] if ("done", None) in messages else ["the start after the cut did not end"])


def _check(send: Send, folder: Path, acknowledged: list[checks.Fact], boot: str) -> None:
    reboot(boot)
    world = World(folder)
    faults = checks.whole(world) + checks.kept(world, acknowledged)
    world.rest()
    faults += checks.kept(world, acknowledged) + checks.holds(world)
    faults += checks.keeps_keys(world, acknowledged[-40:]) + checks.reuses_no_number(world, acknowledged)
    for fault in faults:
        send(("wrong", fault))
    send(("done", None))


def finds_missing_syncs(chance: random.Random, tries: int = 5) -> bool:
    """Whether a server that leaves out every sync is caught losing something."""
    for _ in range(tries):
        with disk() as folder:
            acknowledged = cut_under_load(folder, chance.uniform(0.2, 0.6), "boot", syncs=False)
            if check_after(folder, acknowledged, "boot after"):
                return True
    return False
