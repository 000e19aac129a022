"""server.yaml: the settings of the server itself, from the file and from environment variables."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from config import logs, values
from config.errors import ConfigError, Problem, quoted
from config.yamlfile import YamlFile, read_text

DEFAULT_CONFIG_DIR = "/etc/resallocserver"
_LEVELS = ("debug", "info", "warning", "error", "critical")
_MONTH = 30 * 86400


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Paths are absolute, times are seconds."""

    config_dir: Path
    pools_file: Path
    state_dir: Path
    log_dir: Path
    hostname: str = "localhost"
    port: int = 49100
    loglevel: str = "info"
    log_format: str = "text"
    """How lines of the log are written: `text` or `json`."""
    sleeptime: float = 20
    """The longest pause between two reconcile passes."""
    output_limit: int = 65536
    """How many bytes of what `cmd_new` prints are kept."""
    livechecks_at_once: int = 64
    hooks_at_once: int = 200
    """How many hooks, livechecks not counted, run at the same time."""
    wait_timeout: float = 50
    """How long a wait for a ticket lasts when the request does not say."""
    ticket_retention: float = _MONTH
    """How long finished tickets are kept."""
    resource_retention: float = _MONTH
    """How long ended resources are kept."""
    event_retention: float = _MONTH
    """How long events are kept, by whole days."""
    workers: int = 2
    """Processes that answer HTTP."""
    notices: tuple[str, ...] = ()
    """What somebody should read once: options that were ignored, a file that is not there."""

    @property
    def address(self) -> str:
        """Host to listen on, for programs that need an address: `localhost` is IPv4, an IPv6 one stands in []."""
        if self.hostname == "localhost":
            return "127.0.0.1"
        return f"[{self.hostname}]" if ":" in self.hostname else self.hostname

    @property
    def url(self) -> str:
        """Where the server is reached from this machine."""
        everywhere = {"0.0.0.0": "localhost", "::": "localhost"}
        host = everywhere.get(self.hostname, f"[{self.hostname}]" if ":" in self.hostname else self.hostname)
        return f"http://{host}:{self.port}"

    def as_plain(self) -> dict[str, Any]:
        """The fields as values that JSON has."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read server.yaml in `$CONFIG_DIR`.

    The variables PORT, RESALLOC_STATE_DIR, RESALLOC_LOG_DIR and RESALLOC_LOG_FORMAT win over it. Without the file
    everything has its default. Raises ConfigError with all faults.
    """
    folder = config_dir(environ)
    faults: list[Problem] = []
    notices: list[str] = []
    options: dict[str, Any] = {}
    try:
        options, notices = _read(folder / "server.yaml")
    except ConfigError as error:
        faults.extend(error.problems)
    try:
        options |= _from_environment(environ)
    except ConfigError as error:
        faults.extend(error.problems)
    if faults:
        raise ConfigError(faults)
    state_dir = folder / options.pop("state_dir", Path.cwd() / "var")
    state_dir = Path(environ.get("RESALLOC_STATE_DIR") or state_dir).absolute()
    log_dir = folder / options.pop("logdir", "/var/log/resallocserver").replace("{state_dir}", str(state_dir))
    return Settings(
        config_dir=folder,
        pools_file=pools_file(environ),
        state_dir=state_dir,
        log_dir=Path(environ.get("RESALLOC_LOG_DIR") or log_dir).absolute(),
        notices=tuple(notices),
        **options,
    )


def config_dir(environ: Mapping[str, str]) -> Path:
    """The folder of the configuration: `$CONFIG_DIR`, absolute."""
    return Path(environ.get("CONFIG_DIR") or DEFAULT_CONFIG_DIR).absolute()


def pools_file(environ: Mapping[str, str]) -> Path:
    """Where pools.yaml is, known also when server.yaml has faults."""
    return config_dir(environ) / "pools.yaml"


def _read(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The options that stand in the file, and notices about those that are ignored."""
    try:
        file.stat()
    except FileNotFoundError:
        return {}, [f"{file}: there is no such file; every setting has its default"]
    except OSError:
        pass  # reading it will fail too, and say why
    document = YamlFile(read_text(file), str(file))
    if document.root is None or values.is_null(document.root):
        return {}, []
    entries = document.entries(document.root)
    notices: list[str] = []
    if "db_url" in entries:
        key, _ = entries.pop("db_url")
        document.warn(key, None, "db_url", "is ignored: there is no database, the state is files in state_dir")
    if "host" in entries and "hostname" in entries:
        document.warn(entries.pop("host")[0], None, "host", "is ignored: hostname says the same")
    options = document.options(entries, _OPTIONS, None)
    document.raise_faults()
    if "host" in options:
        options["hostname"] = options.pop("host")
    notices.extend(str(warning) for warning in document.warnings)
    return options, notices


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    options = {}
    faults = []
    for variable, option, kind in (("PORT", "port", "int"), ("RESALLOC_LOG_FORMAT", "log_format", "str")):
        value = environ.get(variable)
        if value:
            try:
                options[option] = _OPTIONS[option](yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", value))
            except values.WrongValue as wrong:
                message = f"the variable {variable} {wrong.faults[0][1]}"
                faults.append(Problem("environment", None, None, None, message))
    if faults:
        raise ConfigError(faults)
    return options


def _port(node: yaml.Node) -> int:
    port: int = values.whole(1)(node)
    if port > 65535:
        raise values.WrongValue((node, f"must be at most 65535, not {port}"))
    return port


def _hostname(node: yaml.Node) -> str:
    name: str = values.line(255)(node)
    wrong = not re.fullmatch("[A-Za-z0-9_.:-]+", name)
    try:
        name.encode("idna")
    except UnicodeError:
        wrong = True
    if wrong:
        raise values.WrongValue((node, f"must be a host name or an address, not {quoted(name)}"))
    return name


def _log_format(node: yaml.Node) -> str:
    form = values.text(node).lower()
    if form not in logs.FORMATS:
        raise values.WrongValue((node, f"must be {' or '.join(logs.FORMATS)}, not {values.described(node)}"))
    return form


def _level(node: yaml.Node) -> str:
    level = values.text(node).lower()
    if level not in _LEVELS:
        raise values.WrongValue((node, f"must be one of {', '.join(_LEVELS)}, not {values.described(node)}"))
    return level


_path = values.line(4000)

MOST_OUTPUT = 96_000
"""Bytes of output that still fit, as base64, into one environment variable (128 KiB in Linux)."""
_OPTIONS: dict[str, values.Convert] = {
    "hostname": _hostname,
    "host": _hostname,
    "port": _port,
    "logdir": _path,
    "loglevel": _level,
    "log_format": _log_format,
    "sleeptime": values.seconds(0.1),
    "state_dir": _path,
    "output_limit": values.whole(1, MOST_OUTPUT),
    "livechecks_at_once": values.whole(1),
    "hooks_at_once": values.whole(1),
    "wait_timeout": values.seconds(),
    "ticket_retention": values.seconds(),
    "resource_retention": values.seconds(),
    "event_retention": values.seconds(),
    "workers": values.whole(1),
}
"""How each option is read; its default is that of `Settings`."""
