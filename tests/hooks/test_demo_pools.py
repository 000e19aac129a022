"""config/pools.yaml is an example that works and that names every option."""

import os
import re

import msgspec
import pytest
import yaml

from config.pools import Pool, load_pools, parse_pools

from .farm import CONFIG

TEXT = (CONFIG / "pools.yaml").read_text()
POOLS = yaml.safe_load(TEXT)
HOOKS = [
    (name, option, command)
    for name, options in POOLS.items()
    for option, command in options.items()
    if option.startswith("cmd_") and isinstance(command, str)
]


@pytest.mark.parametrize("option", [field.name for field in msgspec.structs.fields(Pool) if field.name != "name"])
def test_every_option_is_in_the_example(option: str) -> None:
    """An option is in the file, set or in a comment that works without its `# `."""
    assert re.search(rf"^(# )?  (# )?{option}:", TEXT, re.MULTILINE)


def test_the_file_is_read_without_a_doubt() -> None:
    file = load_pools(CONFIG / "pools.yaml")

    assert [pool.name for pool in file.pools] == ["local", "addresses"]
    assert file.warnings == ()


@pytest.mark.parametrize(("pool", "option", "command"), HOOKS)
def test_every_hook_can_be_run(pool: str, option: str, command: str) -> None:
    assert command == "true" or os.access(CONFIG / command, os.X_OK)


def test_the_ports_of_the_local_pool_suffice() -> None:
    """Each farm has ten ports, see hooks/local-common.sh."""
    assert POOLS["local"]["max"] <= 10


def test_the_commented_example_works_once_it_is_no_comment() -> None:
    """Given the file with the example at its end uncommented, when it is read, then there are two more pools."""
    start = TEXT.index("# machines_own:\n")

    file = parse_pools(TEXT[:start] + re.sub("^# ?", "", TEXT[start:], flags=re.MULTILINE), "pools.yaml")

    assert [pool.name for pool in file.pools] == ["local", "addresses", "machines_own", "machines_rented"]
    assert all(pool.on_demand for pool in file.pools[2:])
    assert file.warnings == ()
