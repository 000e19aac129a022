"""`make install` (config/install.sh) into a folder: what lies where, and does it start from there?"""

import http.client
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Installed, install
from tests.waiting import until

HOME = "usr/lib/resalloc-functions"


def test_files_lie_where_a_distribution_puts_them(installed: Installed):
    shims = [f"usr/bin/{file.name}" for file in (ROOT / "shim").glob("resalloc*")]
    expected = [
        *shims,
        f"{HOME}/venv/bin/python",
        f"{HOME}/scheduler/run-hook.sh",
        f"{HOME}/functions/pages/templates/base.html",
        f"{HOME}/functions/pages/assets/style.css",
        *(f"usr/share/man/man1/{file.name}.1" for file in (ROOT / "shim").glob("resalloc*")),
        "usr/share/bash-completion/completions/resalloc",
        "usr/share/bash-completion/completions/resalloc-maint",
        "usr/share/zsh/site-functions/_resalloc",
        "usr/lib/systemd/system/resalloc-functions.target",
        "usr/lib/systemd/system/resalloc-functions-web.service",
        "usr/lib/systemd/system/resalloc-functions-scheduler.service",
        "usr/lib/sysusers.d/resalloc-functions.conf",
        "usr/lib/tmpfiles.d/resalloc-functions.conf",
        "usr/share/doc/resalloc-functions/nginx.conf",
        "usr/share/doc/resalloc-functions/deployment.md",
        "usr/share/doc/resalloc-functions/index.md",
        "usr/share/doc/resalloc-functions/resalloc-dashboard.json",
        "usr/share/doc/resalloc-functions/prometheus-alerts.yaml",
        "etc/resallocserver/server.yaml",
        "etc/resallocserver/hooks/local-new",
        "etc/logrotate.d/resalloc-server",
    ]

    assert [path for path in expected if not (installed.root / path).exists()] == []
    assert all(os.access(installed.root / path, os.X_OK) for path in shims)


def test_nothing_names_the_folder_that_it_was_built_in(installed: Installed):
    found = subprocess.run(
        ["grep", "-rlF", installed.root, installed.root], capture_output=True, text=True, check=False
    )

    assert found.stdout == ""


def test_configuration_that_exists_is_kept(installed: Installed):
    assert (installed.root / "etc/resallocserver/pools.yaml").read_text() == "# the site's own\n"
    assert "etc/resallocserver/pools.yaml is kept as it is" in installed.output


def test_installed_server_logs_where_logrotate_looks(installed: Installed):
    shown = subprocess.run(
        [installed.root / HOME / "venv/bin/python", "-m", "config", "show", "log_dir"],
        env={"CONFIG_DIR": str(installed.root / "etc/resallocserver")},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout == "/var/log/resallocserver\n"


def test_installed_server_starts_with_no_file_of_the_checkout(installed: Installed, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "pools.yaml").write_text(
        "a: {tags: [a], max: 1, max_prealloc: 1, cmd_new: 'command -v resalloc-check-vm-ip', cmd_delete: 'true'}\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "PORT": str(port),
        "CONFIG_DIR": str(tmp_path),
        "RESALLOC_STATE_DIR": str(tmp_path / "state"),
        "RESALLOC_LOG_DIR": str(tmp_path / "log"),
    }
    home = installed.root / HOME
    python = [home / "venv/bin/python", "-P", "-m"]
    commands = [
        [*python, "gunicorn", "-c", home / "functions/web/gunicorn.py", "functions.app:create_app()"],
        [*python, "scheduler"],
    ]
    with (tmp_path / "output").open("wb") as log:
        processes = [
            subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log) for command in commands
        ]
    try:
        until(lambda: answers(port), what=f"the server answers, see {tmp_path}/output")
        client = [installed.root / "usr/bin/resalloc", f"--connection=http://127.0.0.1:{port}"]
        ticket = subprocess.check_output([*client, "ticket", "--tag=a"], text=True).strip()
        output = subprocess.check_output([*client, "ticket-wait", ticket], text=True, timeout=30)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(15)
    assert output == f"{home}/shim/resalloc-check-vm-ip\n"


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_units_are_valid(installed: Installed, tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze IS NOT INSTALLED: the units are NOT checked; install systemd")
    units = []
    for unit in (installed.root / "usr/lib/systemd/system").iterdir():
        text = unit.read_text().replace(f"/{HOME}", str(installed.root / HOME))
        units.append(tmp_path / unit.name)
        units[-1].write_text(text)

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.thorough
def test_installation_over_an_older_one_under_another_prefix(installed: Installed, tmp_path: Path):
    home = tmp_path / "usr/local/lib/resalloc-functions"
    (home / "functions").mkdir(parents=True)
    (home / "functions/stale.py").touch()

    done = install(tmp_path, PREFIX="/usr/local")

    assert done.returncode == 0, done.stdout
    assert (home / "functions/app.py").exists()
    assert not (home / "functions/stale.py").exists()
    service = (tmp_path / "usr/local/lib/systemd/system/resalloc-functions-scheduler.service").read_text()
    assert "ExecStart=/usr/local/lib/resalloc-functions/venv/bin/python" in service


@pytest.mark.thorough
def test_installation_that_fails_leaves_what_was_there(tmp_path: Path):
    before = tmp_path / HOME / "functions/app.py"
    before.parent.mkdir(parents=True)
    before.touch()

    failed = install(tmp_path, EXTRAS="no-such-extra")

    assert failed.returncode != 0
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [before]


def test_relative_prefix_is_refused(tmp_path: Path):
    refused = install(tmp_path, PREFIX="usr/local")

    assert refused.returncode == 2
    assert "PREFIX and DESTDIR must begin with /" in refused.stdout
