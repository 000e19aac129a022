"""A real sshd on loopback, and the ssh helpers for hooks under the shells that are installed.

sshd runs without privileges: nss_wrapper shows it accounts (root, cloud-user) that are all the user who runs it, so
that the accounts and the ssh files of this machine are neither needed nor touched.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SHIM = Path(__file__).parents[2] / "shim"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
PORTABLE = ("dash", pytest.param("busybox", marks=pytest.mark.thorough))
"""The shells of each test that names no others: the two that know nothing but POSIX sh."""
every_shell = pytest.mark.parametrize("shell", SHELLS, indirect=True)
"""For signals and traps: there bash differs from the others."""
one_shell = pytest.mark.parametrize("shell", ["dash"], indirect=True)
"""For what takes long because ssh itself waits."""
SECONDS = 30
"""Longest wait for something that should happen at once: generous, because only a defect ever waits for it."""
NOBODY = 65534


def until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as `condition()` is true; fail the test, naming `what`, when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {SECONDS} s: {what}")
        time.sleep(0.01)


@dataclass
class Sshd:
    """An sshd whose users log in with `key`; `ssh_config` leads ssh there and asks for all that must not matter."""

    folder: Path
    program: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def log(self) -> str:
        file = self.folder / "sshd.log"
        return file.read_text() if file.exists() else ""

    def prepare(self) -> None:
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        server, group = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
        account = f"*:{server}:{group}:test:{self.folder}:/bin/sh\n"
        (self.folder / "passwd").write_text(f"root:{account}cloud-user:{account}")
        (self.folder / "group").write_text(f"test:*:{group}:\n")
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_%u\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        self.ssh_config.write_text(
            f"Port {self.port}\nIdentityFile {self.key}\nIdentitiesOnly yes\n"
            f"UserKnownHostsFile {self.known_hosts}\nStrictHostKeyChecking yes\nBatchMode no\n"
        )
        if os.getuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                if path != self.key:
                    os.chown(path, server, group)
            self.folder.chmod(0o755)

    def authorize(self, user: str, command: str | None = None) -> None:
        """Let `user` in; with `command` that is run in place of what the user asks for."""
        escaped = "" if command is None else command.replace('"', r"\"")
        options = "" if command is None else f'command="{escaped}" '
        public = self.key.with_suffix(".pub").read_text()
        (self.folder / f"authorized_{user}").write_text(options + public)

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(self.folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(self.folder / "group"),
        }
        privileges = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        with (self.folder / "sshd.log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.program, "-D", "-e", "-f", self.folder / "sshd_config"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **privileges,  # type: ignore[call-overload]
            )
        until(lambda: "listening on" in self.log or self.process.poll() is not None, "sshd listens")
        assert self.process.poll() is None, f"sshd did not start: {self.log}"

    def stop(self) -> None:
        if self.process is not None:
            _kill_session(self.process.pid)
            self.process.wait()


@pytest.fixture
def port() -> int:
    """A free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@pytest.fixture
def stopped_sshd(port: int) -> Iterator[Sshd]:
    """An sshd that is not started; no user may log in yet."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd IS NOT INSTALLED: the ssh helpers are NOT tested; install openssh-server")
    wrapped = subprocess.run(["true"], env={"LD_PRELOAD": "libnss_wrapper.so"}, stderr=subprocess.PIPE, check=True)
    if wrapped.stderr:
        pytest.skip("nss_wrapper IS NOT INSTALLED: the ssh helpers are NOT tested; install libnss-wrapper")
    with tempfile.TemporaryDirectory(prefix="sshd-") as folder:
        sshd = Sshd(Path(folder), program, port)
        sshd.prepare()
        yield sshd
        sshd.stop()


@pytest.fixture
def sshd(stopped_sshd: Sshd) -> Sshd:
    """A running sshd; no user may log in yet."""
    stopped_sshd.start()
    return stopped_sshd


@pytest.fixture
def silent_host(stopped_sshd: Sshd) -> Iterator[socket.socket]:
    """Accepts connections at the port of sshd and never says a word."""
    with socket.create_server(("127.0.0.1", stopped_sshd.port)) as listener:
        yield listener


def _processes_of(session: int) -> dict[int, str]:
    """Process ids and command lines of what lives in the session."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if its_session == str(session) and state != "Z":
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ")
    return found


def _kill_session(session: int) -> None:
    for process in _processes_of(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@dataclass
class Helper:
    """Runs one of the helpers with one shell, as a hook of `RESALLOC_NAME` would, with short pauses between tries."""

    shell: Sequence[str]
    script: Path
    temporary: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the helper in a session of its own; it leads a process group, as a hook does."""
        process = subprocess.Popen(
            [*self.shell, str(self.script), *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the helper to its end."""
        process = self.start(*arguments, **environment)
        stdout, stderr = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def leaves_input(self, *arguments: str, **environment: str) -> bool:
        """Whether all that waits on the helper's standard input is still there after it ran."""
        process = subprocess.run(
            ["sh", "-c", '"$@"; cat', "sh", *self.shell, str(self.script), *arguments],
            env=self.environment | environment,
            input="unread",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return process.stdout.endswith("unread")

    def check(self) -> None:
        """Fail unless nothing is left of what was started."""
        left = [line for process in self.started for line in _processes_of(process.pid).values()]
        for process in self.started:
            _kill_session(process.pid)
            process.__exit__(None, None, None)
        assert not left, "the helper left processes behind"
        assert not list(self.temporary.iterdir()), "the helper left temporary files behind"


@pytest.fixture(params=PORTABLE)
def shell(request: pytest.FixtureRequest) -> Sequence[str]:
    command = SHELLS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} IS NOT INSTALLED: the helpers are NOT tested with it; install {command[0]}")
    return command


def _helper(name: str, shell: Sequence[str], sshd: Sshd, folder: Path) -> Iterator[Helper]:
    temporary = folder / f"tmp-{name}"
    temporary.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(temporary),
        "SSH_CONFIG": str(sshd.ssh_config),
        "RESALLOC_RETRY_DELAYS": "0.1",
    }
    helper = Helper(shell, SHIM / name, temporary, environment)
    yield helper
    helper.check()


@pytest.fixture
def check_vm_ip(shell: Sequence[str], stopped_sshd: Sshd, tmp_path: Path) -> Iterator[Helper]:
    yield from _helper("resalloc-check-vm-ip", shell, stopped_sshd, tmp_path)


@pytest.fixture
def wait_for_ssh(shell: Sequence[str], stopped_sshd: Sshd, tmp_path: Path) -> Iterator[Helper]:
    yield from _helper("resalloc-wait-for-ssh", shell, stopped_sshd, tmp_path)
