"""Samples of the pools: `samples/NAME.jsonl`, one line a minute, for about a day. Not synced: for charts only."""

from operator import attrgetter
from typing import TypeVar

import msgspec

from state.errors import StoreUnavailable
from state.files.disk import Disk
from state.host.machine import FileStamp, stamp_of
from state.sample import Sample, Use

ENDING = ".jsonl"
KEPT = 1500
"""Lines that are kept when a file exceeds `MOST_BYTES`: a bit more than a day."""
MOST_BYTES = 512 * 1024
USE_EVERY = 4
"""A small chart reads one line of so many: it shows half an hour as one step."""
FORGOTTEN = 2 * 86400.0
"""Seconds after its last write after which a file is removed."""


S = TypeVar("S", Sample, Use)
_AT = attrgetter("at")
_sample_decoder = msgspec.json.Decoder(Sample)
_use_decoder = msgspec.json.Decoder(Use)


class SampleFiles:
    """The folder `samples/`. Only the leader adds to it. See `state.store.Samples`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folder = disk.root / "samples"
        self._read: dict[str, tuple[FileStamp, tuple[Sample, ...]]] = {}

    def add(self, pool: str, sample: Sample) -> None:
        path = self._folder / f"{pool}{ENDING}"
        size = self._disk.add_line(path, msgspec.json.encode(sample) + b"\n")
        if size > MOST_BYTES:
            lines = (self._disk.read(path) or b"").splitlines(keepends=True)
            self._disk.show(path, b"".join(lines[-KEPT:]))

    def read(self, pool: str) -> tuple[Sample, ...]:
        stamp = self.stamp(pool)
        if stamp is None:
            return ()
        known = self._read.get(pool)
        if known is None or known[0] != stamp:
            try:
                known = self._read[pool] = stamp, _decode(_sample_decoder, self._content(pool))
            except (OSError, StoreUnavailable):
                return ()
        return known[1]

    def read_use(self, pool: str) -> tuple[Use, ...]:
        try:
            lines = self._content(pool).split(b"\n")
            return _decode(_use_decoder, b"\n".join(lines[::USE_EVERY]))
        except (OSError, StoreUnavailable):
            return ()

    def stamp(self, pool: str) -> FileStamp | None:
        return stamp_of(self._folder / f"{pool}{ENDING}")

    def _content(self, pool: str) -> bytes:
        return self._disk.read(self._folder / f"{pool}{ENDING}") or b""

    def thin_out(self, now: float) -> None:
        """Remove the files of removed pools."""
        for name in self._disk.names(self._folder):
            path = self._folder / name
            try:
                if path.stat().st_mtime < now - FORGOTTEN:
                    self._disk.remove(path)
            except OSError:
                continue


def _decode(decoder: msgspec.json.Decoder[S], content: bytes) -> tuple[S, ...]:
    try:
        found = decoder.decode_lines(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = [sample for line in content.splitlines() if (sample := _decode_line(decoder, line)) is not None]
    # The clock may have been set back in between.
    return tuple(sorted(found, key=_AT))


def _decode_line(decoder: msgspec.json.Decoder[S], line: bytes) -> S | None:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
