"""pools.yaml: the pools and their options."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from config import poolvalues, values
from config.errors import Problem, quoted
from config.yamlfile import Entries, YamlFile, read_text

_SHORTEST_LIVECHECK_PERIOD = 1


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one pool. Times are seconds; `tags` and `tags_on_demand` map a tag to its priority."""

    name: str
    description: str | None = None
    max: int = 4
    max_starting: int = 1
    max_prealloc: int = 2
    start_delay: float = 0
    cmd_new: str
    cmd_delete: str
    cmd_livecheck: str | None = None
    livecheck_period: float = 600
    livecheck_attempts: int = 3
    cmd_release: str | None = None
    cmd_list: str | None = None
    tags: dict[str, int] = {}
    tags_on_demand: dict[str, int] = {}
    reuse_opportunity_time: float = 0
    reuse_max_count: int = 0
    reuse_max_time: float = 3600
    named_counters: tuple[str, ...] = ()
    name_pattern: str = "{pool_name}_{id}_{datetime}"
    cmd_new_timeout: float = 86400
    cmd_delete_timeout: float = 3600
    cmd_livecheck_timeout: float = 3600
    cmd_release_timeout: float = 3600
    cmd_list_timeout: float = 120
    delete_attempts: int = 10
    """How many times `cmd_delete` is tried before the resource is given up."""
    delete_any_unknown: bool = False
    """Whether names that `cmd_list` prints are deleted even when they do not fit `name_pattern`."""

    @property
    def offers(self) -> dict[str, int]:
        """All tags that a ticket may ask of this pool, with their priorities."""
        return self.tags | self.tags_on_demand

    @property
    def on_demand(self) -> bool:
        """Whether resources are started for waiting tickets only, none in advance."""
        return bool(self.tags_on_demand)


class PoolsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What pools.yaml says: the pools in the order of the file, and what is probably a mistake in it."""

    pools: tuple[Pool, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load_pools(path: Path) -> PoolsFile:
    """Read pools.yaml at `path`; raises ConfigError, also when there is no such file."""
    return parse_pools(read_text(path), str(path))


def parse_pools(text: str, file: str) -> PoolsFile:
    """Read the text of a pools.yaml; `file` is its name in problems. Raises ConfigError with all faults."""
    document = YamlFile(text, file)
    if document.root is None or values.is_null(document.root):
        return PoolsFile()
    found = [
        (name, key, _read_options(document, name, key, node))
        for name, (key, node) in document.entries(document.root).items()
    ]
    _check_on_demand(document, [(name, options) for name, _, options in found])
    document.raise_faults()
    pools = tuple(_pool(name, options) for name, _, options in found)
    return PoolsFile(pools=pools, warnings=tuple(document.warnings))


def _read_options(document: YamlFile, name: str, key: yaml.Node, node: yaml.Node) -> dict[str, Any]:
    """The valid options of one pool, its tags as `poolvalues.Tag`; all that is wrong becomes faults."""
    if fault := poolvalues.pool_name_fault(name):
        document.fault(key, name, None, f"the name {fault}")
    entries: Entries = {} if values.is_null(node) else document.entries(node, name)
    options = document.options(entries, _OPTIONS, name)
    for required in ("cmd_new", "cmd_delete"):
        if required not in entries:
            document.fault(key, name, required, "is missing: a pool cannot do without it")
    for option in ("tags", "tags_on_demand"):
        for node, warning in poolvalues.doubts_about_tags(options.get(option, ())):
            document.warn(node, name, option, warning)
    if options.get("livecheck_period", _SHORTEST_LIVECHECK_PERIOD) < _SHORTEST_LIVECHECK_PERIOD:
        options["livecheck_period"] = _SHORTEST_LIVECHECK_PERIOD
        document.warn(entries["livecheck_period"][1], name, "livecheck_period", "is raised to 1 second")
    if "name_pattern" in options:
        for warning in poolvalues.doubts_about_name_pattern(options["name_pattern"]):
            document.warn(entries["name_pattern"][1], name, "name_pattern", warning)
    return options


def _check_on_demand(document: YamlFile, pools: list[tuple[str, dict[str, Any]]]) -> None:
    """A tag that starts resources on demand in one pool must not be a plain one in any pool."""
    on_demand: dict[str, tuple[str, int]] = {}
    for name, options in pools:
        for tag in options.get("tags_on_demand", ()):
            on_demand.setdefault(tag.name, (name, tag.node.start_mark.line + 1))
    for name, options in pools:
        for tag in options.get("tags", ()):
            if tag.name in on_demand:
                other, line = on_demand[tag.name]
                message = (
                    f"the tag {quoted(tag.name)} is on-demand in pool {quoted(other)} (line {line}), "
                    "so it cannot be a plain tag here"
                )
                document.fault(tag.node, name, "tags", message)


def _pool(name: str, options: dict[str, Any]) -> Pool:
    for option in {"tags", "tags_on_demand"} & options.keys():
        options[option] = {tag.name: tag.priority for tag in options[option]}
    return Pool(name=name, **options)


_OPTIONS: dict[str, values.Convert] = {
    "description": values.optional(values.text),
    "max": values.whole(0),
    "max_starting": values.whole(0),
    "max_prealloc": values.whole(0),
    "start_delay": values.seconds(),
    "cmd_new": values.command,
    "cmd_delete": values.command,
    "cmd_livecheck": values.optional(values.command),
    "livecheck_period": values.seconds(),
    "livecheck_attempts": values.whole(1),
    "cmd_release": values.optional(values.command),
    "cmd_list": values.optional(values.command),
    "tags": values.items(poolvalues.tag),
    "tags_on_demand": values.items(poolvalues.tag),
    "reuse_opportunity_time": values.seconds(),
    "reuse_max_count": values.whole(0),
    "reuse_max_time": values.seconds(),
    "named_counters": poolvalues.counters,
    "name_pattern": poolvalues.name_pattern,
    "cmd_new_timeout": values.seconds(1),
    "cmd_delete_timeout": values.seconds(1),
    "cmd_livecheck_timeout": values.seconds(1),
    "cmd_release_timeout": values.seconds(1),
    "cmd_list_timeout": values.seconds(1),
    "delete_attempts": values.whole(1),
    "delete_any_unknown": values.boolean,
}
"""How each option is read; its default is that of `Pool`."""
