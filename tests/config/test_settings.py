"""server.yaml and the environment variables that win over it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config import settings as settings_module
from config.errors import ConfigError
from config.settings import Settings, load_settings

EXAMPLE = Path(settings_module.__file__).with_name("server.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "server.yaml").write_text(text)
    return load_settings({"CONFIG_DIR": str(folder), **environ})


def faults_of(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


def test_without_a_file_everything_has_its_default_and_a_notice_says_so(folder):
    settings = load_settings({"CONFIG_DIR": str(folder)})

    assert settings == Settings(
        config_dir=folder,
        pools_file=folder / "pools.yaml",
        state_dir=folder / "var",
        log_dir=Path("/var/log/resallocserver"),
        notices=(f"{folder}/server.yaml: there is no such file; every setting has its default",),
    )
    assert (settings.hostname, settings.port, settings.loglevel) == ("localhost", 49100, "info")
    assert (settings.sleeptime, settings.output_limit, settings.wait_timeout) == (20, 65536, 50)
    assert (settings.livechecks_at_once, settings.hooks_at_once, settings.workers) == (64, 200, 2)
    assert settings.ticket_retention == settings.resource_retention == 30 * 24 * 3600


def test_the_folder_of_the_configuration_is_etc_by_default():
    assert load_settings({}).config_dir == Path("/etc/resallocserver")
    assert load_settings({"CONFIG_DIR": ""}).pools_file == Path("/etc/resallocserver/pools.yaml")


@pytest.mark.parametrize(
    ("option", "written", "field", "value"),
    [
        ("hostname", "0.0.0.0", "hostname", "0.0.0.0"),
        ("host", "farm.example.org", "hostname", "farm.example.org"),
        ("port", "8080", "port", 8080),
        ("logdir", "/srv/log", "log_dir", Path("/srv/log")),
        ("loglevel", "DEBUG", "loglevel", "debug"),
        ("log_format", "JSON", "log_format", "json"),
        ("sleeptime", "0.5", "sleeptime", 0.5),
        ("state_dir", "/srv/state", "state_dir", Path("/srv/state")),
        ("output_limit", "1000", "output_limit", 1000),
        ("livechecks_at_once", "1", "livechecks_at_once", 1),
        ("hooks_at_once", "500", "hooks_at_once", 500),
        ("wait_timeout", "0", "wait_timeout", 0),
        ("ticket_retention", "0", "ticket_retention", 0),
        ("resource_retention", "3600.5", "resource_retention", 3600.5),
        ("workers", "4", "workers", 4),
    ],
)
def test_an_option_is_read(folder, option, written, field, value):
    settings = load(folder, f"{option}: {written}\n")

    assert getattr(settings, field) == value
    assert settings.notices == ()


@pytest.mark.parametrize(
    ("option", "written", "message"),
    [
        ("hostname", "''", "must not be empty"),
        ("hostname", "a b", 'must be a host name or an address, not "a b"'),
        ("host", "[x]", "must be text, not a list"),
        ("hostname", "a..b", 'must be a host name or an address, not "a..b"'),
        ("port", "0", "must be a whole number of at least 1, not 0"),
        ("port", "65536", "must be a whole number of at most 65535, not 65536"),
        ("port", '"80"', 'must be a whole number of at least 1, not "80"'),
        ("logdir", "null", "must be text, not null"),
        ("loglevel", "loud", 'must be critical, debug, error, info or warning, not "loud"'),
        ("log_format", "xml", 'must be json or text, not "xml"'),
        ("sleeptime", "0", "must be a number of seconds from 0.1 to 1000000000000, not 0"),
        ("state_dir", "{a: b}", "must be text, not a mapping"),
        ("output_limit", "64k", 'must be a whole number of at least 1, not "64k"'),
        ("livechecks_at_once", "0", "must be a whole number of at least 1, not 0"),
        ("hooks_at_once", "true", "must be a whole number of at least 1, not true"),
        ("wait_timeout", "long", 'must be a number of seconds from 0 to 1000000000000, not "long"'),
        ("ticket_retention", "-1", "must be a number of seconds from 0 to 1000000000000, not -1"),
        ("resource_retention", ".inf", "must be a number of seconds from 0 to 1000000000000, not .inf"),
        ("workers", "0", "must be a whole number of at least 1, not 0"),
    ],
)
def test_a_wrong_value_is_a_fault_with_its_line(folder, option, written, message):
    assert faults_of(folder, f"# comment\n{option}: {written}\n") == [f'server.yaml:2: option "{option}": {message}']


def test_all_faults_are_reported_at_once(folder):
    assert faults_of(folder, "port: x\nworkers: 0\n", PORT="y") == [
        'server.yaml:1: option "port": must be a whole number of at least 1, not "x"',
        'server.yaml:2: option "workers": must be a whole number of at least 1, not 0',
        "environment: the variable PORT must be a whole number of at least 1, not y",
    ]


@pytest.mark.parametrize("port", ["0", "65536", "x", "4.5", "-1"])
def test_a_wrong_port_variable_is_a_fault(folder, port):
    (fault,) = faults_of(folder, "", PORT=port)
    assert fault.startswith("environment: the variable PORT must be ")


def test_an_empty_file_means_defaults(folder):
    assert load(folder, "").notices == ()
    assert load(folder, "# nothing\n").port == 49100


@pytest.mark.parametrize("text", ["- a\n", "word\n"])
def test_a_file_that_is_no_mapping_is_a_fault(folder, text):
    (fault,) = faults_of(folder, text)
    assert fault.startswith("server.yaml:1: must be a mapping, not ")


def test_a_syntax_error_is_reported_with_its_line(folder):
    (fault,) = faults_of(folder, "port: 1\nworkers: [\n")
    assert fault.startswith("server.yaml:3: is not valid YAML: ")


def test_variables_win_over_the_file(folder):
    text = "port: 1\nstate_dir: /one\nlogdir: /two\n"

    variables = {"PORT": "2000", "RESALLOC_STATE_DIR": "here/state", "RESALLOC_LOG_DIR": "/three"}
    settings = load(folder, text, RESALLOC_LOG_FORMAT="json", **variables)

    assert settings.port == 2000
    assert settings.state_dir == folder / "here/state"
    assert settings.log_dir == Path("/three")
    assert settings.log_format == "json"


def test_all_variables_that_are_wrong_are_reported(folder):
    with pytest.raises(ConfigError) as caught:
        load(folder, "", PORT="x", RESALLOC_LOG_FORMAT="xml")
    assert str(caught.value).splitlines() == [
        "environment: the variable PORT must be a whole number of at least 1, not x",
        'environment: the variable RESALLOC_LOG_FORMAT must be json or text, not "xml"',
    ]


def test_relative_paths_in_the_file_count_from_its_folder(folder, monkeypatch):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    settings = load(folder, "state_dir: state\nlogdir: logs\n")

    assert (settings.state_dir, settings.log_dir) == (folder / "state", folder / "logs")
    assert load(folder, "").state_dir == elsewhere / "var"


def test_the_log_may_be_a_folder_of_the_state(folder):
    assert load(folder, 'logdir: "{state_dir}/log"\n').log_dir == folder / "var/log"
    assert load(folder, 'logdir: "{state_dir}/log"\n', RESALLOC_STATE_DIR="/s").log_dir == Path("/s/log")


def test_a_relative_config_dir_counts_from_the_current_folder(folder):
    (folder / "etc").mkdir()

    assert load_settings({"CONFIG_DIR": "etc"}).config_dir == folder / "etc"


def test_options_of_the_old_server_and_unknown_ones_are_ignored_with_a_notice(folder):
    settings = load(folder, "db_url: 'sqlite://'\nlog_dir: x\nhost: a\nhostname: b\n")

    assert settings.hostname == "b"
    assert [notice.replace(f"{folder}/", "") for notice in settings.notices] == [
        'server.yaml:1: option "db_url": is ignored: there is no database, the state is in files in state_dir',
        'server.yaml:3: option "host": is ignored: hostname says the same',
        'server.yaml:2: option "log_dir": is unknown and ignored; is "logdir" meant?',
    ]


@pytest.mark.parametrize(
    ("hostname", "address", "url"),
    [
        ("localhost", "127.0.0.1", "http://localhost:49100"),
        ("0.0.0.0", "0.0.0.0", "http://localhost:49100"),
        ("'::'", "[::]", "http://localhost:49100"),
        ("'::1'", "[::1]", "http://[::1]:49100"),
        ("farm.example.org", "farm.example.org", "http://farm.example.org:49100"),
    ],
)
def test_the_address_to_listen_on_and_the_url_to_call(folder, hostname, address, url):
    settings = load(folder, f"hostname: {hostname}\n")

    assert (settings.address, settings.url) == (address, url)


def test_a_file_that_cannot_be_read_is_a_fault(folder):
    (folder / "server.yaml").mkdir()

    with pytest.raises(ConfigError, match=r"server\.yaml: cannot be read: Is a directory"):
        load_settings({"CONFIG_DIR": str(folder)})


def test_the_example_is_right_and_keeps_the_log_with_the_state():
    settings = load_settings({"CONFIG_DIR": str(EXAMPLE.parent), "RESALLOC_STATE_DIR": "/s"})

    assert settings.notices == ()
    assert settings.log_dir == Path("/s/log")


def test_every_option_is_in_the_example_with_its_default(folder):
    text = EXAMPLE.read_text()
    commented = re.findall(r"^#([a-z_]+: \S+)$", text, re.MULTILINE)
    named = {line.split(":")[0] for line in commented}

    settings = load(folder, "\n".join(commented))

    assert named == set(settings_module.OPTIONS) - {"host"}
    assert "`host`" in text
    defaults = load_settings({"CONFIG_DIR": str(folder / "nowhere")})
    different = {
        field.name for field in fields(Settings) if getattr(settings, field.name) != getattr(defaults, field.name)
    }
    assert different == {"config_dir", "pools_file", "notices"}


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), port=st.text(max_size=6))
def test_any_text_is_read_or_refused(folder, text, port):
    (folder / "server.yaml").write_bytes(text.encode(errors="surrogatepass"))
    try:
        settings = load_settings({"CONFIG_DIR": str(folder), "PORT": port})
    except ConfigError as error:
        for line in str(error).splitlines():
            assert line.startswith((f"{folder}/server.yaml", "environment: "))
    else:
        assert 1 <= settings.port <= 65535
