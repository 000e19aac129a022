"""pools.yaml: what each option may be, and that all faults are reported at once, with their lines."""

from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from config import pools as pools_module
from config.errors import ConfigError
from config.pools import Pool, load_pools, parse_pools
from config.values import Option
from config.yamlfile import LARGEST

COMMANDS = "  cmd_new: start\n  cmd_delete: stop\n"


def one_pool(text: str) -> Pool:
    (pool,) = parse_pools("local:\n" + COMMANDS + text, "pools.yaml").pools
    return pool


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_pools(text, "pools.yaml")
    return str(caught.value).splitlines()


def warnings_of(text: str) -> list[str]:
    return [str(warning) for warning in parse_pools(text, "pools.yaml").warnings]


def test_a_pool_needs_only_its_two_commands():
    assert one_pool("") == Pool(name="local", cmd_new="start", cmd_delete="stop")


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "{}", "null"])
def test_an_empty_file_has_no_pools(text):
    assert parse_pools(text, "pools.yaml").pools == ()


def test_pools_keep_the_order_of_the_file():
    text = "".join(f"{name}:\n{COMMANDS}" for name in ("zulu", "alpha", "mike"))
    assert [pool.name for pool in parse_pools(text, "pools.yaml").pools] == ["zulu", "alpha", "mike"]


@pytest.mark.parametrize(
    ("option", "written", "value"),
    [
        ("description", "Two words", "Two words"),
        ("description", "2024", "2024"),
        ("description", "", None),
        ("max", "0", 0),
        ("max_starting", "3", 3),
        ("max_prealloc", "0", 0),
        ("start_delay", "2.5", 2.5),
        ("cmd_livecheck", "/bin/check --quiet", "/bin/check --quiet"),
        ("cmd_livecheck", "null", None),
        ("cmd_livecheck", '""', None),
        ("livecheck_period", "1", 1),
        ("livecheck_attempts", "1", 1),
        ("cmd_release", "~", None),
        ("cmd_release", "false", None),
        ("cmd_list", "list-them", "list-them"),
        ("tags", "null", {}),
        ("tags", "[a, {name: b, priority: -7}, {name: c}]", {"a": 0, "b": -7, "c": 0}),
        ("tags", "[3.10, 2024, a b]", {"3.10": 0, "2024": 0, "a b": 0}),
        ("tags_on_demand", "[a, {name: b, priority: 7}]", {"a": 0, "b": 7}),
        ("reuse_opportunity_time", "60", 60),
        ("reuse_max_count", "8", 8),
        ("reuse_max_time", "0", 0),
        ("named_counters", "[one, TWO-2, one]", ("one", "TWO-2")),
        ("named_counters", "", ()),
        ("name_pattern", "'{pool_name}-{id}'", "{pool_name}-{id}"),
        ("cmd_new_timeout", "10", 10),
        ("cmd_delete_timeout", "1.5", 1.5),
        ("cmd_livecheck_timeout", "10", 10),
        ("cmd_release_timeout", "10", 10),
        ("cmd_list_timeout", "10", 10),
        ("delete_attempts", "1", 1),
        ("delete_any_unknown", "yes", True),
    ],
)
def test_an_option_is_read(option, written, value):
    pool = one_pool(f"  {option}: {written}\n")

    assert getattr(pool, option) == value
    assert pool == msgspec.structs.replace(Pool(name="local", cmd_new="start", cmd_delete="stop"), **{option: value})


@pytest.mark.parametrize(
    ("option", "written", "message"),
    [
        ("description", "[a]", "must be text, not a list"),
        ("max", '"ten"', 'must be a whole number of at least 0, not "ten"'),
        ("max", '"4"', 'must be a whole number of at least 0, not "4"'),
        ("max", "true", "must be a whole number of at least 0, not true"),
        ("max", "4.0", "must be a whole number of at least 0, not 4.0"),
        ("max", "-1", "must be a whole number of at least 0, not -1"),
        ("max", "!!int x", "must be a whole number of at least 0, not x"),
        ("max", '!!int ""', "must be a whole number of at least 0, not nothing"),
        ("max", "null", "must be a whole number of at least 0, not null"),
        ("max", "9" * 30, "must be a whole number of at most 1000000000, not " + "9" * 30),
        ("max_starting", "[]", "must be a whole number of at least 0, not a list"),
        ("max_prealloc", "{}", "must be a whole number of at least 0, not a mapping"),
        ("start_delay", ".inf", "must be a number of seconds from 0 to 1000000000000, not .inf"),
        ("start_delay", "!!float x", "must be a number of seconds from 0 to 1000000000000, not x"),
        ("start_delay", ".nan", "must be a number of seconds from 0 to 1000000000000, not .nan"),
        ("livecheck_period", "-1", "must be a number of seconds from 0 to 1000000000000, not -1"),
        ("livecheck_period", "false", "must be a number of seconds from 0 to 1000000000000, not false"),
        ("livecheck_attempts", "0", "must be a whole number of at least 1, not 0"),
        ("cmd_livecheck", "!mine x", "must be text, not x"),
        ("cmd_livecheck", "true", 'must be text, not true; write "true" if that is the text'),
        ("cmd_release", '"a\\0b"', "must not hold NUL characters or halves of surrogate pairs"),
        ("cmd_list", "x" * 100_001, "must have at most 100000 bytes; put a longer one in a script"),
        ("tags", "a", 'must be a list, not "a"'),
        ("tags", "['']", "a tag must not be empty"),
        ("tags", f"[{'x' * 256}]", "a tag must have at most 255 characters, not 256"),
        ("tags", '["a\\nb"]', 'a tag must not hold control characters: "a\\nb"'),
        ("tags", "[{priority: 1}]", "a tag must be a name, or a mapping of name and priority"),
        ("tags", "[{name: a, name: b}]", "a tag must be a name, or a mapping of name and priority"),
        ("tags", "[{name: a, priority: high}]", 'a tag\'s priority must be a whole number, not "high"'),
        ("tags_on_demand", "[[a]]", "a tag must be text, not a list"),
        ("reuse_opportunity_time", "soon", 'must be a number of seconds from 0 to 1000000000000, not "soon"'),
        ("reuse_max_count", "0.5", "must be a whole number of at least 0, not 0.5"),
        ("reuse_max_time", "-3", "must be a number of seconds from 0 to 1000000000000, not -3"),
        (
            "named_counters",
            "[a=b]",
            'a counter\'s name must be 1 to 100 characters without spaces and =, not "a=b"',
        ),
        (
            "name_pattern",
            "'{pool}-{id}'",
            'may use only {pool_name}, {id} and {datetime}, as they are, not "{pool}-{id}"',
        ),
        (
            "name_pattern",
            "'{id:>999999999}'",
            'may use only {pool_name}, {id} and {datetime}, as they are, not "{id:>999999999}"',
        ),
        ("name_pattern", "'{id'", "is not a pattern: expected '}' before end of string; write {{ for a brace itself"),
        ("cmd_new_timeout", "0", "must be a number of seconds from 1 to 1000000000000, not 0"),
        ("cmd_delete_timeout", "x", 'must be a number of seconds from 1 to 1000000000000, not "x"'),
        ("cmd_livecheck_timeout", "", "must be a number of seconds from 1 to 1000000000000, not null"),
        ("cmd_release_timeout", "0.5", "must be a number of seconds from 1 to 1000000000000, not 0.5"),
        ("cmd_list_timeout", "[1]", "must be a number of seconds from 1 to 1000000000000, not a list"),
        ("delete_attempts", "0", "must be a whole number of at least 1, not 0"),
        ("delete_any_unknown", "!!bool 1", "must be true or false, not 1"),
        ("delete_any_unknown", "1", "must be true or false, not 1"),
    ],
)
def test_a_wrong_value_is_a_fault_with_its_line(option, written, message):
    assert faults_of(f"local:\n{COMMANDS}  {option}: {written}\n") == [
        f'pools.yaml:4: pool "local", option "{option}": {message}'
    ]


def test_every_option_has_examples_here():
    tested = {case[0] for case in test_an_option_is_read.pytestmark[0].args[1]}
    assert tested == set(Pool.__struct_fields__) - {"name", "cmd_new", "cmd_delete"}
    assert set(pools_module.OPTIONS) == set(Pool.__struct_fields__) - {"name"}


def test_all_faults_are_reported_at_once_in_the_order_of_the_file():
    text = "one:\n  max: many\n  cmd_new: ''\ntwo: [1]\nthree:\nfour: {cmd_new: a, cmd_delete: b, tags: [{}, x, '']}\n"

    assert faults_of(text) == [
        'pools.yaml:1: pool "one", option "cmd_delete": is missing: a pool cannot do without it',
        'pools.yaml:2: pool "one", option "max": must be a whole number of at least 0, not "many"',
        'pools.yaml:3: pool "one", option "cmd_new": must not be empty',
        'pools.yaml:4: pool "two": must be a mapping, not a list',
        'pools.yaml:4: pool "two", option "cmd_new": is missing: a pool cannot do without it',
        'pools.yaml:4: pool "two", option "cmd_delete": is missing: a pool cannot do without it',
        'pools.yaml:5: pool "three", option "cmd_new": is missing: a pool cannot do without it',
        'pools.yaml:5: pool "three", option "cmd_delete": is missing: a pool cannot do without it',
        'pools.yaml:6: pool "four", option "tags": a tag must be a name, or a mapping of name and priority',
        'pools.yaml:6: pool "four", option "tags": a tag must not be empty',
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('""', 'pool "": the name must not be empty'),
        ("a/b", 'pool "a/b": the name must not hold "/" nor start with "."'),
        (".hidden", 'pool ".hidden": the name must not hold "/" nor start with "."'),
        ('"a\\tb"', 'pool "a\\tb": the name must not hold control characters: "a\\tb"'),
        ("x" * 101, f'pool "{"x" * 57}...": the name must have at most 100 characters, not 101'),
        ("🖥" * 60, f'pool "{"🖥" * 60}": the name must have at most 200 bytes'),
    ],
)
def test_a_pool_must_have_a_name_that_a_file_can_have(name, message):
    assert faults_of(f"{name}:\n{COMMANDS}") == [f"pools.yaml:1: {message}"]


def test_repeated_names_are_faults():
    text = f"local:\n{COMMANDS}  max: 1\n  max: 2\nlocal:\n{COMMANDS}"

    assert faults_of(text) == [
        'pools.yaml:5: pool "local": "max" is repeated, first in line 4',
        'pools.yaml:6: "local" is repeated, first in line 1',
    ]


@pytest.mark.parametrize("text", ["- local\n", "just text", "42"])
def test_a_file_that_is_no_mapping_is_a_fault(text):
    (fault,) = faults_of(text)
    assert fault.startswith("pools.yaml:1: must be a mapping, not ")


def test_unknown_options_warn_and_name_the_nearest_known_one():
    assert warnings_of(f"local:\n{COMMANDS}  max_preallocated: 3\n  qwertz: 1\n") == [
        'pools.yaml:4: pool "local", option "max_preallocated": is unknown and ignored; is "max_prealloc" meant?',
        'pools.yaml:5: pool "local", option "qwertz": is unknown and ignored',
    ]


def test_a_tag_with_more_than_name_and_priority_warns():
    text = f"local:\n{COMMANDS}  tags: [{{name: a, weight: 3}}]\n"

    assert parse_pools(text, "pools.yaml").pools[0].tags == {"a": 0}
    assert warnings_of(text) == [
        'pools.yaml:4: pool "local", option "tags": a tag has a name and a priority; "weight" is ignored'
    ]


def test_a_repeated_tag_warns_and_its_last_priority_counts():
    text = f"local:\n{COMMANDS}  tags: [a, {{name: a, priority: 3}}]\n"

    assert parse_pools(text, "pools.yaml").pools[0].tags == {"a": 3}
    assert warnings_of(text) == [
        'pools.yaml:4: pool "local", option "tags": the tag "a" is repeated; the last one counts'
    ]


def test_a_livecheck_period_under_a_second_is_raised():
    text = f"local:\n{COMMANDS}  livecheck_period: 0.25\n"

    assert parse_pools(text, "pools.yaml").pools[0].livecheck_period == 1
    assert warnings_of(text) == ['pools.yaml:4: pool "local", option "livecheck_period": is raised to 1 second']


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{pool_name}_{datetime}", "has no {id}, so that two resources may get the same name"),
        ("vm/{id}", 'contains "/", which not every system allows in a name'),
        ("vm {id}", "contains a space, so that cmd_list cannot print such a name"),
    ],
)
def test_a_doubtful_name_pattern_warns(pattern, message):
    assert warnings_of(f"local:\n{COMMANDS}  name_pattern: '{pattern}'\n") == [
        f'pools.yaml:4: pool "local", option "name_pattern": {message}'
    ]


def test_a_tag_cannot_be_plain_anywhere_when_it_is_on_demand_in_some_pool():
    text = (
        f"one:\n{COMMANDS}  tags: [big, small]\n"
        f"two:\n{COMMANDS}  tags_on_demand:\n    - big\n"
        f"three:\n{COMMANDS}  tags: [own]\n  tags_on_demand: [own, big]\n"
    )

    assert faults_of(text) == [
        'pools.yaml:4: pool "one", option "tags": the tag "big" is on-demand in pool "two" (line 9), '
        "so it cannot be a plain tag here",
        'pools.yaml:13: pool "three", option "tags": the tag "own" is on-demand in pool "three" (line 14), '
        "so it cannot be a plain tag here",
    ]


def test_a_pool_offers_its_tags_and_its_on_demand_tags():
    pool = one_pool("  tags: [{name: a, priority: 2}]\n  tags_on_demand: [b]\n")

    assert pool.offers == {"a": 2, "b": 0}
    assert pool.on_demand
    assert not one_pool("  tags: [a]\n").on_demand


def test_load_pools_reads_the_file_and_names_it(tmp_path):
    file = tmp_path / "pools.yaml"
    file.write_text(f"local:\n{COMMANDS}  max: x\n")

    with pytest.raises(ConfigError, match=f"^{file}:4: "):
        load_pools(file)


def test_a_missing_file_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match=r"pools\.yaml: cannot be read: No such file or directory"):
        load_pools(tmp_path / "pools.yaml")


def test_a_file_that_is_too_large_is_a_fault(tmp_path):
    file = tmp_path / "pools.yaml"
    file.write_bytes(b"#" * (LARGEST + 1))

    with pytest.raises(ConfigError, match="is larger than 1048576 bytes"):
        load_pools(file)


def test_a_file_that_is_not_utf8_is_a_fault_with_its_line(tmp_path):
    file = tmp_path / "pools.yaml"
    file.write_bytes(b"# one\n# two \xff\n")

    with pytest.raises(ConfigError, match=r"pools\.yaml:2: is not UTF-8 text"):
        load_pools(file)


def test_the_example_is_right():
    found = load_pools(Path(pools_module.__file__).with_name("pools.yaml"))

    assert found.pools
    assert found.warnings == ()


def test_a_farm_of_26_pools_with_anchors_priorities_and_on_demand_tags_is_read():
    found = load_pools(Path(__file__).with_name("farm.yaml"))
    pools = {pool.name: pool for pool in found.pools}

    assert found.warnings == ()
    assert len(pools) == 26
    assert list(pools)[:2] == ["hv_x86_64_01_prod", "hv_x86_64_02_prod"]
    first, second = pools["hv_x86_64_01_prod"], pools["hv_x86_64_02_prod"]
    assert second == msgspec.structs.replace(first, name=second.name, description="hypervisor 2", max=20)
    assert pools["aws_x86_64_spot_prod"].tags["arch_x86_64"] == -20
    assert pools["aws_x86_64_spot_prod"].cmd_new == (
        '/var/lib/resalloc/provision/aws --arch x86_64 --spot-price 0.2 --name "$RESALLOC_NAME"\n'
    )
    assert pools["aws_aarch64_powerful_prod"].on_demand
    assert pools["ibm_s390x_09_prod"].named_counters == ("ibm_floating_ip",)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
options = st.dictionaries(st.sampled_from(Pool.__struct_fields__) | st.text(max_size=5), values, max_size=6)


def problems_of(text: str) -> tuple[object, ...]:
    try:
        parse_pools(text, "pools.yaml")
    except ConfigError as error:
        return error.problems
    return ()


@given(st.dictionaries(st.text(max_size=5), options.map(lambda more: {"cmd_new": "a", "cmd_delete": "b"} | more)))
def test_options_of_any_shape_are_read_or_refused_with_problems_of_one_line(document):
    text = yaml.dump(document, allow_unicode=True)

    for problem in problems_of(text):
        assert len(str(problem).splitlines()) == 1


@given(options)
def test_what_is_read_can_be_stored_and_read_again(more):
    text = yaml.dump({"local": {**more, "cmd_new": "a", "cmd_delete": "b"}})
    assume(not problems_of(text))

    pools = parse_pools(text, "pools.yaml").pools

    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(pools)), tuple[Pool, ...]) == pools


@given(st.text() | st.text(alphabet="ab:[]{}&*<!|>'\"-? \n~%@0", max_size=60) | values.map(yaml.dump))
def test_any_text_is_read_or_refused_with_problems_of_one_line(text):
    for problem in problems_of(text):
        assert len(str(problem).splitlines()) == 1


def row_of(name: str, option: Option) -> str:
    """The row of an option in README's table: its name, default and documentation."""
    match option.default:
        case msgspec.NODEFAULT:
            default = "required"
        case None:
            default = "none"
        case bool():
            default = str(option.default).lower()
        case str():
            default = f"`{option.default}`"
        case dict() | tuple():
            default = "[]"
        case number:
            default = f"{number} s" if "FloatType" in str(option.kind) else str(number)
    return f"| `{name}` | {default} | {option.doc} |"


def test_readme_shows_every_option_as_it_is_declared():
    """If this fails, copy the rows of the declaration to README.md."""
    readme = Path(pools_module.__file__).parents[1].joinpath("README.md").read_text()
    table = readme.partition("| option | default | meaning |\n|---|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [row_of(name, option) for name, option in pools_module.OPTIONS.items()]
