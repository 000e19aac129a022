"""Options, ids and addresses of `resalloc`, and what it needs to run."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.shim.client import SHIM, Client, every_shell, one_shell
from tests.shim.server import ScriptedServer, reply

ROOT = SHIM.parent


MISUSE: list[tuple[list[str], str]] = [
    ([], "a command is needed"),
    (["--connection", "http://x"], "a command is needed"),
    (["tickets"], "unknown command: tickets"),
    ([""], "unknown command: "),
    (["--bogus"], "unknown option: --bogus"),
    (["ticket"], "at least one --tag is needed"),
    (["ticket", "--sandbox", "s"], "at least one --tag is needed"),
    (["ticket", "--tag"], "--tag needs a value"),
    (["ticket", "--tag", "--sandbox", "s"], "--tag needs a value"),
    (["ticket", "--tag", "a", "b"], "unexpected argument: b"),
    (["ticket", "--tag", "a", "--connection"], "--connection needs a value"),
    (["--tag", "a", "ticket"], "--tag must come after the command ticket"),
    (["ticket-check", "1", "--tag", "a"], "--tag must come after the command ticket"),
    (["ticket-check"], "a ticket id is needed"),
    (["ticket-wait", ""], "a ticket id is needed"),
    (["ticket-close", "1", "2"], "unexpected argument: 2"),
    (["ticket-check", "abc"], "not a ticket id: abc"),
    (["ticket-check", "1/../2"], "not a ticket id: 1/../2"),
    (["ticket-check", "1\n"], "not a ticket id: 1"),
    (["ticket-wait", "1?closed=1"], "not a ticket id: 1?closed=1"),
    (["ticket-close", "-1"], "unknown option: -1"),
    (["ticket-close", "9" * 19], "not a ticket id, too long"),
    (["run"], "at least one --tag is needed"),
    (["run", "--", "true"], "at least one --tag is needed"),
    (["run", "--tag", "a"], "the command to run is missing; put it after --"),
    (["run", "--tag", "a", "--"], "the command to run is missing; put it after --"),
    (["run", "--tag", "a", "make"], "unexpected argument: make; put the command to run after --"),
    (["run", "--tag", "--", "true"], "--tag needs a value"),
    (["run", "--tag", "a", "--bad", "x", "--", "true"], "--bad must come after the command ticket-close"),
    (["run", "--tag", "a", "--", "A=1", "make"], "cannot run a command with = in its name: A=1"),
    (["run", "--timeout", "5m", "--tag", "a", "--", "true"], "--timeout is not a number of seconds"),
    (["ticket-wait", "--timeout=", "1"], "--timeout is not a number of seconds"),
    (["ticket-check", "--quiet", "1"], "--quiet must come after the command ticket-wait or run"),
    (["ticket-wait", "--quiet=1", "1"], "unknown option: --quiet=1"),
    (["ticket-wait", "--", "1"], "unknown option: --"),
    (["ticket-explain"], "a ticket id is needed"),
    (["ticket-close", "--bad"], "--bad needs a value"),
    (["--connection", "ftp://host", "ticket-check", "1"], "not an http or https URL: ftp://host"),
    (["--connection=", "ticket-check", "1"], "not an http or https URL: "),
]
"""Arguments, and what is said of them."""


@every_shell
def test_a_usage_error_exits_2_before_any_request(resalloc: Client, server: ScriptedServer) -> None:
    for arguments, says in MISUSE:
        done = resalloc.run(*arguments)
        assert (arguments, done.returncode, done.stdout) == (arguments, 2, b"")
        assert done.stderr.startswith(b"usage: resalloc [--connection URL] ticket ")
        assert f"\nresalloc: {says}" in done.stderr.decode()
    assert server.requests == []


def test_malformed_retry_variables_are_usage_errors(resalloc: Client) -> None:
    done = resalloc.run("ticket-check", "1", env={"RESALLOC_RETRY_SECONDS": "5s"})
    assert done.returncode == 2
    assert b"RESALLOC_RETRY_SECONDS is not a number of seconds: 5s" in done.stderr
    for delays in ("1s", "-1", " ", "1  2", "1\n2"):
        done = resalloc.run("ticket-check", "1", env={"RESALLOC_RETRY_DELAYS": delays})
        assert (delays, done.returncode) == (delays, 2)
        assert f"RESALLOC_RETRY_DELAYS is not a list of seconds: {delays}\n" in done.stderr.decode()


@pytest.mark.parametrize("ending", ["", "/", "/RPC2", "/RPC2/"])
def test_an_address_may_end_as_the_old_client_wanted_it(resalloc: Client, server: ScriptedServer, ending: str) -> None:
    server.script(*[reply(200, b"x", Ticket_State="OPEN")] * 4)
    address = server.url + ending
    nowhere = {"RESALLOC_URL": "http://127.0.0.1:1"}
    assert resalloc.run("ticket-check", "3", env={"RESALLOC_URL": address}).stdout == b"x"
    assert resalloc.run("--connection", address, "ticket-check", "3", env=nowhere).stdout == b"x"
    assert resalloc.run(f"--connection={address}", "ticket-check", "3", env=nowhere).stdout == b"x"
    assert resalloc.run("ticket-check", "3", "--connection", address, env=nowhere).stdout == b"x"
    assert {request.path for request in server.requests} == {"/tickets/3/output"}


@one_shell
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["ticket", "--help"], ["ticket-wait", "42", "--help"]])
def test_help(resalloc: Client, arguments: list[str]) -> None:
    done = resalloc.run(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    for word in (
        b"ticket-check",
        b"ticket-wait",
        b"ticket-close",
        b"ticket-explain",
        b"run",
        b"--tag",
        b"--sandbox",
        b"--connection",
    ):
        assert word in done.stdout
    for variable in (b"RESALLOC_URL", b"RESALLOC_RETRY_SECONDS", b"RESALLOC_RETRY_DELAYS"):
        assert variable in done.stdout


@one_shell
def test_the_version_is_that_of_the_project(resalloc: Client) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert resalloc.run("--version").stdout.decode() == f"resalloc (client) {project['version']}\n"


@every_shell
def test_stdin_is_never_read(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(201, b"1\n"), reply(408), reply(200, b"x"), reply(200))
    ours, theirs = os.pipe()
    os.write(theirs, b"the caller's own lines\n")
    os.close(theirs)
    for arguments in (["ticket", "--tag", "a"], ["ticket-wait", "1"], ["ticket-close", "1"]):
        assert resalloc.run(*arguments, stdin=ours).returncode == 0
    assert os.read(ours, 100) == b"the caller's own lines\n"
    os.close(ours)


@every_shell
def test_ticket_runs_no_program_but_curl_and_rm(resalloc: Client, server: ScriptedServer, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("curl", "rm"):
        (programs / program).symlink_to(str(shutil.which(program)))
    resalloc.shell = [str(shutil.which(resalloc.shell[0])), *resalloc.shell[1:]]
    server.script(reply(201, b"1\n"))
    done = resalloc.run("ticket", "--tag", "a", env={"PATH": str(programs)})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"")


@every_shell
def test_a_missing_curl_is_said(resalloc: Client, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "rm").symlink_to(str(shutil.which("rm")))
    resalloc.shell = [str(shutil.which(resalloc.shell[0])), *resalloc.shell[1:]]
    done = resalloc.run("ticket-check", "1", env={"PATH": str(programs)})
    assert done.returncode == 1
    assert b"curl: " in done.stderr
    assert b"not found" in done.stderr


def test_the_shim_is_clean_for_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "shellcheck is one of the development dependencies"
    done = subprocess.run([shellcheck, "--shell=sh", SHIM / "resalloc"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
