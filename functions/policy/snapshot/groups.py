"""Sorted groups of documents, kept up while documents come, change and go."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from sortedcontainers import SortedList

G = TypeVar("G", bound=Hashable)
S = TypeVar("S", bound=Hashable)


class Groups(Generic[G]):
    """Entries in groups, each group sorted. A document stands in at most one group; an empty group is gone.

    An entry is the document's id, or a tuple of what to sort by and the id.
    """

    __slots__ = ("_groups", "_places")

    def __init__(self) -> None:
        self._groups: dict[G, Any] = {}
        self._places: dict[int, tuple[G, Any]] = {}

    def put(self, id: int, group: G | None, entry: Any) -> bool:
        """Let document `id` stand in `group` only (None: in none); tells whether a group came up or went away."""
        if group is None:
            return self.drop(id)
        place = (group, entry)
        old = self._places.get(id)
        if old == place:
            return False
        vanished = old is not None and self._leave(old)
        self._places[id] = place
        entries = self._groups.get(group)
        if entries is None:
            self._groups[group] = SortedList((entry,))
            return True
        entries.add(entry)
        return vanished

    def drop(self, id: int) -> bool:
        """Let document `id` stand nowhere; tells whether its group went away."""
        place = self._places.pop(id, None)
        return place is not None and self._leave(place)

    def _leave(self, place: tuple[G, Any]) -> bool:
        group, entry = place
        entries = self._groups[group]
        entries.remove(entry)
        if entries:
            return False
        del self._groups[group]
        return True

    def group_of(self, id: int) -> G | None:
        """Where document `id` stands."""
        place = self._places.get(id)
        return place[0] if place else None

    def __getitem__(self, group: G) -> Sequence[Any]:
        entries: Sequence[Any] = self._groups.get(group, ())
        return entries

    def __iter__(self) -> Iterator[G]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


class Shelves(Generic[S, G]):
    """Groups of ids on shelves: what one shelf holds is found without looking at the others."""

    __slots__ = ("_places", "_shelves")

    def __init__(self) -> None:
        self._shelves: dict[S, Groups[G]] = {}
        self._places: dict[int, S] = {}

    def put(self, id: int, shelf: S, group: G) -> bool:
        """Let document `id` stand in this group of this shelf only; tells whether a group of it came or went."""
        changed = self._places.get(id, shelf) != shelf and self.drop(id)
        self._places[id] = shelf
        groups = self._shelves.get(shelf)
        if groups is None:
            groups = self._shelves[shelf] = Groups()
        return groups.put(id, group, id) or changed

    def drop(self, id: int) -> bool:
        """Let document `id` stand nowhere; tells whether its group went away."""
        if id not in self._places:
            return False
        shelf = self._places.pop(id)
        groups = self._shelves[shelf]
        vanished = groups.drop(id)
        if not groups:
            del self._shelves[shelf]
        return vanished

    def place_of(self, id: int) -> tuple[S, G] | None:
        """Where document `id` stands: its shelf and its group."""
        if id not in self._places:
            return None
        shelf = self._places[id]
        group = self._shelves[shelf].group_of(id)
        return None if group is None else (shelf, group)

    def __getitem__(self, shelf: S) -> Groups[G]:
        groups = self._shelves.get(shelf)
        return Groups() if groups is None else groups
