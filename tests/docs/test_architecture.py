"""ARCHITECTURE.md: its table of rooms is what the import contracts in pyproject.toml say, for folders that exist."""

import re
import tomllib
from itertools import permutations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PYTHON = ("functions", "state", "scheduler", "config")


def table() -> dict[str, tuple[list[str], str]]:
    """By path of the room: the rooms that it may import, as written, and the file to start at."""
    found = {}
    for line in re.findall(r"^\| `.*$", TEXT, re.MULTILINE):
        room, _, _, imports, start = [cell.strip() for cell in line.split("|")[1:-1]]
        found[room.strip("`")] = (re.findall(r"`(.+?)`", imports), start.strip("`"))
    return found


ROOMS = {path: path.removesuffix(".py").replace("/", ".") for path in table() if path != "shim"}
"""The modules by their paths."""


def named(word: str) -> set[str]:
    """The modules that a word in a cell means: the last part of a room's path, or the path; `policy` is five rooms."""
    return {
        module
        for path, module in ROOMS.items()
        if path == word
        or (path.startswith("functions/") and path.endswith(f"/{word}"))
        or (word == "policy" and "/policy/" in path)
    }


def is_in(module: str, package: str) -> bool:
    """Whether the module is this package or is within it; `package.**` and `package.*` are within it."""
    package = re.sub(r"\.\*+$", "", package)
    return module == package or module.startswith(f"{package}.")


def forbids(contract: dict[str, Any], importer: str, imported: str) -> bool:
    """Whether a contract forbids this import of rooms, without an exception for a module of the importer."""
    for exception in contract.get("ignore_imports", ()):
        source, target = exception.split(" -> ")
        if is_in(source, importer) and is_in(re.sub(r"\.\*+$", "", target), imported):
            return False
    if contract["type"] == "forbidden":
        return any(is_in(importer, source) for source in contract["source_modules"]) and any(
            is_in(imported, target) for target in contract["forbidden_modules"]
        )
    assert contract["type"] == "layers", f"not known here: a contract of the type {contract['type']}"
    for container in contract.get("containers", [""]):
        places: dict[str, tuple[int, int, str]] = {}
        for level, layer in enumerate(contract["layers"]):
            for number, name in enumerate(re.split(r"[|:]", layer)):
                package = f"{container}.{name.strip(' ()')}".lstrip(".")
                for module in (importer, imported):
                    if is_in(module, package):
                        places[module] = (level, number, layer)
        if len(places) == 2:
            (level, number, layer), (other_level, other_number, _) = places[importer], places[imported]
            if level > other_level or (level == other_level and number != other_number and "|" in layer):
                return True
    return False


def test_the_table_has_what_the_contracts_allow_and_nothing_else() -> None:
    wrong = []
    for importer, imported in permutations(ROOMS.values(), 2):
        if is_in(imported, importer):
            continue
        path = next(path for path, module in ROOMS.items() if module == importer)
        listed = any(imported in named(word) for word in table()[path][0])
        allowed = not any(forbids(contract, importer, imported) for contract in CONTRACTS)
        if listed and not allowed:
            wrong.append(f"{importer} -> {imported} is in the table, and a contract forbids it")
        if allowed and not listed:
            wrong.append(f"{importer} -> {imported} is not in the table, and no contract forbids it")
    assert wrong == []


def test_every_word_in_the_table_is_a_room() -> None:
    assert [word for imports, _ in table().values() for word in imports if not named(word)] == []


def test_every_room_exists_and_so_does_the_file_to_start_at() -> None:
    for path, (_, start) in table().items():
        room = ROOT / path
        assert room.exists(), path
        if room.is_dir():
            assert (room / start).is_file(), f"{path}/{start}"
        else:
            assert f"def {start}(" in room.read_text(), path


def test_every_package_is_a_room_or_within_one() -> None:
    packages = {str(init.parent.relative_to(ROOT)) for top in PYTHON for init in (ROOT / top).rglob("__init__.py")}
    top_down = packages - {"functions", "functions/policy"}
    within = [package for package in top_down if not any(is_in(package.replace("/", "."), m) for m in ROOMS.values())]
    assert within == []
    inner = {package for package in top_down if package.startswith("functions/")}
    assert inner - set(ROOMS) == set()


def test_what_is_in_no_room_is_named_below_the_table() -> None:
    shared = {path.name for path in (ROOT / "functions").glob("*.py")} - {"__init__.py", "app.py"}
    assert [name for name in sorted(shared) if f"`{name}`" not in TEXT] == []


def test_forbidden_and_layered_imports_are_distinguished_from_others() -> None:
    layers = {"type": "layers", "containers": ["a"], "layers": ["top", "left | right", "low : lower"]}
    assert forbids(layers, "a.low", "a.top")
    assert forbids(layers, "a.left.deep", "a.right")
    assert not forbids(layers, "a.low", "a.lower")
    assert not forbids(layers, "a.top", "a.low")
    assert not forbids(layers, "b.low", "a.top")
    forbidden = {"type": "forbidden", "source_modules": ["a.left"], "forbidden_modules": ["a.low.**"]}
    assert forbids(forbidden, "a.left", "a.low.deep")
    assert not forbids(forbidden, "a.top", "a.low.deep")
    assert not forbids({**forbidden, "ignore_imports": ["a.left.one -> a.low.**"]}, "a.left", "a.low")
