"""The migration guide: each test that it names exists, it has every feature, and its commands exist."""

import ast
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from config.pools import Pool
from config.settings import Settings
from functions.tickets.xmlrpc import METHODS
from state.documents import HookKind, ResourceState, TicketState

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "from-resalloc.md").read_text()
MOVE, TABLES = GUIDE.split("## Every feature and its test")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in TABLES.splitlines() if line[:1] == "|"
]
FEATURES = [cells for cells in ROWS if cells[0] not in ("feature", "---")]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SERVER_OPTIONS = ("hostname", "host", "port", "logdir", "loglevel", "sleeptime", "db_url", "state_dir")
"""The options of server.yaml of resalloc 6.3, and the folder of the state."""
MAINT_OPTIONS = ("--up", "--all", "--unused", "--command")


def collected(path: Path) -> set[str]:
    """The names of the test functions in a file that pytest would collect."""
    names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    return {name for name in names if path.name.startswith("test_") and name.startswith("test_")}


def is_named(word: str) -> bool:
    """Whether a feature has this word in code marks, alone or at the beginning of a command line."""
    return any(re.search(rf"`{re.escape(word)}(`|[ (])", feature) for feature, _ in FEATURES)


def test_every_feature_names_a_test() -> None:
    for cells in FEATURES:
        assert len(cells) == 2, cells
        assert re.fullmatch(rf"{TEST.pattern}( {TEST.pattern})*", cells[1]), cells


def test_every_named_test_exists() -> None:
    named = set(TEST.findall(GUIDE))
    assert len(named) > 150
    files = {file: collected(ROOT / file) for file, _ in named if (ROOT / file).is_file()}
    assert sorted(f"{file}::{name}" for file, name in named if name not in files.get(file, ())) == []


def test_no_feature_is_twice_in_a_section() -> None:
    for section in TABLES.split("\n### ")[1:]:
        features = re.findall(r"^\| (.*?) \| `", section, re.MULTILINE)
        continued = [feature for feature in features if not feature.startswith("…")]
        assert len(continued) == len(set(continued)), section.splitlines()[0]


def default_of(option: FieldInfo) -> str:
    """The default of an option as the guide writes it."""
    if option.required:
        return "required"
    if option.default is None:
        return "none"
    if option.default in ((), NODEFAULT):
        return "[]"
    return str(option.default).lower() if isinstance(option.default, bool) else str(option.default)


@pytest.mark.parametrize(
    "option", [field for field in fields(Pool) if field.name != "name"], ids=lambda field: field.name
)
def test_every_option_of_a_pool_is_there_with_its_default(option: FieldInfo) -> None:
    assert f"| `{option.name}` ({default_of(option)})" in TABLES


@pytest.mark.parametrize("option", SERVER_OPTIONS)
def test_every_option_of_server_yaml_is_there_with_its_default(option: str) -> None:
    assert is_named(option)
    default = getattr(Settings, option, None)
    assert default is None or f"| `{option}` ({default})" in TABLES


def test_every_method_of_the_old_protocol_is_there() -> None:
    assert [name for name in METHODS if not is_named(name)] == []


def test_every_state_and_every_kind_of_log_is_there() -> None:
    words = [*ResourceState, *TicketState, *HookKind]
    assert [word for word in words if f"`{word}`" not in TABLES and f"_{word}`" not in TABLES] == []


def commands_of(program: str) -> set[str]:
    """The commands that the help of a program lists."""
    text = subprocess.run(
        [ROOT / "shim" / program, "--help"], check=True, capture_output=True, timeout=20
    ).stdout.decode()
    return set(re.findall(r"^((?:ticket|resource|foreach)[a-z-]*) ", text, re.MULTILINE))


def test_every_command_of_the_shims_is_there() -> None:
    assert commands_of("resalloc") == {"ticket", "ticket-check", "ticket-wait", "ticket-close", "ticket-explain"}
    assert len(commands_of("resalloc-maint")) == 8
    for program in ("resalloc", "resalloc-maint"):
        assert [command for command in commands_of(program) if not is_named(f"{program} {command}")] == []
    assert [path.name for path in (ROOT / "shim").iterdir() if path.is_file() and not is_named(path.name)] == []
    assert [option for option in MAINT_OPTIONS if option not in TABLES] == []


def command_lines() -> list[str]:
    """The commands that the guide shows."""
    return re.findall(r"^ {7}(\S.*)$", MOVE, re.MULTILINE)


def test_the_commands_that_it_shows_exist() -> None:
    assert len(command_lines()) >= 8
    python = "/usr/lib/resalloc-functions/venv/bin/python -m "
    for line in command_lines():
        words = re.sub(r"^([A-Z_]+=\S+ )*(runuser -u resalloc -- )?", "", line).split()
        program = words[0]
        if program.startswith("/"):
            module = line.split(python)[1].split()[0]
            assert importlib.util.find_spec(module), line
        elif (ROOT / "shim" / program).exists():
            assert words[1] in commands_of(program), line
        else:
            assert program in ("cd", "systemctl", "curl") or shutil.which(program), line


def test_pages_and_units_that_it_names_exist() -> None:
    for page in re.findall(r"\]\(([\w.-]+)\)", GUIDE):
        assert (ROOT / "docs" / page).is_file(), page
    for unit in set(re.findall(r"resalloc-functions[\w-]*\.(?:target|service)", GUIDE)):
        assert (ROOT / "config" / "systemd" / unit).is_file(), unit
