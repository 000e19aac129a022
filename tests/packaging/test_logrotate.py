"""config/logrotate, used by the real logrotate on a log folder of the test."""

import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[2]
WRITER = """
import logging, sys, time
from pathlib import Path
from config import logs
logs.set_up(Path(sys.argv[1]), "info", sys.argv[2])
number = 0
while True:
    logging.info("line %d", number)
    number += 1
    time.sleep(0.005)
"""


class Rotation:
    """config/logrotate for the folder `logs`, as the user who runs the test."""

    def __init__(self, folder: Path, program: str) -> None:
        self.logs = folder / "log"
        self.logs.mkdir(mode=0o700)
        self.config = folder / "logrotate"
        self.program = program
        me = f"su {pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
        text = (ROOT / "config/logrotate").read_text()
        assert "su resalloc resalloc" in text
        assert "/var/log/resallocserver/" in text
        text = text.replace("/var/log/resallocserver", str(self.logs)).replace("su resalloc resalloc", me)
        self.config.write_text(text)
        self.config.chmod(0o644)

    def run(self, *options: str) -> str:
        done = subprocess.run(
            [self.program, "--state", self.config.with_suffix(".state"), *options, self.config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def rotation(tmp_path: Path) -> Rotation:
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("logrotate IS NOT INSTALLED: config/logrotate is NOT tested; install logrotate")
    return Rotation(tmp_path, program)


def numbers(log: Path) -> list[int]:
    """The numbers of the lines that the writer wrote; fails on a line that is damaged."""
    lines = log.read_bytes().decode().splitlines()
    if lines[0].startswith("{"):
        lines = [json.loads(line)["message"] for line in lines]
    else:
        assert all(re.fullmatch(r"\S+ \S+ INFO root: line \d+", line) for line in lines)
    return [int(line.rsplit(" ", 1)[1]) for line in lines]


def test_configuration_is_accepted_without_complaint(rotation):
    output = rotation.run("--debug")

    assert "error" not in output.lower()
    assert str(rotation.logs / "main.log") in output


@pytest.mark.parametrize("form", ["text", "json"])
def test_running_server_goes_on_writing_to_a_rotated_log(rotation, form):
    main_log, rotated = rotation.logs / "main.log", rotation.logs / "main.log.1"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, rotation.logs, form],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: main_log.exists() and main_log.stat().st_size > 2000, what="the writer writes")
        inode = main_log.stat().st_ino

        rotation.run("--force")

        until(lambda: main_log.stat().st_size > 2000, what="the writer writes again")
        assert main_log.stat().st_ino == inode
    finally:
        writer.kill()
        writer.wait()
    before, after = numbers(rotated), numbers(main_log)
    assert before[0] == 0
    assert after[0] > before[-1]


def test_four_old_logs_are_kept_compressed(rotation):
    main_log = rotation.logs / "main.log"
    for number in range(6):
        main_log.write_text(f"log {number}\n")
        rotation.run("--force")

    kept = sorted(file.name for file in rotation.logs.iterdir())
    assert kept == ["main.log", "main.log.1", "main.log.2.gz", "main.log.3.gz", "main.log.4.gz"]
    assert main_log.read_text() == ""
