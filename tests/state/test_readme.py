"""The README's documents are real, its tables complete, and its commands do what it says."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from functions.policy.transitions.history import lines_of
from state.documents import Document, Event, Resource, Ticket
from state.files.checksum import decode, encode
from state.files.layout import FOLDERS
from state.files.store import FileStore
from state.store import Batch, Put

TEXT = (Path(__file__).parents[2] / "state" / "README.md").read_text()
EXAMPLES: dict[type[Document], str] = dict(
    zip((Ticket, Resource), re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL), strict=True)
)


def section(title: str) -> str:
    """The text under one heading."""
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[str]:
    """The texts in code marks in the first column of a section's table."""
    first_columns = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return [name for column in first_columns for name in re.findall(r"`(.+?)`", column)]


@pytest.mark.parametrize("form", EXAMPLES)
def test_the_examples_are_what_the_store_writes(form: type[Document]) -> None:
    shown = EXAMPLES[form]
    document = decode(form, shown.encode())
    assert document.unknown == {}
    assert list(msgspec.json.decode(encode(document)).items()) == list(msgspec.json.decode(shown).items())


@pytest.mark.parametrize(("form", "title"), [(Ticket, "A ticket"), (Resource, "A resource"), (Event, "Events")])
def test_every_field_is_described(form: type[msgspec.Struct], title: str) -> None:
    has_sum = {"sum"} if issubclass(form, Document) else set()
    assert sorted(rows(title)) == sorted(set(form.__struct_encode_fields__) - {"unknown"} | has_sum)


def test_every_folder_is_described() -> None:
    described = rows("Files and their writers")
    for folder in FOLDERS:
        assert any(path.startswith(f"{folder}/") or f"{folder}/".startswith(path) for path in described), folder


def commands() -> list[tuple[str, str]]:
    """The commands of all console blocks, each with the output that is shown."""
    blocks = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("flock")), reason="needs jq and flock")
def test_the_commands_do_what_they_show(store: FileStore) -> None:
    shown = [decode(form, text.encode()) for form, text in EXAMPLES.items()]
    store.commit(Batch([*map(Put, shown), Put(Ticket(id=43, tags=("arm",)))]))
    (store.root / "quarantine" / "tickets-open-44.1772360800000000000").write_text(
        '{"sum":"00000000","id":44,"state":"OPEN","tags":"builder","resource":null}'
    )
    store.tickets.reserve(50)
    ticket, resource = shown
    store.events.append([*lines_of(resource), lines_of(ticket)[1]], resource.created_at)

    assert len(commands()) > 8
    for command, output in commands():
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=store.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (command, ran.stdout, ran.returncode) == (command, output, 0)

    assert store.tickets.read(44) == Ticket(id=44, tags=("builder",))
    assert store.tickets.create(lambda number: Ticket(id=number)).id == 100_000
    assert list(store.resources.reserve(1)) == [100_000]
