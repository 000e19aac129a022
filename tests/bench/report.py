"""Figures for people: on the terminal, in a JSON file, in docs/performance.md."""

import json
import os
import platform
from pathlib import Path
from typing import Any

from tests.bench.table import number

_VERDICTS = {True: "reached", False: "NOT reached", None: ""}


def machine(folder: Path) -> dict[str, Any]:
    """The machine of the measurement; `folder` is on the disk that was measured."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "kernel": platform.release(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
    }


def heading(machine: dict[str, Any]) -> str:
    """The machine in a line."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory']} memory, Linux {machine['kernel']}, "
        f"{machine['file_system']}, Python {machine['python']}"
    )


def terminal(name: str, row: dict[str, Any]) -> str:
    """A row for the terminal."""
    quick = ", QUICK: these are no real figures" if row["quick"] else ""
    lines = [
        f"\n{name:>5}  {row['work']}",
        f"       reference: {row['reference'] or '–'}; {row['runs']} runs, {row['seconds']:g} s, "
        f"load before {row['load_before']:g}{quick}",
    ]
    for figure in row["figures"]:
        spread = f"{number(figure['lowest'])} … {number(figure['highest'])}"
        median = f"{number(figure['median'])} {figure['unit']}"
        verdict = _VERDICTS[figure["reached"]]
        lines.append(
            f"       {figure['name']:<52} {median:>18}  {spread:>19}  {figure['target']:>16}  {verdict}".rstrip()
        )
    return "\n".join(lines)


def keep(path: Path, machine: dict[str, Any], name: str, row: dict[str, Any]) -> None:
    """Replace one row in the JSON file; figures of another machine are dropped."""
    try:
        kept = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        kept = {}
    rows = kept["rows"] if kept.get("machine") == machine else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    content = {"machine": machine, "rows": {**rows, name: row}}
    staged.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    staged.rename(path)


def write_docs(kept: dict[str, Any], document: Path) -> None:
    """Put the kept figures between the marks `<!-- NAME -->` and `<!-- end of NAME -->` of the document."""
    rows = kept["rows"]
    text = document.read_text()
    text = _between(text, "machine", f"{heading(kept['machine'])}. Measured:\n\n{_commands(rows)}")
    text = _between(text, "figures", _table(rows))
    text = _between(text, "grant", _steps(rows["grant"]) if "grant" in rows else "Not measured.")
    document.write_text(text)


def _commands(rows: dict[str, dict[str, Any]]) -> str:
    """When each row was measured, and how busy the machine was before."""
    lines = ["| row | command | when | load before |", "|---|---|---|---:|"]
    for name in sorted(rows, key=lambda name: (not name.isdigit(), name.zfill(2))):
        row = rows[name]
        lines.append(f"| {name} | `{row['command']}` | {row['measured_at']} | {row['load_before']:g} |")
    return "\n".join(lines)


def _table(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| # | work | figure | median | lowest … highest | to reach | |", "|---|---|---|---:|---:|---:|---|"]
    for name in sorted((name for name in rows if name.isdigit()), key=int):
        row = rows[name]
        for index, figure in enumerate(row["figures"]):
            cells = [
                name if index == 0 else "",
                f"{row['work']}; reference: {row['reference']}" if index == 0 else "",
                figure["name"],
                f"{number(figure['median'])} {figure['unit']}",
                f"{number(figure['lowest'])} … {number(figure['highest'])}",
                figure["target"],
                _VERDICTS[figure["reached"]].replace("NOT reached", "**not reached**"),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _steps(row: dict[str, Any]) -> str:
    lines = ["| step | median | lowest … highest |", "|---|---:|---:|"]
    for figure in row["figures"]:
        spread = f"{figure['lowest']:,.0f} … {figure['highest']:,.0f}"
        lines.append(f"| {figure['name']} | {figure['median']:,.0f} µs | {spread} |")
    return "\n".join(lines)


def _between(text: str, name: str, content: str) -> str:
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise ValueError(f"the document has no place for {name!r}")
    return f"{before}{begin}{content}\n{end}{after}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on."""
    place = str(folder.absolute())
    found = ("", "unknown file system")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mounted, kind, *_ = line.split()
        inside = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(found[0]):
            found = (mounted, kind)
    return found[1]
