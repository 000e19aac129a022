"""functions/web/gunicorn.py: every name is one of gunicorn's settings, with a value that it takes."""

import json
import runpy
from pathlib import Path

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

import functions.web

FILE = Path(functions.web.__file__).with_name("gunicorn.py")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("RESALLOC_ACCESS_LOG", raising=False)

    def load(text: str = "") -> Config:
        (tmp_path / "server.yaml").write_text(text)
        found = Config()
        for name, value in runpy.run_path(str(FILE)).items():
            if name in found.settings:
                found.set(name, value)
        return found

    return load


def test_where_and_how_it_serves_follows_from_the_settings(load):
    found = load("hostname: 0.0.0.0\nport: 5001\nworkers: 3\nloglevel: warning\n")

    assert (found.bind, found.workers, found.loglevel) == (["0.0.0.0:5001"], 3, "warning")


def test_localhost_is_bound_on_ipv4(load):
    assert load().bind == ["127.0.0.1:49100"]


def test_waits_are_parked_in_gevent_workers_and_stopped_in_time(load):
    found = load()

    assert found.worker_class_str == "gevent"
    assert found.worker_connections == 12000
    assert found.graceful_timeout == 5
    assert found.control_socket_disable is True


def test_every_name_is_a_setting_of_gunicorn(load):
    load()
    names = {name for name in runpy.run_path(str(FILE)) if not name.startswith("_")}

    imported = {"os", "sys", "Any", "ConfigError", "load_settings", "logs", "request_counts"}
    assert names - imported <= set(Config().settings)


def test_requests_are_logged_only_when_asked_for(load, monkeypatch):
    assert load().accesslog is None
    monkeypatch.setenv("RESALLOC_ACCESS_LOG", "1")
    assert load().accesslog == "-"


def test_a_worker_from_before_an_upgrade_may_end(load):
    """Given a reload that brought a newer file, when a worker of the older one ends, then nothing fails."""
    load().child_exit(object(), object())


def test_its_own_lines_are_json_when_those_of_the_server_are(load, capfd):
    assert load().logconfig_dict == {}
    logger = Logger(load("log_format: json\n"))
    logger.warning("worker %s is gone", 7)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "worker 7 is gone"


def test_a_broken_server_yaml_ends_it_with_the_faults_and_no_traceback(load):
    with pytest.raises(SystemExit, match=r"server\.yaml:1: option \"port\": must be a whole number"):
        load("port: x\n")
