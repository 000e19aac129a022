"""Sandboxes: who waits in them, what serves them, and for whom one of their own resources could do."""

from collections.abc import Iterable

from functions.policy.snapshot.groups import Shelves
from functions.policy.snapshot.offers import Offer, Tags


class Pairs:
    """Waiting tickets and resources by their sandbox, and what of that fits together."""

    def __init__(self) -> None:
        self.waiting_in: Shelves[str, Tags] = Shelves()
        """Ids of waiting tickets by their sandbox, if they have one, and their tags."""
        self.covers: Shelves[str | None, tuple[Offer, bool]] = Shelves()
        """Ids of resources that can serve a ticket now (True) or may soon (False: STARTING, RELEASING, or UP and
        free but failing its livecheck), by their sandbox and offer."""
        self.kept: dict[str, frozenset[Tags]] = {}
        """By sandbox: tags of its waiting tickets that one of its own covers has. Sandboxes without any are absent."""

    def wait(self, id: int, sandbox: str | None, tags: Tags) -> None:
        """Let this ticket wait in the sandbox with these tags, or in none."""
        old = self.waiting_in.place_of(id)
        changed = self.waiting_in.drop(id) if sandbox is None else self.waiting_in.put(id, sandbox, tags)
        if changed:
            self._pair([old[0] if old else None, sandbox])

    def cover(self, id: int, sandbox: str | None, group: tuple[Offer, bool] | None) -> None:
        """Let this resource, which belongs to a sandbox or to none, serve as `group` says; None: not at all."""
        old = self.covers.place_of(id)
        changed = self.covers.drop(id) if group is None else self.covers.put(id, sandbox, group)
        if changed:
            self._pair([old[0] if old else None, sandbox])

    def _pair(self, sandboxes: Iterable[str | None]) -> None:
        for sandbox in sandboxes:
            if sandbox is None:
                continue
            offers = {offer.names for offer, _ in self.covers[sandbox]}
            waiting = self.waiting_in[sandbox] if offers else ()
            paired = frozenset(tags for tags in waiting if any(tags <= names for names in offers))
            if paired:
                self.kept[sandbox] = paired
            else:
                self.kept.pop(sandbox, None)
