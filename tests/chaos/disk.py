"""Intercepts every file operation of this process below one folder."""

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The functions without interception.
_open, _close, _write, _pwrite, _read = os.open, os.close, os.write, os.pwrite, os.read
_fsync, _rename, _link, _unlink = os.fsync, os.rename, os.link, os.unlink
_truncate, _ftruncate = os.truncate, os.ftruncate
_mkdir, _rmdir, _listdir, _io_open = os.mkdir, os.rmdir, os.listdir, io.open
_Popen = subprocess.Popen
unseen_open = io.open
"""Opens a file without interception, for checks that only read."""


@dataclass(frozen=True)
class Operation:
    """One call: `path` is absolute, `target` the new name of a rename or link, `data` what is written.

    `changes`: whether it can change anything on the disk; `truncates`: whether an open empties the file. A write
    without an `offset` goes on where the last one ended; of a truncate it is the size that is left.
    """

    name: str
    path: str
    changes: bool
    target: str | None = None
    data: bytes | None = None
    offset: int | None = None
    truncates: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.path}" + (f" -> {self.target}" if self.target else "")


Meddle = Callable[[Operation, Callable[..., Any]], Any]
"""Gets an operation and what makes it (for writes: with the data to write), and does as it likes."""


@contextmanager
def meddled(root: Path, meddle: Meddle) -> Iterator[None]:
    """Give every file operation of this process below `root`, and every start of a process, to `meddle`."""
    between = _Between(str(root), meddle)
    patched = {
        **{(os, name): getattr(between, name) for name in _Between.CALLS},
        (io, "open"): between.io_open,
        (Path, "write_bytes"): lambda path, data: between.write_file(path, data),  # noqa: PLW0108  # is bound to a path
        (Path, "write_text"): lambda path, text: between.write_file(path, text.encode()),
        (subprocess, "Popen"): between.popen,
    }
    before = {(place, name): getattr(place, name) for place, name in patched}
    for (place, name), call in patched.items():
        setattr(place, name, call)
    try:
        yield
    finally:
        for (place, name), call in before.items():
            setattr(place, name, call)


class _Between:
    CALLS = (
        "open",
        "close",
        "read",
        "write",
        "pwrite",
        "truncate",
        "ftruncate",
        "fsync",
        "rename",
        "link",
        "unlink",
        "mkdir",
        "rmdir",
        "listdir",
    )

    def __init__(self, root: str, meddle: Meddle) -> None:
        self._inside = root + os.sep
        self._root = root
        self._meddle = meddle
        self._paths: dict[int, str] = {}

    def _place(self, path: Any, folder: int | None = None) -> str | None:
        """The path if it is below the root, else None."""
        if isinstance(path, int):
            return self._paths.get(path)
        place = os.fsdecode(path)
        if folder is not None:
            place = os.path.join(self._paths.get(folder, ""), place)
        return place if place == self._root or place.startswith(self._inside) else None

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._place(path, dir_fd)
        if place is None:
            return _open(path, flags, mode, dir_fd=dir_fd)
        truncates = bool(flags & os.O_TRUNC)
        operation = Operation("open", place, changes=bool(flags & os.O_CREAT) or truncates, truncates=truncates)
        descriptor: int = self._meddle(operation, lambda: _open(path, flags, mode, dir_fd=dir_fd))
        self._paths[descriptor] = place
        return descriptor

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        _close(descriptor)

    def read(self, descriptor: int, length: int) -> bytes:
        place = self._paths.get(descriptor)
        if place is None:
            return _read(descriptor, length)
        data: bytes = self._meddle(Operation("read", place, changes=False), lambda: _read(descriptor, length))
        return data

    def write(self, descriptor: int, data: Any) -> int:
        place = self._paths.get(descriptor)
        if place is None:
            return _write(descriptor, data)
        operation = Operation("write", place, changes=True, data=bytes(data))
        written: int = self._meddle(operation, lambda part: _write(descriptor, part))
        return written

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        place = self._paths.get(descriptor)
        if place is None:
            return _pwrite(descriptor, data, offset)
        operation = Operation("write", place, changes=True, data=bytes(data), offset=offset)
        written: int = self._meddle(operation, lambda part: _pwrite(descriptor, part, offset))
        return written

    def truncate(self, path: Any, length: int) -> None:
        place = self._place(path)
        if place is None:
            return _truncate(path, length)
        self._meddle(Operation("truncate", place, changes=True, offset=length), lambda: _truncate(path, length))

    def ftruncate(self, descriptor: int, length: int) -> None:
        place = self._paths.get(descriptor)
        if place is None:
            return _ftruncate(descriptor, length)
        operation = Operation("truncate", place, changes=True, offset=length)
        self._meddle(operation, lambda: _ftruncate(descriptor, length))

    def fsync(self, descriptor: int) -> None:
        place = self._paths.get(descriptor)
        if place is None:
            return _fsync(descriptor)
        self._meddle(Operation("fsync", place, changes=True), lambda: _fsync(descriptor))

    def rename(self, source: Any, target: Any, **folders: Any) -> None:
        self._pair("rename", _rename, source, target, folders)

    def link(self, source: Any, target: Any, **folders: Any) -> None:
        self._pair("link", _link, source, target, folders)

    def _pair(self, name: str, call: Callable[..., None], source: Any, target: Any, folders: dict[str, Any]) -> None:
        place, new = self._place(source), self._place(target)
        if place is None or new is None:
            return call(source, target, **folders)
        self._meddle(Operation(name, place, changes=True, target=new), lambda: call(source, target, **folders))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._single("unlink", _unlink, path, dir_fd)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._single("rmdir", _rmdir, path, dir_fd)

    def _single(self, name: str, call: Callable[..., None], path: Any, folder: int | None) -> None:
        place = self._place(path, folder)
        if place is None:
            return call(path, dir_fd=folder)
        self._meddle(Operation(name, place, changes=True), lambda: call(path, dir_fd=folder))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is None:
            return _mkdir(path, mode, dir_fd=dir_fd)
        self._meddle(Operation("mkdir", place, changes=True), lambda: _mkdir(path, mode, dir_fd=dir_fd))

    def listdir(self, path: Any = ".") -> list[str]:
        place = self._place(path)
        if place is None:
            return _listdir(path)
        names: list[str] = self._meddle(Operation("listdir", place, changes=False), lambda: _listdir(path))
        return names

    def io_open(self, path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """For reading: what is written goes through `write_file`."""
        place = self._place(path)
        if place is None or "r" not in mode:
            return _io_open(path, mode, *arguments, **options)
        return self._meddle(
            Operation("open", place, changes=False), lambda: _io_open(path, mode, *arguments, **options)
        )

    def write_file(self, path: Path, data: bytes) -> int:
        """Like `Path.write_bytes`, in calls that are intercepted."""
        descriptor = self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            written = 0
            while written < len(data):
                written += self.write(descriptor, data[written:])
        finally:
            self.close(descriptor)
        return len(data)

    def popen(self, *arguments: Any, **options: Any) -> Any:
        return self._meddle(Operation("spawn", "", changes=True), lambda: _Popen(*arguments, **options))
