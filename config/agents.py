"""agents.yaml: the groups of agents to keep. The `config.yaml` of resalloc's agent spawner is such a file too."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from config import poolvalues, values
from config.errors import Problem
from config.values import WrongValue
from config.yamlfile import Entries, YamlFile, read_text

_SHORTEST_PERIOD = 0.1
_IGNORED = ("resalloc_server", "logfile")


class AgentGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one group of agents: the tags of their tickets, and their hooks. Times are seconds."""

    name: str
    tags: tuple[str, ...]
    cmd_converge_to: str = "echo 1"
    """Prints how many agents there should be."""
    cmd_prepare: str = "true"
    cmd_check_finished: str = "false"
    """Exit status 0 says that the agent is done by itself."""
    cmd_try_release: str = "false"
    """Exit status 0 says that the agent may go, and takes no more work."""
    cmd_terminate: str = "true"
    cmd_converge_to_timeout: float = 120
    cmd_prepare_timeout: float = 3600
    cmd_check_finished_timeout: float = 120
    cmd_try_release_timeout: float = 120
    cmd_terminate_timeout: float = 3600


class AgentsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What agents.yaml says: the groups by name, in the order of the file, and what is probably a mistake in it.

    `period` is the time (seconds) from one question how many agents there should be to the next.
    """

    groups: dict[str, AgentGroup] = {}
    period: float = 10
    warnings: tuple[Problem, ...] = ()


def agents_file(config_dir: Path) -> Path:
    """Where the agents are configured: `agents.yaml`, or `config.yaml`, the name that it has in resalloc."""
    old = config_dir / "config.yaml"
    path = config_dir / "agents.yaml"
    return old if old.exists() and not path.exists() else path


def load_agents(config_dir: Path) -> AgentsFile | None:
    """Read the file; None when there is none: the farm keeps no agents. Raises ConfigError with all faults."""
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
        document.warn(key, None, name, "is ignored: agents are kept by this server, their state is files in state_dir")
    _, groups = entries.pop("agent_groups", (None, None))
    if groups is None:
        document.warn(document.root, None, "agent_groups", "is missing, so there are no agents")
    options = document.options(entries, {"period": values.seconds(_SHORTEST_PERIOD)}, None)
    found = {}
    if groups is not None and not values.is_null(groups):
        for name, (key, node) in document.entries(groups).items():
            found[name] = _read_options(document, name, key, node)
    document.raise_faults()
    made = {name: AgentGroup(name=name, **options) for name, options in found.items()}
    return AgentsFile(groups=made, warnings=tuple(document.warnings), **options)


def _read_options(document: YamlFile, name: str, key: yaml.Node, node: yaml.Node) -> dict[str, Any]:
    """The valid options of one group; all that is wrong becomes faults."""
    if fault := poolvalues.pool_name_fault(name):
        document.fault(key, name, None, f"the name {fault}")
    entries: Entries = {} if values.is_null(node) else document.entries(node, name)
    options = document.options(entries, _OPTIONS, name)
    if "tags" not in entries:
        document.fault(key, name, "tags", "is missing: a ticket without tags would take any resource")
    return {option: value for option, value in options.items() if value is not None}


def _tags(node: yaml.Node) -> tuple[str, ...]:
    """The distinct tags, at least one."""
    tags: tuple[str, ...] = values.items(values.called("a tag", values.line(poolvalues.LONGEST_TAG)))(node)
    if not tags:
        raise WrongValue((node, "must hold at least one tag: a ticket without tags would take any resource"))
    return tuple(dict.fromkeys(tags))


def _command(node: yaml.Node) -> str | None:
    """A command; null stands for the default."""
    return None if values.is_null(node) else values.command(node)


_OPTIONS: dict[str, values.Convert] = {
    "tags": _tags,
    "cmd_converge_to": _command,
    "cmd_prepare": _command,
    "cmd_check_finished": _command,
    "cmd_try_release": _command,
    "cmd_terminate": _command,
    "cmd_converge_to_timeout": values.seconds(1),
    "cmd_prepare_timeout": values.seconds(1),
    "cmd_check_finished_timeout": values.seconds(1),
    "cmd_try_release_timeout": values.seconds(1),
    "cmd_terminate_timeout": values.seconds(1),
}
"""How each option is read; its default is that of `AgentGroup`."""
