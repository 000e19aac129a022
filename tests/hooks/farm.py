"""Runs the hooks of config/hooks as the scheduler would, and looks at what they leave on the machine."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "config"


class Farm:
    """Hooks with a folder root and a range of ports of their own. Nothing survives `clean()`."""

    def __init__(self, folder: Path, base_port: int | None = None) -> None:
        self.folder = folder
        self.base_port = base_port or free_ports(4)
        self.settings = {"TMPDIR": str(folder), "LOCAL_BASE_PORT": str(self.base_port)}

    @property
    def root(self) -> Path:
        return self.folder / f"resalloc-local-{os.getuid()}-{self.base_port}"

    def start(
        self,
        command: str,
        name: str = "None",
        id_in_pool: int | str = "None",
        data: str | None = None,
        **settings: str,
    ) -> subprocess.Popen[str]:
        """Start one hook as the leader of a new process group; `data` is what cmd_new printed."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RESALLOC_")}
        variables = {
            "RESALLOC_ID": "0" if id_in_pool == "None" else "17",
            "RESALLOC_NAME": name,
            "RESALLOC_POOL_ID": "local",
            "RESALLOC_ID_IN_POOL": str(id_in_pool),
        }
        if data is not None:
            variables["RESALLOC_RESOURCE_DATA"] = base64.b64encode(data.encode()).decode()
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=CONFIG,
            env=inherited | self.settings | variables | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        command: str,
        name: str = "None",
        id_in_pool: int | str = "None",
        data: str | None = None,
        **settings: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run one hook until it has ended and its stdout and stderr are closed."""
        with self.start(command, name, id_in_pool, data, **settings) as hook:
            try:
                stdout, stderr = hook.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(hook.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, hook.returncode, stdout, stderr)

    def new(self, name: str, id_in_pool: int = 0, interpreter: str = "") -> str:
        """Start a resource, which must succeed; gives its data."""
        done = self.run(f"{interpreter} hooks/local-new", name, id_in_pool)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def names(self) -> list[str]:
        """What local-list prints."""
        done = self.run("hooks/local-list")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    def servers(self) -> list[int]:
        """The processes with `--directory` and a folder of this farm on their command line."""
        return processes_with(f"--directory\0{self.root}/")

    def clean(self) -> None:
        for pid in processes_with(str(self.folder)):
            os.kill(pid, signal.SIGKILL)
        await_until(lambda: not processes_with(str(self.folder)))
        shutil.rmtree(self.root, ignore_errors=True)


def processes_with(text: str) -> list[int]:
    """The processes that have `text` on their command line, where words end in NUL."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def free_ports(count: int) -> int:
    """The first of `count` neighbouring free loopback ports, below those that the kernel hands out by itself.

    Test processes side by side begin their search far from each other, since a port found free is not yet taken.
    """
    start = 20000 + os.getpid() * 499 % 12000
    for base in range(start, 32700, count):
        try:
            for port in range(base, base + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return base
    raise RuntimeError(f"no {count} neighbouring free ports from {start} to 32700")


def await_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Return as soon as `condition` is true; fail when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come true"
        time.sleep(0.001)


def fetch(address: str, path: str = "") -> str:
    """What the file server at `address` (as printed by cmd_new) gives for `path`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address.strip()}/{path}", timeout=5) as reply:
        content: bytes = reply.read()
    return content.decode()
