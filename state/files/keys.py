"""Idempotency keys: the same key asks for the same ticket, however often and however concurrently it is sent.

`tickets/keys/SHA256.json` is written with the ticket's reserved number *before* the ticket: after a crash between
the two the next try creates the ticket with exactly that number. Old keys are forgotten by `Keys.check`.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from state.documents import Ticket
from state.errors import Conflict, CorruptDocument, NotFound, StoreUnavailable
from state.files import checksum, locks
from state.files.disk import NO_DOCUMENT
from state.files.staging import Files
from state.store import Store

UNUSED_FOR = 86400.0
"""Seconds after which a key whose ticket is gone is no trace of a crash: its ticket has been thinned out."""


class Key(msgspec.Struct, frozen=True):
    """`body` is a hash of what was asked for with the key. On the disk its check sum stands first."""

    ticket: int
    body: str


class Keys:
    """The keys of one store."""

    def __init__(self, store: Store) -> None:
        self._tickets = store.tickets
        self._files = store._files
        self._aside = store.quarantine
        self._locks = store.root / "locks"
        self.folder = store.root / "tickets" / "keys"

    def create_once(self, key: str, body: str, make: Callable[[int], Ticket]) -> tuple[Ticket, bool]:
        """The ticket of this key, and whether it is new; durable when this returns.

        `body` identifies what is asked for: raises Conflict (with the ticket's id) when the key stands for
        something else, CorruptDocument when nobody can tell any more which ticket it stands for, and StoreUnavailable.
        """
        name = hashlib.sha256(key.encode()).hexdigest()
        body = hashlib.sha256(body.encode()).hexdigest()
        path = self.folder / f"{name}.json"
        with locks.brief(self._locks / f"keys-{name[0]}"):
            known = self._known(path)
            if known is not None:
                if known.body != body:
                    raise Conflict("ticket", known.ticket, "its key was sent with another body")
                try:
                    return self._tickets.read_durable(known.ticket), False
                except NotFound:
                    if path.stat().st_mtime < time.time() - UNUSED_FOR:
                        self._files.remove(path)
                        known = None
            if known is None:
                known = Key(self._free_number(), body)
                self._write_new(path, checksum.with_sum(msgspec.json.encode(known) + b"\n"))
            ticket = make(known.ticket)
            try:
                self._write_new(self._tickets.path(ticket.id), ticket.to_json())
            except FileExistsError:
                # Somebody put the lost ticket back in this moment.
                return self._tickets.read_durable(ticket.id), False
            return ticket, True

    def read(self, name: str) -> Key | None:
        """What the file of this name holds, None when it is gone; raises CorruptDocument and StoreUnavailable."""
        return read_key(self._files, self.folder / name)

    def _known(self, path: Path) -> Key | None:
        try:
            known = self.read(path.name)
        except CorruptDocument as fault:
            raise CorruptDocument(path, fault.why, self._aside.take(path)) from fault
        if known is None and self._aside.holds("tickets/keys", path.stem):
            raise CorruptDocument(path, "it is in quarantine")
        return known

    def _write_new(self, path: Path, content: bytes) -> None:
        staged = self._files.stage(content)
        try:
            self._files.publish_new(staged, path)
        except BaseException:
            self._files.discard(staged)
            raise
        self._files.sync_folder(path.parent)

    def _free_number(self) -> int:
        while True:
            (number,) = self._tickets.reserve(1)
            try:
                self._tickets.read(number)
            except NotFound:
                return number

    def names(self) -> Iterator[str]:
        """The names of all files of keys, one by one: a retention may hold millions."""
        return self._files.each_name(self.folder)

    def check(self, name: str, before: float) -> CorruptDocument | None:
        """Forget the key in this file if it was first sent before this time; move it aside if it does not parse."""
        path = self.folder / name
        try:
            if path.stat().st_mtime < before:
                self._files.remove(path)
            else:
                self.read(name)
        except FileNotFoundError:
            pass
        except CorruptDocument:
            with locks.brief(self._locks / f"keys-{name[0]}"):
                try:
                    self.read(name)
                except CorruptDocument as fault:
                    return CorruptDocument(path, fault.why, self._aside.take(path))
        return None


def read_key(files: Files, path: Path) -> Key | None:
    """What a key's file holds, None when it is gone; raises CorruptDocument and StoreUnavailable."""
    try:
        content = files.read(path)
        if content is None:
            return None
        key = msgspec.json.decode(content, type=Key)
        checksum.check(content)
        return key
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptDocument(path, str(error)) from error
    except StoreUnavailable as refused:
        if refused.error.errno not in NO_DOCUMENT:
            raise
        raise CorruptDocument(path, NO_DOCUMENT[refused.error.errno]) from refused
