"""agents.yaml: what each option may be, that all faults are reported at once, and that resalloc's own file is read."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.agents import AgentGroup, AgentsFile, agents_file, load_agents, parse_agents
from config.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config" / "agents.yaml.example"

OLD_FILE = """
agent_groups:
  workers:
    cmd_prepare: /bin/prepare
    cmd_terminate: echo noop
    cmd_converge_to: echo 1
    cmd_check_finished: /bin/false
    cmd_try_release: /bin/false
    tags:
      - kobo_worker
resalloc_server: "http://localhost:49100"
logfile: /tmp/agent-spawner.log
redis_db: null
redis_host: null
redis_port: null
redis_password: null
"""


def one_group(text: str) -> AgentGroup:
    file = parse_agents(f"agent_groups:\n  workers:\n    tags: [a]\n{text}", "agents.yaml")
    return file.groups["workers"]


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_agents(text, "agents.yaml")
    return str(caught.value).splitlines()


def test_a_group_needs_only_tags_and_has_the_defaults_of_resalloc() -> None:
    group = one_group("")
    assert group == AgentGroup(name="workers", tags=("a",))
    assert [group.cmd_converge_to, group.cmd_prepare, group.cmd_terminate] == ["echo 1", "true", "true"]
    assert [group.cmd_check_finished, group.cmd_try_release] == ["false", "false"]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "agent_groups:\n", "agent_groups: {}\n"])
def test_a_file_may_have_no_groups(text: str) -> None:
    assert parse_agents(text, "agents.yaml") == AgentsFile()


def test_groups_keep_the_order_of_the_file() -> None:
    text = "agent_groups: {zulu: {tags: [a]}, alpha: {tags: [a]}, mike: {tags: [a]}}"
    assert list(parse_agents(text, "agents.yaml").groups) == ["zulu", "alpha", "mike"]


@pytest.mark.parametrize(
    ("option", "written", "value"),
    [
        ("cmd_prepare", "prepare --now", "prepare --now"),
        ("cmd_prepare", "null", "true"),
        ("cmd_converge_to", "echo 7", "echo 7"),
        ("cmd_prepare_timeout", "1.5", 1.5),
        ("cmd_terminate_timeout", "60", 60),
    ],
)
def test_options_are_read(option: str, written: str, value: object) -> None:
    assert getattr(one_group(f"    {option}: {written}\n"), option) == value


def test_a_repeated_tag_counts_once() -> None:
    text = "agent_groups: {workers: {tags: [b, a, b, 3.10]}}"
    assert parse_agents(text, "agents.yaml").groups["workers"].tags == ("b", "a", "3.10")


def test_every_fault_is_reported_at_once_with_its_line() -> None:
    text = """\
period: soon
agent_groups:
  none:
  empty: {tags: []}
  a/b: {tags: [a]}
  bad:
    tags: one
    cmd_prepare: true
    cmd_terminate_timeout: 0
"""
    assert faults_of(text) == [
        'agents.yaml:1: option "period": must be a number of seconds from 0.1 to 1000000000000, not "soon"',
        'agents.yaml:3: group "none", option "tags": is missing: a ticket without tags would take any resource',
        'agents.yaml:4: group "empty", option "tags": must hold at least one tag: a ticket without tags would take any'
        " resource",
        'agents.yaml:5: group "a/b": the name must not hold "/" nor start with "."',
        'agents.yaml:7: group "bad", option "tags": must be a list, not "one"',
        'agents.yaml:8: group "bad", option "cmd_prepare": must be text, not true; write "true" if that is the text',
        'agents.yaml:9: group "bad", option "cmd_terminate_timeout": must be a number of seconds from 1 to'
        " 1000000000000, not 0",
    ]


@pytest.mark.parametrize("text", ["agent_groups: [", "- a\n", "agent_groups: 3\n", "agent_groups: [a]\n", "text", "\0"])
def test_what_is_no_such_file_is_refused_in_one_sentence(text: str) -> None:
    assert len(faults_of(text)) == 1


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(yaml.safe_dump))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_agents(text, "agents.yaml")


def test_what_is_unknown_is_a_warning() -> None:
    text = "agent_group: {}\nagent_groups: {workers: {tags: [a], cmd_prepar: x}}\n"
    assert [str(warning) for warning in parse_agents(text, "f").warnings] == [
        'f:1: option "agent_group": is unknown and ignored',
        'f:2: group "workers", option "cmd_prepar": is unknown and ignored; is "cmd_prepare" meant?',
    ]
    assert "agent_groups" in str(parse_agents("period: 1\n", "f").warnings[0])


def test_the_file_of_resallocs_agent_spawner_is_accepted_and_ignored_options_are_reported() -> None:
    file = parse_agents(OLD_FILE, "config.yaml")
    assert file.groups == {
        "workers": AgentGroup(
            name="workers",
            tags=("kobo_worker",),
            cmd_prepare="/bin/prepare",
            cmd_terminate="echo noop",
            cmd_converge_to="echo 1",
            cmd_check_finished="/bin/false",
            cmd_try_release="/bin/false",
        )
    }
    ignored = [warning.option for warning in file.warnings if "is ignored" in warning.message]
    assert ignored == ["resalloc_server", "logfile", "redis_db", "redis_host", "redis_port", "redis_password"]


def test_agents_are_switched_on_by_the_presence_of_their_file(tmp_path: Path) -> None:
    assert load_agents(tmp_path) is None
    (tmp_path / "agents.yaml").write_text("")
    assert load_agents(tmp_path) == AgentsFile()


def test_the_old_name_of_the_file_counts_while_there_is_no_new_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(OLD_FILE)
    assert agents_file(tmp_path).name == "config.yaml"
    (tmp_path / "agents.yaml").write_text("")
    assert agents_file(tmp_path).name == "agents.yaml"


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_agents(tmp_path)


def test_the_example_does_not_switch_agents_on() -> None:
    assert not (EXAMPLE.parent / "agents.yaml").exists()
    assert load_agents(EXAMPLE.parent) is None


def test_the_example_runs_and_shows_every_option_with_its_default() -> None:
    text = EXAMPLE.read_text()
    shown = parse_agents(re.sub(r"^( *)#(?=[a-z_]+: )", r"\1", text, flags=re.MULTILINE), str(EXAMPLE))
    assert parse_agents(text, str(EXAMPLE)) == shown
    assert shown.warnings == ()
    for option in (*AgentGroup.__struct_fields__, "period"):
        assert option == "name" or re.search(rf"^ *#?{option}:", text, re.MULTILINE), option


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "config", "check"]
    environ = {"PATH": os.environ["PATH"], "CONFIG_DIR": str(folder)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_the_check_command_lists_groups_and_reports_faults(tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").write_text("")
    (tmp_path / "server.yaml").write_text("")
    (tmp_path / "agents.yaml").write_text("agent_groups: {workers: {tags: [a, b], cmd_converge_to: count}}\nx: 1\n")
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (0, "agents of workers: tags: a, b; as many as prints: count\n")
    assert done.stderr == f'warning: {tmp_path}/agents.yaml:2: option "x": is unknown and ignored\n'
    (tmp_path / "agents.yaml").write_text("agent_groups: {workers: }")
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert 'group "workers"' in done.stderr
