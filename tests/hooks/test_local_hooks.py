"""Checking, cleaning, deleting and listing the resources of the demo pool `local`."""

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from .farm import CONFIG, Farm, await_until, fetch


class ForeignHandler(BaseHTTPRequestHandler):
    """Another program's web server, which has a page for every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"another program\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_livecheck_is_good_while_the_server_answers(farm: Farm) -> None:
    data = farm.new("local_1")

    done = farm.run("hooks/local-livecheck", "local_1", 0, data)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_livecheck_does_not_go_through_a_proxy(farm: Farm) -> None:
    data = farm.new("local_1")

    done = farm.run("hooks/local-livecheck", "local_1", 0, data, http_proxy="http://127.0.0.1:9")

    assert done.returncode == 0


def test_livecheck_fails_when_the_server_was_killed(farm: Farm) -> None:
    data = farm.new("local_1")
    (server,) = farm.servers()
    os.kill(server, signal.SIGKILL)
    await_until(lambda: not farm.servers())

    done = farm.run("hooks/local-livecheck", "local_1", 0, data)

    assert done.returncode == 1
    assert f"http://127.0.0.1:{farm.base_port}/resource-name.txt" in done.stderr


def test_livecheck_fails_when_another_server_has_the_port(farm: Farm) -> None:
    with HTTPServer(("127.0.0.1", farm.base_port), ForeignHandler) as foreign:
        threading.Thread(target=foreign.serve_forever).start()
        try:
            done = farm.run("hooks/local-livecheck", "local_1", 0, f"127.0.0.1:{farm.base_port}\n")
        finally:
            foreign.shutdown()

    assert done.returncode == 1
    assert 'does not return "local_1"' in done.stderr


def test_livecheck_fails_in_time_when_the_server_hangs(farm: Farm) -> None:
    data = farm.new("local_1")
    (server,) = farm.servers()
    os.kill(server, signal.SIGSTOP)

    done = farm.run("hooks/local-livecheck", "local_1", 0, data)

    assert done.returncode == 1
    assert "within 2 seconds" in done.stderr


def test_livecheck_without_data_is_reported(farm: Farm) -> None:
    done = farm.run("hooks/local-livecheck", "local_1", 0)

    assert done.returncode == 1
    assert "RESALLOC_RESOURCE_DATA is empty" in done.stderr


def test_release_removes_what_the_user_left_and_keeps_the_server(farm: Farm) -> None:
    """Given left-over files and a changed marker, when released, then all is as after the start."""
    data = farm.new("local_1")
    before = farm.servers()
    files = farm.root / "local_1/files"
    (files / "-rf left over.txt").write_text("secret")
    (files / ".hidden").write_text("secret")
    (files / "deep/er").mkdir(parents=True)
    (files / "deep/resource-name.txt").write_text("secret")
    (files / "link").symlink_to("/etc")
    (files / "resource-name.txt").write_text("somebody else\n")

    done = farm.run("hooks/local-release", "local_1", 0, data)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in files.iterdir()] == ["resource-name.txt"]
    assert farm.servers() == before
    assert fetch(data, "resource-name.txt") == "local_1\n"
    assert Path("/etc/passwd").exists()


def test_release_never_takes_the_marker_away(farm: Farm) -> None:
    """Given a livecheck that may come at any moment, when released, then the marker is there all the time."""
    data = farm.new("local_1")
    marker = farm.root / "local_1/files/resource-name.txt"

    for _ in range(3):
        with farm.start("hooks/local-release", "local_1", 0, data) as hook:
            while hook.poll() is None:
                assert marker.exists()


@pytest.mark.parametrize("marker", ["removed", "a folder", "a link"])
def test_release_puts_the_marker_back(farm: Farm, marker: str) -> None:
    data = farm.new("local_1")
    path = farm.root / "local_1/files/resource-name.txt"
    path.unlink()
    if marker == "a folder":
        path.mkdir()
    if marker == "a link":
        path.symlink_to("/")

    assert farm.run("hooks/local-release", "local_1", 0, data).returncode == 0

    assert farm.run("hooks/local-livecheck", "local_1", 0, data).returncode == 0


def test_release_of_a_deleted_resource_fails(farm: Farm) -> None:
    done = farm.run("hooks/local-release", "local_1", 0, "127.0.0.1:1\n")

    assert done.returncode == 1
    assert "there is no folder" in done.stderr


def test_delete_leaves_nothing_and_may_run_again(farm: Farm) -> None:
    data = farm.new("local_1")

    for _ in range(2):
        done = farm.run("hooks/local-delete", "local_1", 0, data)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert farm.servers() == []
        assert list(farm.root.iterdir()) == []


def test_delete_needs_the_name_only(farm: Farm) -> None:
    """Given a forgotten resource, when it is deleted as cmd_list's names are, then it is gone."""
    farm.new("local_1", id_in_pool=1)

    assert farm.run("hooks/local-delete", "local_1").returncode == 0

    assert farm.servers() == []
    assert farm.names() == []


def test_delete_of_what_was_never_started_is_no_failure(farm: Farm) -> None:
    done = farm.run("hooks/local-delete", "local_1", 0)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_delete_ends_a_server_that_hangs(farm: Farm) -> None:
    farm.new("local_1")
    (server,) = farm.servers()
    os.kill(server, signal.SIGSTOP)

    assert farm.run("hooks/local-delete", "local_1", 0).returncode == 0

    assert farm.servers() == []


def test_delete_frees_the_port_for_the_next_resource(farm: Farm) -> None:
    for number in range(3):
        name = f"local_{number}"
        data = farm.new(name, id_in_pool=0)
        assert farm.run("hooks/local-delete", name, 0, data).returncode == 0


def test_delete_spares_resources_with_a_longer_name(farm: Farm) -> None:
    farm.new("local_1", id_in_pool=0)
    other = farm.new("local_10", id_in_pool=1)

    assert farm.run("hooks/local-delete", "local_1", 0).returncode == 0

    assert fetch(other, "resource-name.txt") == "local_10\n"
    assert farm.names() == ["local_10"]


@pytest.mark.parametrize("words", ["--directory {}", "-m http.server --bind 127.0.0.1 1 --directory {}/more"])
def test_delete_spares_other_programs_that_use_the_folder(farm: Farm, words: str) -> None:
    """Given another program with the folder on its command line, when deleted, then that program goes on."""
    farm.new("local_1")
    program = [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"]
    arguments = words.format(farm.root / "local_1/files").split(" ")
    with subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        assert farm.run("hooks/local-delete", "local_1", 0).returncode == 0

        assert farm.servers() == [other.pid]
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "a/b", "/"])
def test_a_name_that_leads_elsewhere_is_refused(farm: Farm, name: str) -> None:
    farm.new("local_1")

    done = farm.run("hooks/local-delete", name)

    assert done.returncode == 1
    assert f'RESALLOC_NAME is "{name}"' in done.stderr
    assert farm.names() == ["local_1"]


def test_list_is_empty_before_the_first_start(farm: Farm) -> None:
    assert farm.names() == []
    assert not farm.root.exists()


def test_list_names_what_exists_although_its_server_died(farm: Farm) -> None:
    farm.new("local_1")
    (server,) = farm.servers()
    os.kill(server, signal.SIGKILL)

    assert farm.names() == ["local_1"]


def test_list_does_not_name_the_resources_of_another_farm(farm: Farm, tmp_path: Path) -> None:
    """Given two farms in the same temporary folder, when one lists, then it names its own resources only."""
    neighbour = Farm(tmp_path, farm.base_port + 1)
    farm.new("local_1")
    neighbour.new("local_2")

    assert farm.names() == ["local_1"]
    assert neighbour.names() == ["local_2"]


def test_list_fails_when_the_folder_cannot_be_trusted(farm: Farm, tmp_path: Path) -> None:
    """Given a link in place of the folder, when listed, then it fails rather than name what is elsewhere."""
    (tmp_path / "elsewhere/precious").mkdir(parents=True)
    farm.root.symlink_to(tmp_path / "elsewhere")

    done = farm.run("hooks/local-list")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "is not a folder of this user" in done.stderr


def test_the_folder_can_be_chosen(farm: Farm, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen folder"
    settings = {"LOCAL_POOL_DIR": str(chosen)}
    assert farm.run("hooks/local-new", "local_1", 0, **settings).returncode == 0
    assert farm.run("hooks/local-list", **settings).stdout == "local_1\n"
    assert (chosen / "local_1").is_dir()
    assert not farm.root.exists()

    assert farm.run("hooks/local-delete", "local_1", 0, **settings).returncode == 0

    assert list(chosen.iterdir()) == []


@pytest.mark.parametrize(("variable", "value"), [("LOCAL_BASE_PORT", "28000x"), ("LOCAL_POOL_DIR", "relative/folder")])
def test_a_bad_setting_is_reported(farm: Farm, variable: str, value: str) -> None:
    done = farm.run("hooks/local-new", "local_1", 0, **{variable: value})

    assert done.returncode == 1
    assert variable in done.stderr
    assert value in done.stderr


def test_farms_with_different_web_ports_have_different_ranges() -> None:
    """Given web ports as people choose them, then ten ports each, below those that the kernel hands out."""
    web_ports = [
        80,
        443,
        5000,
        5001,
        5002,
        5100,
        5101,
        6000,
        7000,
        8000,
        8001,
        8080,
        8100,
        9000,
        49100,
        49101,
        49200,
    ]
    script = '. hooks/local-common.sh; echo "$base_port"'

    bases = []
    for port in web_ports:
        variables = {"PATH": os.environ["PATH"], "RESALLOC_NAME": "None", "PORT": str(port)}
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=CONFIG, env=variables, capture_output=True, text=True, check=True
        )
        bases.append(int(done.stdout))

    bases.sort()
    assert all(upper - lower >= 10 for lower, upper in pairwise(bases))
    assert bases[0] >= 20000
    assert bases[-1] + 10 <= 32768
