"""`python -m config.run.serve` with a Procfile of stand-ins; the real processes are for the whole-system tests."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.run import serve
from config.settings import load_settings

POOLS = "one: {cmd_new: a, cmd_delete: b}\ntwo: {cmd_new: a, cmd_delete: b, tags: [my tag]}\n"
PROCFILE = """
web: python -m http.server $PORT --bind 127.0.0.1
scheduler: sh -c 'env > environment; exec sleep 1000'
"""
SERVE = """
import sys
from pathlib import Path
from config.run import serve
serve.PROCFILE = Path(sys.argv.pop())
sys.exit(serve.main())
"""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def settings(folder: Path, server: str = ""):
    (folder / "server.yaml").write_text(server)
    return load_settings({"CONFIG_DIR": str(folder)})


def test_it_starts_everything_shows_how_to_try_it_and_stops_everything(tmp_path, free_port):
    (tmp_path / "Procfile").write_text(PROCFILE)
    (tmp_path / "pools.yaml").write_text(POOLS)
    (tmp_path / "server.yaml").write_text(f"port: {free_port}\n")
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(serve.PROCFILE.parent),
        "CONFIG_DIR": ".",
        "RESALLOC_STATE_DIR": "state",
        "MINE": "kept",
    }
    command = [sys.executable, "-c", SERVE, str(tmp_path / "Procfile")]
    with (tmp_path / "output").open("w+") as output, (tmp_path / "errors").open("w+") as errors:
        server = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=output, stderr=errors)
        try:
            deadline = time.monotonic() + 60
            while "DELETE" not in (printed := (tmp_path / "output").read_text()):
                assert time.monotonic() < deadline, printed
                time.sleep(0.05)
            server.terminate()
            assert server.wait(30) == 0
        finally:
            server.kill()

    assert "killing" not in (tmp_path / "output").read_text()
    assert f"ready at http://localhost:{free_port} " in printed
    last = (tmp_path / "errors").read_text().splitlines()[-1]
    assert last == "Stopped. Resources and running hooks continue; the next start finds them."
    given = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line)
    assert given["PORT"] == str(free_port)
    assert given["CONFIG_DIR"] == str(tmp_path)
    assert given["RESALLOC_STATE_DIR"] == str(tmp_path / "state")
    assert given["PYTHONUNBUFFERED"] == "1"
    assert given["PATH"] == f"{Path(sys.executable).parent}:/usr/bin:/bin"
    assert given["MINE"] == "kept"


def test_a_port_that_is_in_use_is_reported_in_a_sentence(tmp_path, free_port, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["serve"])
    monkeypatch.setattr(serve, "_PORT_TIME", 0)
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", str(free_port))
    (tmp_path / "server.yaml").write_text("")
    with socket.create_server(("127.0.0.1", free_port)):
        assert serve.main() == 1

    assert capsys.readouterr().err == (
        f"cannot listen on localhost port {free_port}: Address already in use; "
        "is the server already running? PORT=N make run uses another port\n"
    )


def test_a_broken_server_yaml_is_reported_and_nothing_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["serve"])
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path))
    (tmp_path / "server.yaml").write_text("workers: none\n")

    assert serve.main() == 1

    assert capsys.readouterr().err == (
        f'{tmp_path}/server.yaml:1: option "workers": must be a whole number of at least 1, not "none"\n'
    )


def test_a_broken_agents_yaml_is_reported_and_nothing_starts(tmp_path, monkeypatch, capsys):
    (tmp_path / "agents.yaml").write_text("agent_groups:\n  builders: {cmd_prepare: ready}\n")
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("RESALLOC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "argv", ["serve"])
    assert serve.main() == 1
    assert re.search(r'agents\.yaml:2: group "builders", option "tags": is missing', capsys.readouterr().err)
    assert not (tmp_path / "state").exists()


def test_what_to_try_takes_a_ticket_that_the_pools_can_serve(tmp_path):
    (tmp_path / "pools.yaml").write_text(POOLS)

    text = serve.how_to_try(settings(tmp_path, "port: 5001\n"))

    assert re.findall("^    .*", text, re.MULTILINE) == [
        "    id=$(shim/resalloc --connection http://localhost:5001 ticket --tag 'my tag')",
        "    shim/resalloc --connection http://localhost:5001 ticket-wait $id",
        "    shim/resalloc --connection http://localhost:5001 ticket-close $id",
        "    id=$(curl -fsS --data-urlencode 'tag=my tag' http://localhost:5001/tickets)",
        "    curl -fsS --retry 1000 --retry-delay 1 --retry-connrefused http://localhost:5001/tickets/$id/wait",
        "    curl -fsS -X DELETE http://localhost:5001/tickets/$id",
    ]


@pytest.mark.parametrize("pools", ["", "broken: [\n", "one: {cmd_new: a, cmd_delete: b}\n"])
def test_the_example_works_without_a_tag_too(tmp_path, pools):
    (tmp_path / "pools.yaml").write_text(pools)

    text = serve.how_to_try(settings(tmp_path))

    assert "id=$(shim/resalloc ticket)" in text
    assert "id=$(curl -fsS -X POST http://localhost:49100/tickets)" in text
