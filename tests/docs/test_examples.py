"""Commands that pages show are accepted by the programs: each runs against a server that knows nothing."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from config.settings import Settings
from tests.docs.test_links import PAGES, ROOT

PLACEHOLDERS = {
    "ID": "17", "ID...": "17", "POOL": "p", "TIME": "2h", "REASON": "r", "TEXT": "r",
    "NAME": "n", "FILE": "/dev/null", "COMMAND": "true", "TAG": "t", "A": "a", "T...": "t", "S": "s",
    "TEMPLATE": "true",
}  # fmt: skip
SUBCOMMANDS = {
    word
    for program in ("resalloc", "resalloc-maint")
    for word in re.findall(
        r"^[a-z][a-z-]+", subprocess.check_output([ROOT / "shim" / program, "--help"], text=True), re.M
    )
} - {"usage"}
"""What the helps of both programs list at the beginning of a line."""


class NothingHere(BaseHTTPRequestHandler):
    """Answers every request with 404."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), NothingHere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def without_placeholders(command: str) -> str:
    """The command with words in place of what a reader has to fill in, and with all that is optional."""
    words = re.sub(r"[\[\]]", " ", command).split(" ")
    return " ".join(PLACEHOLDERS.get(word, word) for word in words if word)


def commands() -> list[str]:
    """All commands of the shims in code blocks and in code marks, there with arguments; others are only mentioned."""
    found = set()
    for page in PAGES:
        text = page.read_text().replace(r"ID\|NAME", "ID")
        shown = re.findall(r"^ {4,}[^\n]*$|^```(?:console|sh)?\n.*?^```", text, re.MULTILINE | re.DOTALL)
        marked = re.findall(r"(?<!`)`(resalloc(?:-maint)? [a-z-]+ [^`]+)`(?!`)", text)
        for line in "\n".join([*shown, *marked]).splitlines():
            for command in re.findall(r"(?:^|[\s(])(?:shim/)?(resalloc(?:-maint)? [^#)|;&<]*)", line):
                if command.split()[1] in SUBCOMMANDS and " ..." not in command:
                    found.add(without_placeholders(command.strip()))
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_a_command_is_no_usage_error(command: str, server: str) -> None:
    environment = {
        "PATH": f"{ROOT / 'shim'}{os.pathsep}{os.environ['PATH']}",
        "RESALLOC_URL": server,
        "RESALLOC_RETRY_SECONDS": "0",
        "id": "17",
    }
    done = subprocess.run(
        ["sh", "-c", command],
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.stderr.startswith("usage:"), done.stderr


def test_there_are_commands_to_try() -> None:
    assert len(commands()) > 25


def test_make_knows_the_targets_that_pages_name() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^    |`|> )make ([a-z-]+)", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, page


@pytest.mark.parametrize("package", ["bench", "chaos"])
def test_options_of_the_long_runs_exist(package: str) -> None:
    source = "".join(path.read_text() for path in (ROOT / "tests" / package).rglob("*.py"))
    text = "".join(page.read_text() for page in PAGES)
    lines = re.findall(rf"tests\.{package}[^`#\n]*|make {package} [^`\n]*", text)
    options = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert options
    assert [option for option in options if f'"{option}"' not in source] == []


def test_a_wrong_option_is_noticed(server: str) -> None:
    with pytest.raises(AssertionError):
        test_a_command_is_no_usage_error("resalloc-maint events --folow", server)


def test_the_options_of_the_import_exist() -> None:
    usage = subprocess.check_output([sys.executable, "-m", "scheduler.importer", "--help"], cwd=ROOT, text=True)
    text = (ROOT / "docs" / "import.md").read_text() + (ROOT / "docs" / "from-resalloc.md").read_text()
    lines = re.findall(r"(?:resalloc-import|scheduler\.importer) [^`\n]*", text)
    options = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
    assert options
    assert [option for option in options if option not in usage] == []


def test_the_scrape_configuration_asks_the_port_of_the_server() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (job,) = yaml.safe_load(example)["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"localhost:{Settings.port}"]}]
