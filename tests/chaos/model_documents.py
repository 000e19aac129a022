"""Reads a state folder again and again, parsing only what is new. It takes no lock and never writes."""

import os
from pathlib import Path
from typing import TypeVar

from state.documents import Document, Intent, Resource, Ticket

D = TypeVar("D", bound=Document)


class Documents:
    """The documents below `root`, each by the name of its file."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self._parsed: dict[str, tuple[bytes, Document]] = {}
        self._archived: dict[str, dict[str, Document]] = {"tickets/done/": {}, "resources/ended/": {}}

    def tickets(self) -> dict[str, Ticket]:
        """The tickets in open/."""
        return self._living(Ticket, "tickets/open/")

    def resources(self) -> dict[str, Resource]:
        """The resources in live/."""
        return self._living(Resource, "resources/live/")

    def intents(self) -> dict[str, Intent]:
        """The intents of operators."""
        return self._living(Intent, "intents/")

    def done(self) -> dict[str, Ticket]:
        """The settled tickets."""
        return self._archive(Ticket, "tickets/done/")

    def ended(self) -> dict[str, Resource]:
        """The ended resources."""
        return self._archive(Resource, "resources/ended/")

    def resource(self, number: int) -> Resource | None:
        """One of those in live/."""
        return self._read(Resource, f"resources/live/{number}.json")

    def _living(self, form: type[D], folder: str) -> dict[str, D]:
        names = sorted(os.listdir(self._root + folder))
        found = ((folder + name, self._read(form, folder + name)) for name in names)
        return {name: document for name, document in found if document is not None}

    def _archive(self, form: type[D], folder: str) -> dict[str, D]:
        """Finished documents never change, but are removed some day."""
        known = self._archived[folder]
        subfolders = os.listdir(self._root + folder)
        names = {f"{folder}{sub}/{name}" for sub in subfolders for name in os.listdir(f"{self._root}{folder}{sub}")}
        for name in known.keys() - names:
            del known[name]
        for name in sorted(names - known.keys()):
            document = self._read(form, name)
            if document is not None:
                known[name] = document
        return known  # type: ignore[return-value]

    def _read(self, form: type[D], name: str) -> D | None:
        try:
            with open(self._root + name, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        known = self._parsed.get(name)
        if known is None or known[0] != content:
            known = self._parsed[name] = content, form.from_json(content)
        return known[1]  # type: ignore[return-value]
