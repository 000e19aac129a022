"""server.yaml: the settings of the server itself, from the file and from environment variables."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from msgspec import Meta, inspect

from config import values
from config.errors import ConfigError, Problem, quoted
from config.values import Option, PathText, Positive, Seconds
from config.yamlfile import YamlFile, read_text

DEFAULT_CONFIG_DIR = "/etc/resallocserver"
MOST_OUTPUT = 96_000
"""Bytes of output that still fit, as base64, into one environment variable (128 KiB in Linux)."""
_MONTH = 30 * 86400


def _hostname_fault(name: str) -> str | None:
    """Why this is no host name and no address; None if it is."""
    wrong = not re.fullmatch("[A-Za-z0-9_.:-]+", name)
    try:
        name.encode("idna")
    except UnicodeError:
        wrong = True
    return f"must be a host name or an address, not {quoted(name)}" if wrong else None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Paths are absolute, times are seconds."""

    config_dir: Path
    pools_file: Path
    state_dir: Path
    log_dir: Path
    hostname: Annotated[str, Meta(max_length=255, extra={"check": _hostname_fault})] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 49100
    loglevel: Literal["debug", "info", "warning", "error", "critical"] = "info"
    log_format: Literal["text", "json"] = "text"
    sleeptime: Annotated[float, Meta(ge=0.1, le=10**12)] = 20
    """The longest pause between two reconcile passes."""
    output_limit: Annotated[int, Meta(ge=1, le=MOST_OUTPUT)] = 65536
    """How many bytes of the output of `cmd_new` are kept."""
    livechecks_at_once: Positive = 64
    hooks_at_once: Positive = 200
    """How many hooks, livechecks not counted, run at the same time."""
    wait_timeout: Seconds = 50
    """How long a wait for a ticket lasts if the request does not say."""
    ticket_retention: Seconds = _MONTH
    """How long finished tickets are kept."""
    resource_retention: Seconds = _MONTH
    """How long ended resources are kept."""
    event_retention: Seconds = _MONTH
    """How long events are kept, by whole days."""
    workers: Positive = 2
    """Processes that answer HTTP."""
    notices: tuple[str, ...] = ()
    """Warnings for the operator: ignored options, a missing file."""

    @property
    def address(self) -> str:
        """The address to listen on. `localhost` is its IPv4 address; an IPv6 address is put in []."""
        if self.hostname == "localhost":
            return "127.0.0.1"
        return f"[{self.hostname}]" if ":" in self.hostname else self.hostname

    @property
    def url(self) -> str:
        """The URL of the server for clients on this machine."""
        everywhere = {"0.0.0.0": "localhost", "::": "localhost"}
        host = everywhere.get(self.hostname, f"[{self.hostname}]" if ":" in self.hostname else self.hostname)
        return f"http://{host}:{self.port}"

    def as_plain(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


_FIELDS = values.options_of(Settings)
_PATH = Option(inspect.type_info(PathText), None, "")
OPTIONS = {
    **{name: _FIELDS[name] for name in _FIELDS if name not in ("config_dir", "pools_file", "log_dir", "notices")},
    "host": _FIELDS["hostname"],
    "logdir": _PATH,
    "state_dir": _PATH,
}
"""The options of server.yaml by name."""


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
    """The path of pools.yaml; it does not depend on server.yaml, which may have faults."""
    return config_dir(environ) / "pools.yaml"


def _read(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The options in the file, and notices about ignored ones."""
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
        document.warn(key, None, "db_url", "is ignored: there is no database, the state is in files in state_dir")
    if "host" in entries and "hostname" in entries:
        document.warn(entries.pop("host")[0], None, "host", "is ignored: hostname says the same")
    options = document.options(entries, OPTIONS, None)
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
                options[option] = values.read(yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", value), OPTIONS[option].kind)
            except values.WrongValue as wrong:
                message = f"the variable {variable} {wrong.faults[0][1]}"
                faults.append(Problem("environment", None, None, None, message))
    if faults:
        raise ConfigError(faults)
    return options
