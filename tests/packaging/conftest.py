"""One installation of the server, shared by the tests that look at it."""

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """What `config/install.sh` laid below `root`; `output` is what it said."""

    root: Path
    output: str


@functools.cache
def system_python() -> str:
    """A Python in /usr that a service may use; this one when there is none."""
    question = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    candidate = shutil.which("python3", path="/usr/bin")
    if candidate and subprocess.run([candidate, "-c", question], check=False, capture_output=True).returncode == 0:
        return candidate
    return sys.executable


def install(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run config/install.sh with DESTDIR=root."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PREFIX", "EXTRAS")}
    return subprocess.run(
        [ROOT / "config/install.sh"],
        env=environment | {"DESTDIR": str(root), "PYTHON": system_python()} | variables,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An installation, laid over an /etc that has a pools.yaml already; workers that test side by side share it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, output = shared / "installed", shared / "installed.txt"
    with FileLock(shared / "installed.lock"):
        if not output.exists():
            _require_package_index(shared)
            (root / "etc/resallocserver").mkdir(parents=True)
            (root / "etc/resallocserver/pools.yaml").write_text("# the site's own\n")
            done = install(root)
            assert done.returncode == 0, done.stdout
            output.write_text(done.stdout)
    return Installed(root, output.read_text())


def _require_package_index(folder: Path) -> None:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "packaging"]
    done = subprocess.run(download, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"NO PACKAGE INDEX: `make install` is NOT tested; {done.stderr.strip()[-200:]}")
