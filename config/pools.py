"""pools.yaml: the pools and their options."""

import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import NODEFAULT, Meta

from config import values
from config.errors import Problem, quoted
from config.values import Command, Count, Positive, Seconds, TagName, Timeout, Whole, WrongValue, one_line_fault
from config.yamlfile import Entries, YamlFile, read_text

_SHORTEST_LIVECHECK_PERIOD = 1
_LONGEST_NAME = 100
_MOST_TAG_FIELDS = 20
_PLACEHOLDERS = ("pool_name", "id", "datetime")


def _read_tags(node: yaml.Node) -> dict[str, int]:
    """Tags with their priorities; each is written as `NAME` or `{name: NAME, priority: N}`."""
    return dict(values.read_list(node, _read_tag))


def _read_tag(node: yaml.Node) -> tuple[str, int]:
    if not isinstance(node, yaml.MappingNode):
        return values.read(node, _TAG_NAME), 0
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if "name" not in fields or not len(fields) == len(node.value) <= _MOST_TAG_FIELDS:
        raise WrongValue((node, "a tag must be a name, or a mapping of name and priority"))
    priority = values.read(fields["priority"], _PRIORITY) if "priority" in fields else 0
    return values.read(fields["name"], _TAG_NAME), priority


def _counter_fault(name: str) -> str | None:
    """Why a counter cannot have this name, which becomes part of the name of an environment variable."""
    if re.fullmatch(r"[^\s=\x00-\x1f\x7f]{1,100}", name):
        return None
    return f"a counter's name must be 1 to 100 characters without spaces and =, not {quoted(name)}"


def _name_pattern_fault(pattern: str) -> str | None:
    """Why this is not a pattern of resource names; None if it is."""
    try:
        fields = list(string.Formatter().parse(pattern))
    except ValueError as error:
        return f"is not a pattern: {error}; write {{{{ for a brace itself"
    for _, name, form, conversion in fields:
        if name is not None and (name not in _PLACEHOLDERS or form or conversion):
            return f"may use only {{pool_name}}, {{id}} and {{datetime}}, as they are, not {quoted(pattern)}"
    return one_line_fault(pattern)


_TAG_NAME = msgspec.inspect.type_info(TagName)
_PRIORITY = msgspec.inspect.type_info(Annotated[Whole, Meta(extra={"called": "a tag's priority"})])
Tags = Annotated[dict[str, int], Meta(extra={"read": _read_tags})]
CounterName = Annotated[str, Meta(extra={"check": _counter_fault})]
NamePattern = Annotated[str, Meta(max_length=255, extra={"check": _name_pattern_fault})]


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one pool. Times are seconds; `tags` and `tags_on_demand` map a tag to its priority."""

    name: str
    description: Annotated[str | None, Meta(description="text for people")] = None
    max: Annotated[Count, Meta(description="highest number of resources at a time")] = 4
    max_starting: Annotated[Count, Meta(description="highest number of resources that start at a time")] = 1
    max_prealloc: Annotated[
        Count, Meta(description="number of spares to keep ready: up or starting, and never assigned")
    ] = 2
    start_delay: Annotated[Seconds, Meta(description="shortest time between two starts, failed ones included")] = 0
    cmd_new: Annotated[
        Command, Meta(description="starts a resource; exit status 0 means it is up, the output is its data")
    ]
    cmd_delete: Annotated[Command, Meta(description="deletes a resource; may run more than once for the same one")]
    cmd_livecheck: Annotated[Command | None, Meta(description="exit status 0 means the resource is alive")] = None
    livecheck_period: Annotated[
        Seconds, Meta(description="shortest time between two livechecks of a resource, at least 1 s")
    ] = 600
    livecheck_attempts: Annotated[
        Positive, Meta(description="number of failed livechecks in a row after which a resource is deleted")
    ] = 3
    cmd_release: Annotated[
        Command | None, Meta(description="runs when a ticket is closed; if it fails, the resource is deleted")
    ] = None
    cmd_list: Annotated[
        Command | None, Meta(description="prints the names of all existing resources, to find unknown ones to delete")
    ] = None
    tags: Annotated[
        Tags, Meta(description="the tags of its resources: a list of `NAME` or `{name: NAME, priority: N}`")
    ] = {}
    tags_on_demand: Annotated[
        Tags, Meta(description="the same, and the pool only starts resources for waiting tickets")
    ] = {}
    reuse_opportunity_time: Annotated[
        Seconds, Meta(description="how long a released resource waits for tickets of its sandbox; 0: no reuse")
    ] = 0
    reuse_max_count: Annotated[Count, Meta(description="how often a resource may be reused; 0: no limit")] = 0
    reuse_max_time: Annotated[
        Seconds, Meta(description="how long after its first assignment a resource may be reused; 0: no limit")
    ] = 3600
    named_counters: Annotated[
        tuple[CounterName, ...], Meta(description="names of numbers that are unique over all pools")
    ] = ()
    name_pattern: Annotated[NamePattern, Meta(description="the names of resources")] = "{pool_name}_{id}_{datetime}"
    cmd_new_timeout: Annotated[Timeout, Meta(description="time limit of `cmd_new`")] = 86400
    cmd_delete_timeout: Annotated[Timeout, Meta(description="time limit of `cmd_delete`")] = 3600
    cmd_livecheck_timeout: Annotated[Timeout, Meta(description="time limit of `cmd_livecheck`")] = 3600
    cmd_release_timeout: Annotated[Timeout, Meta(description="time limit of `cmd_release`")] = 3600
    cmd_list_timeout: Annotated[Timeout, Meta(description="time limit of `cmd_list`")] = 120
    delete_attempts: Annotated[
        Positive, Meta(description="number of attempts of `cmd_delete` before the resource is abandoned")
    ] = 10
    delete_any_unknown: Annotated[
        bool, Meta(description="delete unknown resources even if their name does not fit `name_pattern`")
    ] = False

    @property
    def offers(self) -> dict[str, int]:
        """All tags that a ticket may ask of this pool, with their priorities."""
        return self.tags | self.tags_on_demand

    @property
    def on_demand(self) -> bool:
        """Whether resources are started for waiting tickets only, none in advance."""
        return bool(self.tags_on_demand)


OPTIONS = {name: option for name, option in values.options_of(Pool).items() if name != "name"}
"""The options of a pool by name."""


class PoolsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The pools of a pools.yaml in the order of the file, and its probable mistakes."""

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
    tags: TagNodes = {}
    found = {
        name: _read_options(document, name, key, node, tags)
        for name, (key, node) in document.entries(document.root).items()
    }
    _check_on_demand(document, tags)
    document.raise_faults()
    pools = tuple(Pool(name=name, **options) for name, options in found.items())
    return PoolsFile(pools=pools, warnings=tuple(document.warnings))


def pool_name_fault(name: str) -> str | None:
    """Why a pool cannot have this name, which is also that of a file and a part of resource names."""
    if not name.strip():
        return "must not be empty"
    if "/" in name or name.startswith("."):
        return 'must not hold "/" nor start with "."'
    if len(name.encode(errors="replace")) > 2 * _LONGEST_NAME:
        return f"must have at most {2 * _LONGEST_NAME} bytes"
    if len(name) > _LONGEST_NAME:
        return f"must have at most {_LONGEST_NAME} characters, not {len(name)}"
    return one_line_fault(name)


TagNodes = dict[tuple[str, str, str], yaml.Node]
"""Pool, option (`tags` or `tags_on_demand`) and tag → its node, the last one if it is repeated."""


def _read_options(document: YamlFile, name: str, key: yaml.Node, node: yaml.Node, tags: TagNodes) -> dict[str, Any]:
    """The valid options of one pool. Adds faults and warnings to the document, and the nodes of the tags to `tags`."""
    if fault := pool_name_fault(name):
        document.fault(key, name, None, f"the name {fault}")
    entries: Entries = {} if values.is_null(node) else document.entries(node, name)
    options = document.options(entries, OPTIONS, name)
    for option, declared in OPTIONS.items():
        if declared.default is NODEFAULT and option not in entries:
            document.fault(key, name, option, "is missing: a pool cannot do without it")
    for option in ("tags", "tags_on_demand"):
        for tag, tag_node, unknown in _tag_nodes(entries[option][1]) if option in options else ():
            for field in unknown:
                message = f"a tag has a name and a priority; {quoted(field.value)} is ignored"
                document.warn(field, name, option, message)
            if (name, option, tag) in tags:
                document.warn(tag_node, name, option, f"the tag {quoted(tag)} is repeated; the last one counts")
            tags[name, option, tag] = tag_node
    if options.get("livecheck_period", _SHORTEST_LIVECHECK_PERIOD) < _SHORTEST_LIVECHECK_PERIOD:
        options["livecheck_period"] = _SHORTEST_LIVECHECK_PERIOD
        document.warn(entries["livecheck_period"][1], name, "livecheck_period", "is raised to 1 second")
    for warning in _name_pattern_warnings(options.get("name_pattern", "{id}")):
        document.warn(entries["name_pattern"][1], name, "name_pattern", warning)
    return options


def _tag_nodes(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, list[yaml.Node]]]:
    """The name and node of each tag of a valid list, and the keys that a tag does not have."""
    for item in [] if values.is_null(node) else node.value:
        if isinstance(item, yaml.MappingNode):
            name = next(value.value for key, value in item.value if key.value == "name")
            yield name, item, [key for key, _ in item.value if key.value not in ("name", "priority")]
        else:
            yield item.value, item, []


def _check_on_demand(document: YamlFile, tags: TagNodes) -> None:
    """A tag that is on-demand in one pool must not be a plain one in any pool."""
    on_demand: dict[str, tuple[str, int]] = {}
    for (pool, option, tag), node in tags.items():
        if option == "tags_on_demand":
            on_demand.setdefault(tag, (pool, node.start_mark.line + 1))
    for (pool, option, tag), node in tags.items():
        if option == "tags" and tag in on_demand:
            other, line = on_demand[tag]
            message = (
                f"the tag {quoted(tag)} is on-demand in pool {quoted(other)} (line {line}), "
                "so it cannot be a plain tag here"
            )
            document.fault(node, pool, "tags", message)


def _name_pattern_warnings(pattern: str) -> list[str]:
    """Warnings about a valid pattern."""
    warnings = []
    if "id" not in {name for _, name, _, _ in string.Formatter().parse(pattern)}:
        warnings.append("has no {id}, so that two resources may get the same name")
    if "/" in pattern:
        warnings.append('contains "/", which not every system allows in a name')
    if " " in pattern:
        warnings.append("contains a space, so that cmd_list cannot print such a name")
    return warnings
