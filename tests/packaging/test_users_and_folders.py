"""The sysusers and tmpfiles lines, applied by the real programs to a root of the test."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "config/systemd"


def run(program: str, *arguments: str | Path) -> None:
    """Run a program of systemd, or skip the test."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} IS NOT INSTALLED: its configuration is NOT tested; install systemd")
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\n") <= 2, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine that has the user and its folders."""
    if os.getuid() != 0:
        pytest.skip("NOT RUN BY ROOT: the user and the folders of the server are NOT tested")
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "sysusers.conf")
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", SYSTEMD / "tmpfiles.conf")
    return tmp_path


def account(machine: Path) -> list[str]:
    (line,) = [line for line in (machine / "etc/passwd").read_text().splitlines() if line.startswith("resalloc:")]
    return line.split(":")


def test_user_has_the_home_and_shell_that_operators_are_used_to(machine):
    _, _, _, _, _, home, shell = account(machine)

    assert (home, shell) == ("/var/lib/resallocserver", "/bin/bash")


@pytest.mark.parametrize("folder", ["var/lib/resallocserver", "var/log/resallocserver", "var/log/resallocserver/hooks"])
def test_folders_belong_to_the_user_alone(machine, folder):
    status = (machine / folder).stat()

    assert (str(status.st_uid), str(status.st_gid)) == (account(machine)[2], account(machine)[3])
    assert status.st_mode & 0o7777 == 0o700


def test_hook_logs_are_removed_once_idle_for_a_week(machine):
    logs, day = machine / "var/log/resallocserver", 86400
    ages = {"hooks/000001_alloc": 8, "hooks/000002_alloc": 6, "hooks/000003_watch": 0, "main.log": 8}
    for name, age in ages.items():
        (logs / name).touch()
        os.utime(logs / name, times=(time.time(), time.time() - age * day))

    run("systemd-tmpfiles", f"--root={machine}", "--clean", SYSTEMD / "tmpfiles.conf")

    assert sorted(file.name for file in logs.rglob("*") if file.is_file()) == [
        "000002_alloc",
        "000003_watch",
        "main.log",
    ]
