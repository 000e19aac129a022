"""Options and help of `resalloc-maint`, and how it finds the server."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.shim.client import SHIM, Client, every_shell, one_shell
from tests.shim.server import ScriptedServer, reply

COMMANDS = ["resource-list", "resource-info", "resource-delete", "resource-logs", "ticket-list", "foreach-resource"]
COMMANDS += ["resource-hold", "resource-release", "pool-pause", "pool-resume", "pool-drain", "pool-retry"]
COMMANDS += ["pool-delete-unused", "plan", "events", "history"]


MISUSE: list[tuple[list[str], str]] = [
    ([], "a command is needed"),
    (["--connection", "http://x"], "a command is needed"),
    (["resource"], "unknown command: resource"),
    ([""], "unknown command: "),
    (["resource-list ticket-list"], "unknown command: resource-list ticket-list"),
    (["--up", "resource-list"], "unknown option: --up"),
    (["resource-list", "1"], "unexpected argument: 1"),
    (["resource-list", "--bogus"], "unknown option: --bogus"),
    (["resource-list", "-u"], "unknown option: -u"),
    (["resource-list", "--up=1"], "--up takes no value"),
    (["resource-list", "--up] [--json"], "unknown option: --up] [--json"),
    (["resource-list", "--all"], "unknown option: --all"),
    (["resource-list", "--connection"], "--connection needs a value"),
    (["resource-list", "--connection", "--up"], "--connection needs a value"),
    (["resource-list", "--connection="], "not an http or https URL: "),
    (["resource-list", "--connection", "ftp://x"], "not an http or https URL: ftp://x"),
    (["resource-info"], "the id or name of a resource is needed"),
    (["resource-info", "1", "2"], "unexpected argument: 2"),
    (["resource-info", "-1"], "unknown option: -1"),
    (["resource-logs"], "the id or name of a resource is needed"),
    (["resource-logs", "1", "--json"], "unknown option: --json"),
    (["resource-delete"], "the id or name of a resource is needed"),
    (["resource-delete", "--all", "--unused"], "give only one of ID|NAME..., --all and --unused"),
    (["resource-delete", "1", "--all"], "give only one of ID|NAME..., --all and --unused"),
    (["resource-delete", "--unused", "1"], "give only one of ID|NAME..., --all and --unused"),
    (["resource-hold"], "the id or name of a resource is needed"),
    (["resource-hold", "1"], "--reason is needed"),
    (["resource-hold", "1", "2", "--reason", "x"], "unexpected argument: 2"),
    (["resource-release", "1", "--for", "2h"], "unknown option: --for"),
    (["pool-pause"], "the name of a pool is needed"),
    (["pool-drain", "a", "b"], "unexpected argument: b"),
    (["pool-pause", "a", "--by", "2h"], "unknown option: --by"),
    (["pool-drain", "a", "--by"], "--by needs a value"),
    (["pool-delete-unused"], "the name of a pool is needed"),
    (["pool-delete-unused", "a", "b"], "unexpected argument: b"),
    (["pool-delete-unused", "a", "--by", "2h"], "unknown option: --by"),
    (["plan"], "the name of a file is needed, or - for stdin"),
    (["plan", "a", "b"], "unexpected argument: b"),
    (["plan", "-", "b"], "unexpected argument: b"),
    (["plan", "-x"], "unknown option: -x"),
    (["-", "plan"], "unknown command: -"),
    (["ticket-list", "1"], "unexpected argument: 1"),
    (["foreach-resource", "echo {name}"], "unexpected argument: echo {name}"),
    (["foreach-resource", "--command"], "--command needs a value"),
    (["foreach-resource", "--command", "awk '{print}'"], "unknown placeholder in the command: {print}'"),
    (["foreach-resource", "--command", "echo {name"], "unknown placeholder in the command: {name"),
]
"""Arguments, and what is said of them."""


@every_shell
def test_a_usage_error_exits_2_before_any_request(maint: Client, server: ScriptedServer) -> None:
    for arguments, says in MISUSE:
        done = maint.run(*arguments)
        assert (arguments, done.returncode, done.stdout) == (arguments, 2, b"")
        assert done.stderr.startswith(b"usage: resalloc-maint [--connection URL] ")
        assert f"\nresalloc-maint: {says}" in done.stderr.decode()
    assert server.requests == []


def test_malformed_retry_variables_are_usage_errors(maint: Client) -> None:
    done = maint.run("ticket-list", env={"RESALLOC_RETRY_SECONDS": "5s"})
    assert done.returncode == 2
    assert b"RESALLOC_RETRY_SECONDS is not a number of seconds: 5s" in done.stderr
    done = maint.run("ticket-list", env={"RESALLOC_RETRY_DELAYS": "1s"})
    assert done.returncode == 2
    assert b"RESALLOC_RETRY_DELAYS is not a list of seconds: 1s" in done.stderr


@one_shell
def test_help_describes_every_command_and_how_the_server_is_found(maint: Client) -> None:
    for option in ("--help", "-h"):
        done = maint.run(option)
        assert (done.returncode, done.stderr) == (0, b"")
        for word in (
            *COMMANDS,
            "--connection",
            "RESALLOC_URL",
            "CONFIG_DIR",
            "RESALLOC_RETRY_SECONDS",
            "RESALLOC_RETRY_DELAYS",
        ):
            assert word.encode() in done.stdout


@one_shell
def test_each_command_has_help_of_its_own(maint: Client) -> None:
    for command in COMMANDS:
        done = maint.run(command, "--help")
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(f"usage: resalloc-maint [--connection URL] {command}".encode())
        assert [other for other in COMMANDS if f"\n{other} ".encode() in done.stdout] == [command]


@one_shell
def test_help_shows_the_commands_in_groups(maint: Client) -> None:
    shown = maint.run("--help").stdout.decode()
    places = [shown.index(f"-- {title} --\n") for title in ("Resources", "Tickets", "Pools", "The server")]
    assert places == sorted(places)
    assert places[2] < shown.index("\npool-pause ") < places[3]


@one_shell
def test_the_version_is_that_of_the_project(maint: Client) -> None:
    project = tomllib.loads((SHIM.parent / "pyproject.toml").read_text())["project"]
    assert maint.run("--version").stdout.decode() == f"resalloc-maint {project['version']}\n"


@pytest.mark.parametrize("ending", ["", "/", "/RPC2", "/RPC2/"])
def test_the_option_wins_over_the_variable(maint: Client, server: ScriptedServer, ending: str) -> None:
    server.script(*[reply(200, b"x\n")] * 3)
    address = server.url + ending
    nowhere = {"RESALLOC_URL": "http://127.0.0.1:1"}
    assert maint.run("ticket-list", env={"RESALLOC_URL": address}).stdout == b"x\n"
    assert maint.run("--connection", address, "ticket-list", env=nowhere).stdout == b"x\n"
    assert maint.run("ticket-list", f"--connection={address}", env=nowhere).stdout == b"x\n"
    assert {request.path for request in server.requests} == {"/tickets"}


@pytest.mark.parametrize(
    "text",
    [
        "hostname: 127.0.0.1\nport: PORT\n",
        "port: PORT",
        "---\n# the server\nhost: localhost\nport:   PORT   # a comment\n",
        "hostname: \"localhost\" # it's here\r\nport: 'PORT'\r\n",
        "host: elsewhere.invalid\nhostname : 127.0.0.1\nport : PORT\n",
        "logdir: /x:y\nhostname:\nport: PORT\nold:\n  port: 1\n  hostname: nowhere.invalid\n#port: 2\n",
        "hostname: 0.0.0.0\nport: PORT\nexport: 5\n",
        "hostname: 127.0.0.1\r\nport: PORT\r\n",
        "hostname: '::' # everywhere\nport: PORT\n",
    ],
)
def test_without_both_server_yaml_names_the_server(
    maint: Client, server: ScriptedServer, tmp_path: Path, text: str
) -> None:
    (tmp_path / "server.yaml").write_bytes(text.replace("PORT", str(server.port)).encode())
    server.script(*[reply(200, b"x\n")] * 2)
    done = maint.run("ticket-list", env={"RESALLOC_URL": "", "CONFIG_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x\n", b"")


def test_the_variable_wins_over_server_yaml(maint: Client, server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("port: 1\n")
    server.script(reply(200, b"x\n"))
    assert maint.run("ticket-list", env={"CONFIG_DIR": str(tmp_path)}).stdout == b"x\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [("hostname: '::1'\nport: 1\n", "[::1]:1"), ("hostname: nowhere.invalid\n", "nowhere.invalid:49100")],
)
def test_the_address_is_put_together(maint: Client, tmp_path: Path, text: str, address: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "curl").write_text('#!/bin/sh\necho "$@" >"$HOME/asked"\nexit 3\n')
    (programs / "curl").chmod(0o755)
    (tmp_path / "server.yaml").write_text(text)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    env = {"RESALLOC_URL": "", "CONFIG_DIR": str(tmp_path), "PATH": path}
    assert maint.run("ticket-list", env=env).returncode == 1
    assert (tmp_path / "asked").read_text().endswith(f" http://{address}/tickets\n")


def test_a_port_that_is_no_number_is_reported_with_its_file(maint: Client, tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("port: [1]\n")
    done = maint.run("ticket-list", env={"RESALLOC_URL": "", "CONFIG_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"resalloc-maint: {tmp_path}/server.yaml: the port is not a number: [1]\n"


@every_shell
def test_stdin_is_never_read(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"1\n"), reply(202), reply(200, b"1\ta\tUP\t\n"))
    ours, theirs = os.pipe()
    os.write(theirs, b"the caller's own lines\n")
    os.close(theirs)
    for arguments in (["ticket-list"], ["resource-delete", "1"], ["foreach-resource", "--command", "cat"]):
        done = maint.run(*arguments, stdin=ours)
        assert done.returncode == 0
    assert done.stdout == b""
    assert os.read(ours, 100) == b"the caller's own lines\n"
    os.close(ours)


def test_the_shim_is_clean_for_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "shellcheck is one of the development dependencies"
    command = [shellcheck, "--shell=sh", SHIM / "resalloc-maint"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""
