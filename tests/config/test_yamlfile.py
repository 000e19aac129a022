"""YAML as real sites write it, and YAML that must not stop the server."""

import contextlib
import re
import time

import pytest

from config.errors import ConfigError
from config.pools import parse_pools
from config.yamlfile import MOST_VALUES

COMMANDS = "{cmd_new: a, cmd_delete: b}"


def fault_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_pools(text, "pools.yaml")
    (fault,) = caught.value.problems
    return str(fault)


def test_a_merge_key_brings_in_what_the_pool_does_not_say_itself():
    text = "one: &base {cmd_new: a, cmd_delete: b, max: 1, max_starting: 2}\ntwo:\n  max: 7\n  <<: *base\n"

    two = parse_pools(text, "pools.yaml").pools[1]

    assert (two.cmd_new, two.max, two.max_starting) == ("a", 7, 2)


def test_of_several_merged_mappings_the_first_wins():
    text = (
        "one: &one {cmd_new: a, cmd_delete: b, max: 1}\n"
        "two: &two {cmd_new: c, cmd_delete: d, max: 2, max_starting: 2}\n"
        "list:\n  <<: [*two, *one]\n"
        "lines:\n  <<: *one\n  <<: *two\n"
    )

    *_, listed, lines = parse_pools(text, "pools.yaml").pools

    assert (listed.cmd_new, listed.max, listed.max_starting) == ("c", 2, 2)
    assert (lines.cmd_new, lines.max, lines.max_starting) == ("a", 1, 2)


def test_merges_of_merges_are_resolved():
    text = "one: &one {cmd_new: a, cmd_delete: b}\ntwo: &two {<<: *one, max: 2}\nthree: {<<: *two, max_starting: 3}\n"

    three = parse_pools(text, "pools.yaml").pools[2]

    assert (three.cmd_new, three.max, three.max_starting) == ("a", 2, 3)


def test_a_list_and_a_command_may_be_shared_by_an_alias():
    text = (
        "one: {cmd_new: &new start, cmd_delete: b, tags: &tags [x, y]}\n"
        "two: {cmd_new: *new, cmd_delete: b, tags: *tags}\n"
    )

    one, two = parse_pools(text, "pools.yaml").pools

    assert two.cmd_new == one.cmd_new == "start"
    assert two.tags == one.tags == {"x": 0, "y": 0}


def test_a_fault_in_a_merged_value_is_reported_for_each_pool_at_the_line_of_the_value():
    with pytest.raises(ConfigError) as caught:
        parse_pools(f"one: &one\n  <<: {COMMANDS}\n  max: x\ntwo: {{<<: *one}}\n", "pools.yaml")

    assert [(problem.line, problem.where) for problem in caught.value.problems] == [(3, "one"), (3, "two")]


def test_a_mapping_that_merges_itself_ends():
    (pool,) = parse_pools("one: &one {<<: *one, cmd_new: a, cmd_delete: b}\n", "pools.yaml").pools

    assert pool.cmd_new == "a"


def test_a_merge_of_something_else_is_a_fault():
    text = "one: {<<: 3, cmd_new: a, cmd_delete: b}\n"

    assert fault_of(text) == 'pools.yaml:1: pool "one": must be a mapping, not 3'


def test_a_key_that_is_no_text_is_a_fault():
    text = "one: {cmd_new: a, cmd_delete: b}\n[1, 2]: x\n"

    assert fault_of(text) == "pools.yaml:2: a name must be plain text, not a list"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one:\n  max: [1, 2\n  min: 3\n", 3),
        ("one:\n\tmax: 3\n", 2),
        ("one: {}\n---\ntwo: {}\n", 2),
        ("one: *nowhere\n", 1),
        ("one:\n  cmd_new: \x07\n", 2),
        ('one: "no end', 1),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(text, line):
    assert fault_of(text).startswith(f"pools.yaml:{line}: is not valid YAML: ")


@pytest.mark.parametrize("text", ["[" * 500_000, "{a: " * 200_000, "- " * 300_000, "a: " + "[" * 50])
def test_deep_nesting_is_refused_at_once(text):
    started = time.process_time()

    # Newer parsers have a limit of their own and say so in their own words.
    assert re.search("nests deeper than 20 levels|maximum nesting depth", fault_of(text))
    assert time.process_time() - started < 5


def billion_laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 15)]
    return "\n".join([*lines, "one: {cmd_new: a, cmd_delete: b, tags: *a14}"])


def merge_laughs() -> str:
    lines = ["a0: &a0 {cmd_new: a, cmd_delete: b}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 15)]
    return "\n".join(lines)


def a_long_list_for_many_pools() -> str:
    tags = ", ".join(f"t{n}" for n in range(20_000))
    lines = [f"a: &a {{cmd_new: x, cmd_delete: y, tags: &tags [{tags}]}}"]
    lines += [f"p{n}: {{<<: *a}}" for n in range(20_000)]
    return "\n".join(lines)


def a_long_chain_of_merges() -> str:
    chain = ", ".join(f"&a{n} {{<<: *a{n - 1}}}" for n in range(1, 20_000))
    return f"one: {{cmd_new: x, cmd_delete: y, unknown: [&a0 {{}}, {chain}]}}\ntwo: {{<<: *a19999}}\n"


@pytest.mark.parametrize(
    "make",
    [billion_laughs, merge_laughs, a_long_chain_of_merges],
    ids=lambda make: make.__name__,
)
def test_aliases_that_multiply_are_no_trouble(make):
    text = make()
    started = time.process_time()

    with contextlib.suppress(ConfigError):
        parse_pools(text, "pools.yaml")

    assert time.process_time() - started < 10


def test_too_many_values_are_a_fault():
    assert f"holds more than {MOST_VALUES} values" in str(fault_of(a_long_list_for_many_pools()))
