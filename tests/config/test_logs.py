"""The server's log, as text and as JSON."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from config.logs import JsonFormatter

ROOT = Path(__file__).parents[2]


def written(folder: Path, form: str, code: str) -> tuple[str, str]:
    """What a process with this log writes to main.log and to standard error."""
    program = f"""
import logging, sys
from pathlib import Path
from config import logs
logs.set_up(Path(sys.argv[1]), "info", {form!r})
log = logging.getLogger("here")
{code}
"""
    ran = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return (folder / "main.log").read_text(), ran.stderr


def test_the_lines_of_gunicorn_are_written_in_its_own_form(tmp_path: Path) -> None:
    """Given a web process with the settings of gunicorn's log, when gunicorn logs a line, then it has the pid."""
    code = """from gunicorn.config import Config
from gunicorn.glogging import Logger
Logger(Config()).info("booted %s", "well")
print(__import__("os").getpid(), file=sys.stderr)"""
    _, stderr = written(tmp_path, "text", code)
    line, pid = stderr.splitlines()[-2:]
    assert line.endswith(f" [{pid}] [INFO] booted well")


def test_text_is_as_it_always_was(tmp_path: Path) -> None:
    code = "log.info('resource %d: %s', 7, 'gone', extra={'resource': 7})\nlog.debug('too detailed')"
    main_log, stderr = written(tmp_path, "text", code)
    assert main_log == stderr
    date, time, line = main_log.split(" ", 2)
    datetime.fromisoformat(f"{date} {time.replace(',', '.')}")
    assert line == "INFO here: resource 7: gone\n"


def test_json_is_one_object_a_line_with_the_fields_of_the_call(tmp_path: Path) -> None:
    main_log, stderr = written(tmp_path, "json", "log.info('resource %d: %s', 7, 'gone', extra={'resource': 7})")
    assert main_log == stderr
    line = json.loads(main_log)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {"level": "INFO", "logger": "here", "message": "resource 7: gone", "resource": 7}


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_is_in_a_message_is_written(tmp_path: Path, form: str) -> None:
    main_log, stderr = written(tmp_path, form, r"log.info('%s', 'a\udcff\u2028→')")
    assert "Logging error" not in stderr
    assert len(main_log.split("\n")) == 2


def test_an_exception_is_one_line_of_json_too(tmp_path: Path) -> None:
    main_log, _ = written(tmp_path, "json", "try:\n    1 / 0\nexcept Exception:\n    log.exception('two\\nlines')")
    line = json.loads(main_log)
    assert line["message"] == "two\nlines"
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_field_can_hide_nothing() -> None:
    record = logging.makeLogRecord({"msg": "m", "name": "n", "levelname": "INFO", "time": "x", "ticket": {1}})
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["logger"], line["ticket"]) == ("m", "n", "{1}")
    assert line["time"] != "x"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/tickets", {}),
        ("/tickets/42", {"ticket": 42}),
        ("/tickets/42/wait", {"ticket": 42}),
        ("/tickets/x", {}),
        ("/resources/17/logs/alloc", {"resource": 17}),
        ("/resources/vm_17", {"name": "vm_17"}),
        ("/pools/vm/drain", {"pool": "vm"}),
        ("/pools/7", {"pool": "7"}),
    ],
)
def test_a_line_of_the_access_log_has_fields_for_its_request(path: str, fields: dict[str, object]) -> None:
    atoms = {"m": "GET", "U": path, "s": "200", "h": "127.0.0.1"}
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 0, "%(h)s %(m)s", (atoms,), None)
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "127.0.0.1 GET"
    about = {name: line[name] for name in line if name not in ("time", "level", "logger", "message")}
    assert about == {"method": "GET", "path": path, "status": 200} | fields
