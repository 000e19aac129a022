"""The README: its requests exist, its commands on documents work. tests/config/test_pools.py holds its pool options."""

import re
import subprocess
from pathlib import Path

import pytest

from functions.app import ROUTES
from state.documents import Resource, Ticket

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text under one heading."""
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_every_request_in_the_table_is_a_route() -> None:
    routes = {(method, re.sub(r"<\w+>", "X", path)) for method, path, _ in ROUTES}
    shown = re.findall(r"`(GET|POST|DELETE) (/[^`?]*)[`?]", "".join(row[0] for row in rows("Over HTTP")))
    assert len(shown) > 20
    assert [each for each in shown if (each[0], re.sub(r"/(42|17|NAME)", "/X", each[1])) not in routes] == []


@pytest.mark.parametrize(("number", "printed"), [(0, "43\n"), (1, "17\tp\tUP\t\n")])
def test_the_commands_on_the_state_folder_print_what_they_say(tmp_path: Path, number: int, printed: str) -> None:
    command = re.findall(r"^    (.*)$", section("The state folder"), re.MULTILINE)[number]
    documents = {
        "tickets/open/42.json": Ticket(id=42, tags=("a",), resource=17),
        "tickets/open/43.json": Ticket(id=43, tags=("a",)),
        "resources/live/17.json": Resource(id=17, name="p_17", pool="p", state="UP"),
    }
    for path, document in documents.items():
        file = tmp_path / "var" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(document.to_json())
    shown = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown == printed
