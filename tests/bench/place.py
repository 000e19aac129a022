"""The place of a benchmark: fresh folders, farms in them, and the sizes of its work."""

import fcntl
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.farm import Farm, Hello

FILES = 1_000_000
"""Finished documents that row 9 puts on disk."""


class Place:
    """Gives each run a fresh folder below `root` and removes them all at the end.

    Removing a large folder slows the disk for seconds, so nothing is removed in between. `runs` is how often each row
    is measured, None for what the row says; `quick` is for trying the suite, its figures mean nothing.
    """

    def __init__(self, root: Path, quick: bool, runs: int | None = None, files: int = FILES) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = Path(tempfile.mkdtemp(prefix="bench-", dir=root))
        _keep_apart(self._root)
        self.quick = quick
        self._runs = runs
        self.files = files

    def runs(self, usual: int) -> range:
        """The numbers of the runs, `usual` of them unless the command line says otherwise."""
        return range(self._runs or (1 if self.quick else usual))

    def size(self, full: int, quick: int) -> int:
        """A number of repetitions: `quick` in the quick form."""
        return quick if self.quick else full

    def folder(self) -> Path:
        """A fresh folder on the disk that is measured."""
        return Path(tempfile.mkdtemp(dir=self._root))

    @contextmanager
    def farm(
        self, pools: Mapping[str, Mapping[str, Any]], folder: Path | None = None, start: bool = True
    ) -> Iterator[Farm]:
        """A farm with these pools in `folder` (a fresh one by default), stopped at the end."""
        farm = Farm(folder or self.folder())
        farm.set_pools(pools)
        try:
            if start:
                farm.start()
            yield farm
        finally:
            farm.stop()

    @contextmanager
    def hello(self) -> Iterator[Hello]:
        """The bare limit of every request: gunicorn as configured for the farm, with an application that says hello."""
        hello = Hello(self.folder())
        try:
            hello.start()
            yield hello
        finally:
            hello.stop()

    def note(self, text: str) -> None:
        """Print what is measured now, for the person at the terminal."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def clean(self) -> None:
        """Remove all that the runs left, then wait for the disk."""
        shutil.rmtree(self._root, ignore_errors=True)
        os.sync()


_GET_FLAGS, _SET_FLAGS, _TOP_FOLDER = 0x80086601, 0x40086602, 0x20000


def _keep_apart(folder: Path) -> None:
    """Ask ext4 to put each folder in this one somewhere else on the disk, as it does with those of the top level.

    Neighbours share tables of inodes. An ext4 without a journal checks every inode in them that was ever deleted
    before it takes a new one, so that a run would pay for what others have removed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(struct.calcsize("l"))))
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _TOP_FOLDER))
    except OSError:
        pass  # another file system
    finally:
        os.close(descriptor)
