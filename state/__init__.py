"""The durable documents and the store that holds them. Start here: the contract in ten lines.

1. A store holds documents (`documents.py`): tickets, resources, pool records, intents, agents. A key finds each one.
2. `open_store` is the only door (`restore` fills an empty store). `store.py` is the protocol; `files/` implements it.
3. Readers take no lock and see the old or the new document, never half of one.
4. A returned `create`, `update`, `commit` or `read_durable` is a promise: the document survives a power cut.
5. Each transition is one document replaced at one instant; what spans two documents can be repeated.
6. Web functions create tickets and close them. Only the leader (`lead`) writes anything else.
7. Numbers are assigned by the store, in order, and never twice.
8. `changes` loses nothing: subscribe, then read, then wait. A changed kind without keys means: read all of it again.
9. Fields that a version does not know survive its updates. `lifecycle.py` says which state follows which.
10. Errors (`errors.py`) carry a place and a reason. A store that freezes confirms nothing until its process restarts.

This room must not import `config`, `functions` or `scheduler`. `host/` is about this machine and knows no documents.
"""

from pathlib import Path

from state.store import Dump, Store


def open_store(where: str | Path) -> Store:
    """The store in the folder `where`, which is made if needed.

    Raises StoreUnavailable when it cannot be used and UnknownFormat when a newer program wrote it.
    """
    # Only here, so that an import of documents loads no store.
    from state.files.store import FileStore

    return FileStore(Path(where))


def check_empty(where: str | Path) -> None:
    """Raise StoreInUse or UnknownFormat unless `restore` can fill the store in this folder; changes nothing."""
    from state.files import restore as files

    files.check_empty(Path(where))


def restore(where: str | Path, dump: Dump) -> None:
    """Fill the empty store in this folder: all documents or none; durable when this returns.

    Raises StoreInUse, UnknownFormat, StoreUnavailable and OSError.
    """
    from state.files import restore as files

    files.restore(Path(where), dump)
