"""Documents with an enum word that this version does not know: they stay where they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.integrity.fsck import examine
from functions.integrity.invariants import Kind
from functions.integrity.repair import repair
from state.documents import Agent, Document, HookKind, Intent, IntentKind, PoolRecord, Resource, Run, Ticket
from state.errors import CorruptDocument, NewerDocument
from state.files import checksum
from state.files.folder import Folder
from state.files.store import FileStore
from state.store import Batch, Put, Update

RUN = Run(id="000004_alloc_1", kind=HookKind.ALLOC, started_at=0.0)
RESOURCE = Resource(id=4, name="vm-4", pool="vm", run=RUN)
DOCUMENTS: dict[str, tuple[Document, tuple[str, ...]]] = {
    "ticket": (Ticket(id=4), ("state",)),
    "resource": (RESOURCE, ("state",)),
    "run of a resource": (RESOURCE, ("run", "kind")),
    "pool": (PoolRecord(name="vm"), ("mode",)),
    "intent": (Intent(id=4, kind=IntentKind.PAUSE_POOL, pool="vm"), ("kind",)),
    "agent": (Agent(id=4, group="workers"), ("state",)),
}
EACH = pytest.mark.parametrize("kind", DOCUMENTS)


def newer(document: Document, names: tuple[str, ...], word: Any = "LATER", **others: Any) -> bytes:
    """The document with this word in its field, and a right check sum."""
    fields: Any = json.loads(document.to_json()) | others
    place = fields
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = word
    return checksum.with_sum(json.dumps(fields, separators=(",", ":")).encode())


def folder_of(store: FileStore, document: Document) -> Folder[Any, Any]:
    folders: list[Folder[Any, Any]] = [store.tickets, store.resources, store.pools, store.intents, store.agents]
    return next(folder for folder in folders if folder.form is type(document))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "state")


def write(store: FileStore, document: Document, content: bytes) -> Path:
    path = folder_of(store, document).path(document.key)
    path.write_bytes(content)
    return path


@EACH
@pytest.mark.parametrize("has_sum", [True, False])
def test_document_with_an_unknown_word_stays_where_it_is(store: FileStore, kind: str, has_sum: bool) -> None:
    document, names = DOCUMENTS[kind]
    content = newer(document, names)
    path = write(store, document, content if has_sum else checksum.without_sum(content))
    before, folder = path.read_bytes(), folder_of(store, document)
    for read in (folder.read, folder.get_or_quarantine, folder.quarantine):
        with pytest.raises(NewerDocument, match="written by a newer version of this program"):
            read(document.key)
    for read_twice in (folder.get_or_quarantine, folder.quarantine):
        with pytest.raises(NewerDocument):
            read_twice(document.key, unreadable=True)
    assert folder.all() == ()
    contents = store.read_all()
    assert [fault.place for fault in contents.unreadable] == [folder.place(document.key)]
    assert contents.corrupt == []
    assert path.read_bytes() == before
    assert store.quarantine.list() == []


@EACH
def test_fsck_shows_a_newer_document_as_a_note(store: FileStore, kind: str) -> None:
    document, names = DOCUMENTS[kind]
    path = write(store, document, newer(document, names))
    found = examine(store.survey(0.0), None)
    assert [fault.kind for fault in found if fault.file == str(path.relative_to(store.root))] == [Kind.NEWER]
    assert all(fault.is_note for fault in found if fault.kind is Kind.NEWER)


@EACH
@pytest.mark.parametrize("wrong", ["check sum", "number", "other field", "key", "end"])
def test_document_with_anything_else_wrong_is_corrupt(store: FileStore, kind: str, wrong: str) -> None:
    document, names = DOCUMENTS[kind]
    content = newer(document, names)
    match wrong:
        case "check sum":
            content = content.replace(b"LATER", b"LATES")
        case "number":
            content = newer(document, names, 7)
        case "other field":
            content = newer(document, names, history=7, created_at="x")
        case "key":
            content = newer(document, names, **{document.KEY: "other" if isinstance(document, PoolRecord) else 5})
        case "end":
            content = checksum.without_sum(content)[:-2]
    write(store, document, content)
    folder = folder_of(store, document)
    _, fault = folder.get_or_quarantine(document.key)
    assert isinstance(fault, CorruptDocument)
    assert fault.quarantined is not None


@EACH
def test_repair_leaves_a_newer_document_alone(store: FileStore, kind: str) -> None:
    document, names = DOCUMENTS[kind]
    path = write(store, document, newer(document, names))
    before = path.read_bytes()
    repair(store.root, None, 0.0)
    assert path.read_bytes() == before
    assert store.quarantine.list() == []


def test_finished_document_with_an_unknown_word_stays(store: FileStore) -> None:
    path = store.tickets.archive_path(4)
    path.parent.mkdir(parents=True)
    path.write_bytes(newer(Ticket(id=4), ("state",)))
    (fault,) = store.corruption.check_finished()
    assert isinstance(fault, NewerDocument)
    assert path.exists()
    assert [*store.tickets.finished_since(0.0)] == []


def test_commit_of_a_ticket_that_is_newer_now_is_a_conflict(store: FileStore) -> None:
    base, other = Ticket(id=4), Ticket(id=5)
    store.commit(Batch([Put(base), Put(other)]))
    path = write(store, base, newer(base, ("state",)))
    before = path.read_bytes()
    updates = [Update(one, one.replace(reason="x")) for one in (base, other)]
    assert store.commit(Batch(updates)) == [base]
    assert path.read_bytes() == before
    assert store.tickets.read(5).reason == "x"


def test_quarantined_document_with_an_unknown_word_has_a_reason(store: FileStore) -> None:
    path = write(store, Ticket(id=4), newer(Ticket(id=4), ("state",)))
    store.quarantine.take(path)
    (thing,) = store.quarantine.list()
    assert "newer version" in (store.corruption.reason(thing) or "")
