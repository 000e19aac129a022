"""Idempotency keys: requests with the same key create one ticket, however many are sent, also at the same time.

`tickets/keys/SHA256.json` is written with the ticket's reserved number *before* the ticket: after a crash between the
two, the next try creates the ticket with exactly that number.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from state.documents import Ticket
from state.errors import Conflict, CorruptDocument, NotFound, UnreadableDocument
from state.files import checksum
from state.files.archive import ArchivedFolder
from state.files.disk import NOT_A_DOCUMENT, Disk, DiskError
from state.files.quarantine import Quarantine

UNUSED_FOR = 86400.0
"""Seconds after which a key without its ticket is no trace of a crash: the ticket was removed after its retention."""


class Key(msgspec.Struct, frozen=True):
    """`body` is a hash of the request that came with the key. In the file, a check sum precedes it."""

    ticket: int
    body: str


class KeyFiles:
    """The folder `tickets/keys/`. See `state.store.Keys`."""

    def __init__(self, disk: Disk, tickets: ArchivedFolder[Ticket]) -> None:
        self._disk = disk
        self._tickets = tickets
        self._quarantine = Quarantine(disk)
        self.folder = disk.root / "tickets" / "keys"

    def create_once(self, key: str, body: str, make: Callable[[int], Ticket]) -> tuple[Ticket, bool]:
        name = hashlib.sha256(key.encode()).hexdigest()
        body = hashlib.sha256(body.encode()).hexdigest()
        path = self.folder / f"{name}.json"
        with self._disk.lock(f"keys-{name[0]}"):
            known = self._known(path)
            if known is not None:
                if known.body != body:
                    raise Conflict("ticket", known.ticket, "its key was sent with another body")
                try:
                    return self._tickets.read_durable(known.ticket), False
                except NotFound:
                    if path.stat().st_mtime < time.time() - UNUSED_FOR:
                        self._disk.remove(path)
                        known = None
            if known is None:
                known = Key(self._free_number(), body)
                self._write_new(path, checksum.with_sum(msgspec.json.encode(known) + b"\n"))
            ticket = make(known.ticket)
            try:
                self._write_new(self._tickets.path(ticket.id), checksum.encode(ticket))
            except FileExistsError:
                # The missing ticket was put back in this moment.
                return self._tickets.read_durable(ticket.id), False
            return ticket, True

    def read(self, name: str) -> Key | None:
        """The key in the file of this name, None when there is none; raises CorruptDocument and StoreUnavailable."""
        return read_key(self._disk, self.folder / name)

    def _known(self, path: Path) -> Key | None:
        try:
            known = self.read(path.name)
        except CorruptDocument as fault:
            raise CorruptDocument(fault.place, fault.reason, self._quarantine.take(path)) from fault
        if known is None and self._quarantine.holds("tickets/keys", path.stem):
            raise CorruptDocument(self._disk.place(path), "it is in quarantine")
        return known

    def _write_new(self, path: Path, content: bytes) -> None:
        staged = self._disk.stage(content)
        try:
            self._disk.publish_new(staged, path)
        except BaseException:
            self._disk.discard(staged)
            raise
        self._disk.sync_folder(path.parent)

    def _free_number(self) -> int:
        while True:
            (number,) = self._tickets.reserve(1)
            try:
                self._tickets.read(number)
            except NotFound:
                return number

    def forget_before(self, time: float) -> Iterator[CorruptDocument | UnreadableDocument | None]:
        # One by one: a retention may hold millions of keys.
        for name in self._disk.each_name(self.folder):
            try:
                yield self.check(name, time)
            except DiskError as refused:
                if not refused.one_document:
                    raise
                yield UnreadableDocument(refused.place, refused.reason)

    def check(self, name: str, before: float) -> CorruptDocument | None:
        """Forget the key in this file if it was first sent before this time; quarantine and return it if corrupt."""
        path = self.folder / name
        try:
            if path.stat().st_mtime < before:
                self._disk.remove(path)
            else:
                self.read(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise DiskError(self._disk.place(path), error) from error
        except CorruptDocument:
            with self._disk.lock(f"keys-{name[0]}"):
                try:
                    self.read(name)
                except CorruptDocument as fault:
                    return CorruptDocument(fault.place, fault.reason, self._quarantine.take(path))
        return None


def read_key(disk: Disk, path: Path) -> Key | None:
    """The key in a file, None when there is no file; raises CorruptDocument and StoreUnavailable."""
    try:
        content = disk.read(path)
        return None if content is None else msgspec.json.decode(checksum.without_sum(content), type=Key)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptDocument(disk.place(path), str(error)) from error
    except DiskError as refused:
        if refused.error.errno not in NOT_A_DOCUMENT:
            raise
        raise CorruptDocument(refused.place, NOT_A_DOCUMENT[refused.error.errno]) from refused
