"""Idempotency keys: the same key asks for the same ticket, however often and however concurrently it is sent.

`tickets/keys/SHA256.json` is written with the ticket's reserved number *before* the ticket: after a crash between
the two the next try creates the ticket with exactly that number. A key must go before its ticket does, so call
`Keys.thin_out` before `Archived.thin_out`, with the same time.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from state import locks
from state.documents import Ticket
from state.errors import Conflict, CorruptDocument, NotFound
from state.store import Store


class _Key(msgspec.Struct, frozen=True):
    """`body` is a hash of what was asked for with the key."""

    ticket: int
    body: str


class Keys:
    """The keys of one store."""

    def __init__(self, store: Store) -> None:
        self._tickets = store.tickets
        self._files = store._files
        self._locks = store.root / "locks"
        self.folder = store.root / "tickets" / "keys"
        self._files.make_folder(self.folder)

    def create_once(self, key: str, body: str, make: Callable[[int], Ticket]) -> tuple[Ticket, bool]:
        """The ticket of this key, and whether it is new; durable when this returns.

        `body` identifies what is asked for: raises Conflict (with the ticket's id) when the key stands for
        something else, and StoreUnavailable.
        """
        name = hashlib.sha256(key.encode()).hexdigest()
        body = hashlib.sha256(body.encode()).hexdigest()
        path = self.folder / f"{name}.json"
        with locks.brief(self._locks / f"keys-{name[0]}"):
            content = self._files.read(path)
            if content is None:
                known = _Key(self._free_number(), body)
                self._write_new(path, msgspec.json.encode(known) + b"\n")
            else:
                try:
                    known = msgspec.json.decode(content, type=_Key)
                except msgspec.DecodeError as error:
                    raise CorruptDocument(path, str(error)) from error
                if known.body != body:
                    raise Conflict("ticket", known.ticket, "its key was sent with another body")
                try:
                    return self._tickets.read_durable(known.ticket), False
                except NotFound:
                    pass
            ticket = make(known.ticket)
            self._write_new(self._tickets.path(ticket.id), ticket.to_json())
            return ticket, True

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

    def thin_out(self, before: float) -> int:
        """Forget the keys that were first sent before this time; returns how many."""
        removed = 0
        for name in self._files.names(self.folder):
            path = self.folder / name
            try:
                if path.stat().st_mtime >= before:
                    continue
            except FileNotFoundError:
                continue
            self._files.remove(path)
            removed += 1
        return removed
