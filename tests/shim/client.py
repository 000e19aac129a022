"""Runs the shims."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SHIM = Path(__file__).parents[2] / "shim"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "bash-posix": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
THOROUGH = ("bash-posix", "busybox")
"""Shells that `make test` leaves out."""


def _params(*shells: str) -> list[object]:
    return [pytest.param(shell, marks=[pytest.mark.thorough] if shell in THOROUGH else []) for shell in shells]


PORTABLE = _params("dash", "busybox")
"""The shells of each test that names no others: the two that know nothing but POSIX sh."""
every_shell = pytest.mark.parametrize("resalloc", _params(*SHELLS), indirect=True)
"""For signals, traps, job control and `run`, and for odd bytes: there bash differs from the others."""
one_shell = pytest.mark.parametrize("resalloc", ["dash"], indirect=True)
"""For texts that no shell can change."""
SECONDS = 20
"""Longest time that a run may take: generous, because only a defect ever takes it."""


def processes_of(session: int) -> list[str]:
    """The command lines of what lives in the session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if its_session == str(session) and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
    return found


@dataclass
class Client:
    """Runs the shims with one shell, with proxy variables and a .curlrc that would break every request.

    Pauses between retries are short unless a test asks for the usual ones with RESALLOC_RETRY_DELAYS="".
    """

    shell: Sequence[str]
    home: Path
    url: str
    script: Path = SHIM / "resalloc"
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def temporary(self) -> Path:
        return self.home / "tmp"

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the shim in a session of its own; `env` adds to its environment, `prepare` runs in its process."""
        dead = "http://127.0.0.1:1"
        shim = subprocess.Popen(
            [*self.shell, str(self.script), *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "RESALLOC_URL": self.url,
                "RESALLOC_RETRY_DELAYS": "0.02 0.05 0.1",
                "http_proxy": dead,
                "HTTP_PROXY": dead,
                "ALL_PROXY": dead,
                **(env or {}),
            },
            start_new_session=True,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=prepare,  # noqa: PLW1509 -- the tests run shims from one thread
        )
        self.started.append(shim)
        return shim

    def run(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the shim to its end."""
        shim = self.start(*arguments, env=env, stdin=stdin, stdout=stdout, stderr=stderr, prepare=prepare)
        stdout, stderr = shim.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(arguments, shim.returncode, stdout, stderr)
