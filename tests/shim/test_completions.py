"""What bash and zsh complete for `resalloc` and `resalloc-maint`, with the shims themselves and a server."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shim.client import SHIM
from tests.shim.server import ScriptedServer, reply

BASH = """
source {file}
COMP_WORDS=({words}) COMP_LINE={line}
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_POINT=${{#COMP_LINE}}
_resalloc "${{COMP_WORDS[0]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compadd() {{ shift; print -rl -- ${{(M)@:#${{words[CURRENT]}}*}} }}
_normal() {{ print -r -- "as: $words" }}
_files() {{ print -rl -- ${{words[CURRENT]}}*(N) }}
complete_it() {{ {source} }}
words=({words}) CURRENT=$#words
complete_it
true
"""
LISTS = {
    "/tickets": b"7 - state=OPEN tags=a\n42 - state=FAILED tags=b\n",
    "/resources": b"1 - vms-1 pool=vms\n2 - $(touch${IFS}oops) pool=vms\n",
    "/pools": b"vms max=4\ndisks max=1\n",
}


def completed(shell: str, url: str, folder: Path, *words: str) -> list[str]:
    """What the shell offers for the last of these words."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} IS NOT INSTALLED: its completion is NOT tested; install {shell}")
    quoted = shlex.join(words)
    if shell == "bash":
        program = ["bash", "--norc", "-c"]
        text = BASH.format(file=SHIM / "completions" / "resalloc.bash", words=quoted, line=shlex.quote(" ".join(words)))
    else:
        program = ["zsh", "-f", "-c"]
        text = ZSH.format(source=(SHIM / "completions" / "_resalloc").read_text(), words=quoted)
    environment = {"PATH": f"{SHIM}:{os.environ['PATH']}", "RESALLOC_URL": url}
    done = subprocess.run(
        [*program, text], env=environment, cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    return sorted(done.stdout.split("\n")[:-1]) if done.stdout.strip() else []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["resalloc", "tick"], ["ticket", "ticket-check", "ticket-close", "ticket-explain", "ticket-wait"]),
        (["resalloc", "--connection", "http://x", "r"], ["run"]),
        (["resalloc", "ticket", "--"], ["--connection", "--help", "--sandbox", "--tag", "--version"]),
        (["resalloc", "ticket", "--tag", ""], []),
        (["resalloc", "ticket-close", "--b"], ["--bad"]),
        (["resalloc-maint", "resource-d"], ["resource-delete"]),
        (["resalloc-maint", "pool-d"], ["pool-delete-unused", "pool-drain"]),
        (["resalloc-maint", "pool-delete-unused", "--r"], ["--reason"]),
        (["resalloc-maint", "resource-delete", "--a"], ["--all"]),
        (["resalloc-maint", "resource-list", "--u"], ["--up"]),
        (["resalloc-maint", "fsck", ""], []),
        (["resalloc-maint", "events", "--pool", "vms", "--t"], ["--ticket"]),
        (["resalloc-maint", "resource-hold", "1", "--r"], ["--reason"]),
    ],
)
def test_commands_and_options(shell: str, words: list[str], offers: list[str], tmp_path: Path) -> None:
    assert completed(shell, "http://127.0.0.1:1", tmp_path, *words) == offers


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["resalloc", "ticket-wait", ""], ["42", "7"]),
        (["resalloc", "ticket-close", "--bad", "disk", "4"], ["42"]),
        (["resalloc-maint", "resource-info", "vm"], ["vms-1"]),
        (["resalloc-maint", "pool-pause", "d"], ["disks"]),
        (["resalloc-maint", "pool-delete-unused", "v"], ["vms"]),
        (["resalloc-maint", "history", "--limit", "3", "vm"], ["vms-1"]),
        (["resalloc-maint", "events", ""], []),
        (["resalloc-maint", "events", "--pool", ""], ["disks", "vms"]),
        (["resalloc-maint", "events", "--follow", "--resource", "vm"], ["vms-1"]),
        (["resalloc-maint", "events", "--pool", "vms", "--ticket", ""], ["42", "7"]),
        (["resalloc-maint", "events", "--limit", ""], []),
        (["resalloc-maint", "pool-drain", "vms", "--by", ""], []),
    ],
)
@pytest.mark.parametrize("named", ["by RESALLOC_URL", "by --connection"])
def test_ids_and_names_come_from_the_server(
    shell: str, words: list[str], offers: list[str], named: str, server: ScriptedServer, tmp_path: Path
) -> None:
    server.script(lambda handler: reply(200, LISTS[handler.path])(handler))
    if named == "by RESALLOC_URL":
        assert completed(shell, server.url, tmp_path, *words) == offers
    else:
        words = [words[0], "--connection", f"{server.url}/RPC2", *words[1:]]
        assert completed(shell, "http://127.0.0.1:1", tmp_path, *words) == offers


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_file_is_completed_as_one(shell: str, tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").touch()
    (tmp_path / "other").touch()
    assert completed(shell, "http://127.0.0.1:1", tmp_path, "resalloc-maint", "plan", "poo") == ["pools.yaml"]
    assert completed(shell, "http://127.0.0.1:1", tmp_path, "resalloc-maint", "plan", "--j") == ["--json"]


def test_a_folder_in_a_path_is_completed_and_names_are_quoted(tmp_path: Path) -> None:
    """Given a folder and a file with a space, when bash completes them as typed, then it goes on behind a slash."""
    if shutil.which("bash") is None:
        pytest.skip("bash IS NOT INSTALLED: its completion is NOT tested; install bash")
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "new pools.yaml").touch()
    typed = "resalloc-maint plan si\tne\t\x01printf '<%s>' \n"  # what was completed is not called, but shown
    script = f"source {SHIM}/completions/resalloc.bash; set -o emacs\n"
    master, slave = os.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"],
        cwd=tmp_path,
        env={"PATH": f"{SHIM}:{os.environ['PATH']}", "TERM": "dumb", "INPUTRC": "/dev/null"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, (script + typed + "exit\n").encode())
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:
        pass  # the terminal is gone with the shell
    finally:
        os.close(master)
        shell.wait(20)
    assert b"<plan><sites/new pools.yaml>" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_nothing_that_a_server_says_is_run(shell: str, server: ScriptedServer, tmp_path: Path) -> None:
    server.script(lambda handler: reply(200, LISTS[handler.path])(handler))
    assert len(completed(shell, server.url, tmp_path, "resalloc-maint", "resource-info", "")) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_server_that_is_away_offers_nothing(shell: str, tmp_path: Path) -> None:
    assert completed(shell, "http://127.0.0.1:1", tmp_path, "resalloc", "ticket-wait", "") == []


def test_behind_run_the_other_command_is_completed(tmp_path: Path) -> None:
    assert "printf" in completed("bash", "http://x", tmp_path, "resalloc", "run", "--tag", "a", "--", "print")
    offered = completed("zsh", "http://x", tmp_path, "resalloc", "run", "--tag", "a", "--", "make", "te")
    assert offered == ["as: make te"]


def test_the_completion_for_bash_is_clean_for_shellcheck() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "--shell=bash", SHIM / "completions" / "resalloc.bash"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
