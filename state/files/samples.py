"""Samples of the pools: `samples/NAME.jsonl`, a line a minute, for about a day. Not synced, for looking at only."""

from operator import attrgetter
from typing import TypeVar

import msgspec

from state.errors import StoreUnavailable
from state.files.staging import Files

ENDING = ".jsonl"
PERIOD = 60.0
"""Seconds between two samples of a pool."""
KEPT = 1500
"""Lines that a file is cut to when it is longer than `MOST_BYTES`: a bit more than a day."""
MOST_BYTES = 512 * 1024
USE_EVERY = 4
"""How many lines there are for each that a small chart is drawn of: it shows half an hour as one step."""
FORGOTTEN = 2 * 86400.0
"""Seconds after which a file that nobody writes any more is removed."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pool at one time, and what happened since the sample before. Fields that are 0 or not known are left out.

    `going` are resources that are released or deleted, `waiting` the tickets that it could serve, `oldest` how long the
    first of them has waited, `grants` how many got a resource of it, `waited` and `waited_longest` how long those had
    waited (median, and most), `started` and `failed` how many starts ended, `start_took` how long the good ones took
    (median). Times are seconds.
    """

    at: float
    max: int = 0
    taken: int = 0
    ready: int = 0
    starting: int = 0
    going: int = 0
    waiting: int = 0
    oldest: float = 0.0
    grants: int = 0
    waited: float | None = None
    waited_longest: float | None = None
    started: int = 0
    failed: int = 0
    start_took: float | None = None


class Use(msgspec.Struct, frozen=True, gc=False):
    """The little of a sample that a small chart needs: a whole farm of them is decoded at once, and not kept."""

    at: float
    max: int = 0
    taken: int = 0


Stamp = tuple[int, int, int]
"""What tells that a file was changed."""
S = TypeVar("S", Sample, Use)
_AT = attrgetter("at")
_sample_decoder = msgspec.json.Decoder(Sample)
_use_decoder = msgspec.json.Decoder(Use)


class Samples:
    """The folder `samples/`. Only the leader adds to it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._folder = files.root / "samples"
        self._read: dict[str, tuple[Stamp, tuple[Sample, ...]]] = {}

    def add(self, pool: str, sample: Sample) -> None:
        """Append a sample; raises StoreUnavailable."""
        path = self._folder / f"{pool}{ENDING}"
        size = self._files.add_line(path, msgspec.json.encode(sample) + b"\n")
        if size > MOST_BYTES:
            lines = (self._files.read(path) or b"").splitlines(keepends=True)
            self._files.show(path, b"".join(lines[-KEPT:]))

    def read(self, pool: str) -> tuple[Sample, ...]:
        """The samples of a pool in the order of their times; what is damaged is left out.

        The same tuple while nothing was added. Any thread may read.
        """
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
        """How much of the pool was used, of one sample out of `USE_EVERY`; read anew each time."""
        try:
            lines = self._content(pool).split(b"\n")
            return _decode(_use_decoder, b"\n".join(lines[::USE_EVERY]))
        except (OSError, StoreUnavailable):
            return ()

    def stamp(self, pool: str) -> Stamp | None:
        """Another one whenever something was added to the samples of a pool; None when there are none."""
        try:
            status = (self._folder / f"{pool}{ENDING}").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _content(self, pool: str) -> bytes:
        return self._files.read(self._folder / f"{pool}{ENDING}") or b""

    def thin_out(self, now: float) -> None:
        """Remove the files of pools that are gone."""
        for name in self._files.names(self._folder):
            path = self._folder / name
            try:
                if path.stat().st_mtime < now - FORGOTTEN:
                    self._files.remove(path)
            except OSError:
                continue


def _decode(decoder: msgspec.json.Decoder[S], content: bytes) -> tuple[S, ...]:
    try:
        found = decoder.decode_lines(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = [sample for line in content.splitlines() if (sample := _decode_line(decoder, line)) is not None]
    # The clock may have been set back meanwhile.
    return tuple(sorted(found, key=_AT))


def _decode_line(decoder: msgspec.json.Decoder[S], line: bytes) -> S | None:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
