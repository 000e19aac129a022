"""agents.yaml: the groups of agents to run. The `config.yaml` of resalloc's agent spawner has the same format."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from config import values
from config.errors import Problem
from config.pools import pool_name_fault
from config.values import Command, TagName, Timeout
from config.yamlfile import Entries, YamlFile, read_text

_IGNORED = ("resalloc_server", "logfile")


def _tags_fault(tags: tuple[str, ...]) -> str | None:
    return None if tags else "must hold at least one tag: a ticket without tags would take any resource"


class AgentGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one group of agents. Times are seconds."""

    name: str
    tags: Annotated[tuple[TagName, ...], Meta(extra={"check": _tags_fault}, description="the tags of its tickets")]
    cmd_converge_to: Annotated[Command, Meta(description="prints how many agents there should be")] = "echo 1"
    cmd_prepare: Annotated[Command, Meta(description="prepares an agent")] = "true"
    cmd_check_finished: Annotated[Command, Meta(description="exit status 0: the agent has ended by itself")] = "false"
    cmd_try_release: Annotated[
        Command, Meta(description="exit status 0: the agent can be stopped and takes no more work")
    ] = "false"
    cmd_terminate: Annotated[Command, Meta(description="stops an agent")] = "true"
    cmd_converge_to_timeout: Timeout = 120
    cmd_prepare_timeout: Timeout = 3600
    cmd_check_finished_timeout: Timeout = 120
    cmd_try_release_timeout: Timeout = 120
    cmd_terminate_timeout: Timeout = 3600


_OPTIONS = {name: option for name, option in values.options_of(AgentGroup).items() if name != "name"}
_Period = Annotated[float, Meta(ge=0.1, le=10**12)]


FILE_NAMES = ("agents.yaml", "config.yaml")
"""The names that the file may have; if both exist, the first is used."""


class AgentsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of an agents.yaml by name, in the order of the file, and its probable mistakes.

    `period` is the time (seconds) between two runs of `cmd_converge_to`.
    """

    groups: dict[str, AgentGroup] = {}
    period: _Period = 10
    warnings: tuple[Problem, ...] = ()


_FILE_OPTIONS = {"period": values.options_of(AgentsFile)["period"]}


def agents_file(config_dir: Path) -> Path:
    """Where the agents are configured: `agents.yaml`, or `config.yaml`, the name that it has in resalloc."""
    path, old = (config_dir / name for name in FILE_NAMES)
    return old if old.exists() and not path.exists() else path


def load_agents(config_dir: Path) -> AgentsFile | None:
    """Read the file; None when there is none: no agents are run. Raises ConfigError with all faults."""
    path = agents_file(config_dir)
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        pass  # reading it will fail too, and say why
    return parse_agents(read_text(path), str(path))


def parse_agents(text: str, file: str) -> AgentsFile:
    """Read the text of an agents.yaml; `file` is its name in problems. Raises ConfigError with all faults."""
    document = YamlFile(text, file, part="group")
    if document.root is None or values.is_null(document.root):
        return AgentsFile()
    entries = document.entries(document.root)
    for name in [name for name in entries if name in _IGNORED or name.startswith("redis_")]:
        key, _ = entries.pop(name)
        document.warn(key, None, name, "is ignored: this server runs the agents and keeps their state in state_dir")
    _, groups = entries.pop("agent_groups", (None, None))
    if groups is None:
        document.warn(document.root, None, "agent_groups", "is missing, so there are no agents")
    options = document.options(entries, _FILE_OPTIONS, None)
    found = {}
    if groups is not None and not values.is_null(groups):
        for name, (key, node) in document.entries(groups).items():
            found[name] = _read_options(document, name, key, node)
    document.raise_faults()
    made = {name: AgentGroup(name=name, **options) for name, options in found.items()}
    return AgentsFile(groups=made, warnings=tuple(document.warnings), **options)


def _read_options(document: YamlFile, name: str, key: yaml.Node, node: yaml.Node) -> dict[str, Any]:
    """The valid options of one group. Adds faults to the document."""
    if fault := pool_name_fault(name):
        document.fault(key, name, None, f"the name {fault}")
    entries: Entries = {} if values.is_null(node) else document.entries(node, name)
    if "tags" not in entries:
        document.fault(key, name, "tags", "is missing: a ticket without tags would take any resource")
    given = {option: entry for option, entry in entries.items() if not _is_default(option, entry[1])}
    return document.options(given, _OPTIONS, name)


def _is_default(option: str, node: yaml.Node) -> bool:
    """Whether a command is null, which means its default."""
    return option.startswith("cmd_") and not option.endswith("_timeout") and values.is_null(node)
