"""config/nginx.conf in a real nginx, in front of the real server.

Only what the file marks as the site's own is replaced (`listen`, the upstream's address), and, where a test would wait
for a minute, the time limit of one proxied answer, together with the server's own that stays below it.
"""

import contextlib
import grp
import http.client
import http.server
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.settings import Settings
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PROXY_LIMIT = 3
"""Seconds that nginx waits for an answer here, in place of 60."""
SERVER_LIMIT = 1
"""Seconds that the server lets a request wait here, in place of 50."""
POOLS = """
slow:
  tags_on_demand: [slow]
  cmd_new: 'until [ -e go ]; do sleep 0.05; done; printf "10.0.0.1\\n"'
  cmd_delete: 'true'
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Nginx:
    """nginx with config/nginx.conf, in front of `upstream_port`."""

    def __init__(self, folder: Path, upstream_port: int) -> None:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("nginx IS NOT INSTALLED: config/nginx.conf is NOT tested; install nginx")
        folder.mkdir()
        self.port = free_port()
        self.folder = folder
        site = (ROOT / "config/nginx.conf").read_text()
        for text, replacement in {
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "server 127.0.0.1:49100;": f"server 127.0.0.1:{upstream_port};",
            "proxy_read_timeout 60s;": f"proxy_read_timeout {PROXY_LIMIT}s;",
        }.items():
            assert site.count(text) == 1, text
            site = site.replace(text, replacement)
        (folder / "resalloc.conf").write_text(site)
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nuser {user} {group};\n"
            f"worker_processes 1;\nevents {{ worker_connections 200; }}\n"
            f"http {{\naccess_log {folder}/access.log;\n{paths}include {folder}/resalloc.conf;\n}}\n"
        )
        self.process = subprocess.Popen(
            [program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stderr=(folder / "stderr").open("wb"),
        )
        until(self._listens, what=f"nginx listens, see {folder}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def statuses(self) -> list[int]:
        """Statuses that it answered, in order."""
        return [int(status) for status in re.findall(r'HTTP/1\.[01]" (\d+) ', (self.folder / "access.log").read_text())]

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "stderr").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own; `headers` are written with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response, response.read()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class Server:
    """The real web process and scheduler, with a pool whose starts last until `go`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.config = folder / "config"
        self.config.mkdir(parents=True)
        (self.config / "pools.yaml").write_text(POOLS)
        (self.config / "server.yaml").write_text(f"workers: 1\nwait_timeout: {SERVER_LIMIT}\n")
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "CONFIG_DIR": str(self.config),
            "RESALLOC_STATE_DIR": str(folder / "state"),
            "RESALLOC_LOG_DIR": str(folder / "log"),
        }
        commands = (
            ["-m", "gunicorn", "-c", "functions/web/gunicorn.py", "functions.app:create_app()"],
            ["-m", "scheduler"],
        )
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.processes = [
                subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log)
                for command in commands
            ]
        until(self._answers, what=f"the server answers, see {self.log}")

    def go(self) -> None:
        """Let starts of the pool succeed."""
        (self.config / "go").touch()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/healthz")
            return b"scheduler: ok" in connection.getresponse().read()
        return False

    def stop(self) -> None:
        self.go()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.stop()


@pytest.fixture
def nginx(tmp_path: Path, server: Server) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx", server.port)
    yield nginx
    nginx.stop()


def take_ticket(nginx: Nginx) -> str:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    _, body = nginx.request("POST", "/tickets", b"tag=slow", **form)
    return body.decode().strip()


def test_text_and_json_pass_through(nginx):
    form = {"Content_Type": "application/x-www-form-urlencoded"}

    created, body = nginx.request("POST", "/tickets", b"tag=slow", **form)
    assert (created.status, body) == (201, b"1\n")
    assert created.headers["Location"] == "/tickets/1"

    found, body = nginx.request("GET", "/tickets/1")
    assert found.status == 200
    assert json.loads(body)["tags"] == ["slow"]

    unknown, body = nginx.request("GET", "/tickets/2", Accept="application/json")
    assert unknown.status == 404
    assert json.loads(body)["error"]["code"] == "unknown_ticket"

    closed, _ = nginx.request("DELETE", "/tickets/1")
    assert closed.status == 200


def test_body_over_the_limit_is_refused_in_the_words_of_the_server(nginx):
    body = json.dumps({"tags": ["x" * 100_000]}).encode()

    refused, answer = nginx.request("POST", "/tickets", body, Content_Type="application/json")

    assert refused.status == 413
    assert json.loads(answer)["error"]["code"] == "body_too_large"


def test_a_pools_yaml_to_be_looked_at_may_be_larger(nginx):
    """Given a comment of 900 KB, when sent as a pools.yaml, then it comes through."""
    looked, answer = nginx.request("POST", "/plan", b"#" + b"x" * 900_000, Content_Type="text/yaml")
    assert (looked.status, answer.splitlines()[0][:5]) == (200, b"pool ")


def test_metrics_are_not_for_everybody(nginx):
    refused, _ = nginx.request("GET", "/metrics")
    health, _ = nginx.request("GET", "/readyz")

    assert (refused.status, health.status) == (403, 200)


def test_page_of_this_site_may_post_and_a_page_of_another_may_not(nginx):
    form = {"Content_Type": "application/x-www-form-urlencoded"}

    own, _ = nginx.request("POST", "/tickets", b"tag=slow", **form, Origin=nginx.url)
    other, _ = nginx.request("POST", "/tickets", b"tag=slow", **form, Origin="http://elsewhere.test")

    assert (own.status, other.status) == (201, 403)


def test_wait_longer_than_the_limit_of_the_proxy(nginx, server):
    ticket = take_ticket(nginx)
    wait = subprocess.Popen(
        ["curl", "-qfsS", "--retry", "1000", "--retry-delay", "1", f"{nginx.url}/tickets/{ticket}/wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: nginx.statuses.count(408) > PROXY_LIMIT / SERVER_LIMIT, what="the wait outlasts the proxy's limit")
    server.go()

    assert wait.communicate(timeout=20)[0] == b"10.0.0.1\n"
    assert 504 not in nginx.statuses


def test_a_client_that_requests_a_wait_beyond_the_limit_is_served_all_the_same(nginx, server):
    ticket = take_ticket(nginx)
    wait = subprocess.Popen(
        [ROOT / "shim/resalloc", f"--connection={nginx.url}", "ticket-wait", ticket],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: 504 in nginx.statuses, what="the proxy cuts the wait short")
    server.go()

    assert wait.communicate(timeout=20)[0] == b"10.0.0.1\n"


@pytest.mark.parametrize("path", ["/RPC2", "/"])
def test_xml_rpc_wait_longer_than_the_limit_of_the_proxy(nginx, server, path):
    with xmlrpc.client.ServerProxy(nginx.url + path, allow_none=True) as client:
        ticket = client.takeTicket(["slow"])
    with ThreadPoolExecutor() as pool, xmlrpc.client.ServerProxy(nginx.url + path, allow_none=True) as waiting:
        began = time.monotonic()
        wait = pool.submit(waiting.waitTicket, ticket)
        until(lambda: wait.done() or time.monotonic() > began + PROXY_LIMIT + 1, what="the limit has passed")
        assert not wait.done()
        server.go()
        assert wait.result(20).data == b"10.0.0.1\n"
        assert waiting.closeTicket(ticket) is None
    assert set(nginx.statuses) == {200}


def test_server_ends_a_wait_before_the_proxy_does():
    (limit,) = re.findall(r"^    proxy_read_timeout (\d+)s;", (ROOT / "config/nginx.conf").read_text(), re.MULTILINE)
    server_limit = next(
        field.default for field in Settings.__dataclass_fields__.values() if field.name == "wait_timeout"
    )

    assert server_limit + 5 < int(limit)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it got, and the number of the connection that they came by."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"connection": self.client_address[1], **dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def echo_nginx(tmp_path: Path) -> Iterator[Nginx]:
    """nginx in front of a server that returns the request."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as upstream:
        threading.Thread(target=upstream.serve_forever, args=(0.01,), daemon=True).start()
        nginx = Nginx(tmp_path / "nginx", upstream.server_address[1])
        yield nginx
        nginx.stop()
        upstream.shutdown()


def test_client_address_is_passed_on_and_cannot_be_forged(echo_nginx):
    _, body = echo_nginx.request("GET", "/tickets", X_Forwarded_For="192.0.2.7")

    got = json.loads(body)
    assert got["X-Forwarded-For"] == "127.0.0.1"
    assert got["X-Forwarded-Proto"] == "http"
    assert got["Host"] == f"127.0.0.1:{echo_nginx.port}"


def test_connections_to_the_server_are_kept(echo_nginx):
    connections = {json.loads(echo_nginx.request("GET", path)[1])["connection"] for path in ("/a", "/RPC2", "/", "/b")}

    assert len(connections) == 1
