"""`python -m config`, as it is called."""

import json
import os
import subprocess
import sys

import pytest

POOLS = (
    "one: {cmd_new: a, cmd_delete: b, tags: [y, x]}\ntwo: {cmd_new: a, cmd_delete: b, max: 9, tags_on_demand: [z]}\n"
)


def run(folder, *arguments, **environ):
    command = [sys.executable, "-m", "config", *arguments]
    environ = {"PATH": os.environ["PATH"], "CONFIG_DIR": str(folder), **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_check_prints_a_line_for_each_pool(tmp_path):
    (tmp_path / "server.yaml").write_text("port: 5000\n")
    (tmp_path / "pools.yaml").write_text(POOLS)

    done = run(tmp_path, "check")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "one: at most 4, 1 starting at a time, 2 spare; tags: x, y",
        "two: at most 9, 1 starting at a time, on demand; tags: z",
    ]


def test_check_prints_warnings_and_still_succeeds(tmp_path):
    (tmp_path / "server.yaml").write_text("prot: 5000\n")
    (tmp_path / "pools.yaml").write_text("one: {cmd_new: a, cmd_delete: b, maxx: 3}\n")

    done = run(tmp_path, "check")

    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f'warning: {tmp_path}/server.yaml:1: option "prot": is unknown and ignored; is "port" meant?',
        f'warning: {tmp_path}/pools.yaml:1: pool "one", option "maxx": is unknown and ignored; is "max" meant?',
    ]


def test_check_reports_the_faults_of_both_files_and_fails(tmp_path):
    (tmp_path / "server.yaml").write_text("port: x\n")
    (tmp_path / "pools.yaml").write_text("one: {cmd_new: a, max: y}\n")

    done = run(tmp_path, "check")

    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        f"{tmp_path}/server.yaml",
        f"{tmp_path}/pools.yaml",
        f"{tmp_path}/pools.yaml",
    ]


def test_show_prints_all_settings_as_json(tmp_path):
    done = run(tmp_path, "show", PORT="5001", RESALLOC_STATE_DIR="/s")

    shown = json.loads(done.stdout)
    assert (shown["port"], shown["state_dir"], shown["config_dir"]) == (5001, "/s", str(tmp_path))


@pytest.mark.parametrize(("name", "value"), [("port", "5001"), ("hostname", "localhost"), ("state_dir", "/s")])
def test_show_prints_one_setting_as_text(tmp_path, name, value):
    done = run(tmp_path, "show", name, PORT="5001", RESALLOC_STATE_DIR="/s")

    assert (done.returncode, done.stdout) == (0, value + "\n")


def test_show_fails_on_a_broken_file(tmp_path):
    (tmp_path / "server.yaml").write_text("port: [\n")

    done = run(tmp_path, "show", "port")

    assert (done.returncode, done.stdout) == (1, "")
    assert "server.yaml:2: is not valid YAML" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["show", "nonsense"], ["check", "more"]])
def test_wrong_usage_exits_2(tmp_path, arguments):
    assert run(tmp_path, *arguments).returncode == 2


def test_help_names_the_commands_and_the_folder(tmp_path):
    done = run(tmp_path, "--help")

    assert done.returncode == 0
    assert "check" in done.stdout
    assert "show" in done.stdout
    assert "$CONFIG_DIR" in done.stdout
