"""The agent's settings: flags first, then environment, then defaults; validated once, frozen."""

import argparse
import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nodeagent.errors import SettingsInvalid

_ENVIRONMENT_PREFIX = "LMCACHE_NODE_AGENT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Durations are seconds; `listen` is (address, port), port 0 for any."""

    node_name: str
    coordinator: str
    insecure: bool = False
    ca_file: Path | None = None
    token_file: Path | None = None
    server_name: str = ""
    host_root: Path = Path("/")
    listen: tuple[str, int] = ("", 9479)
    round_interval: float = 15.0
    pulse_interval: float = 1.0
    nvml_deadline: float = 5.0
    probe_deadline: float = 5.0
    recovery_rounds: int | None = None
    state_directory: Path | None = None
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class _Option:
    """One setting as flag and environment variable."""

    flag: str
    help: str
    parse: Callable[[str], object] = str
    default: str | None = None
    variable: str = ""
    metavar: str = "TEXT"

    @property
    def name(self) -> str:
        return self.flag[2:].replace("-", "_")

    @property
    def environment(self) -> str:
        return self.variable or _ENVIRONMENT_PREFIX + self.name.upper()


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 < value <= 3600):
        raise ValueError
    return value


def _rounds(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise ValueError
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError
    return text.lower() in ("true", "1")


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ValueError
    return host.strip("[]"), int(port)


def _target(text: str) -> str:
    if not text or text.startswith("unix:"):
        return text
    host, port = _address(text)
    if not host or port == 0:
        raise ValueError
    return text


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError
    return path


def _node_name(text: str) -> str:
    if len(text) > 253:
        raise ValueError
    return text


def _log_level(text: str) -> str:
    if text not in ("debug", "info", "warning", "error"):
        raise ValueError
    return text


_OPTIONS = (
    _Option("--node-name", "name of this Node", _node_name, "", "NODE_NAME", "NAME"),
    _Option(
        "--coordinator",
        "gRPC address of the operator coordinator, host:port",
        _target,
        "",
        metavar="HOST:PORT",
    ),
    _Option(
        "--insecure",
        "true: no TLS; accepted for a coordinator on this machine (loopback) only",
        _boolean,
        "false",
        metavar="BOOL",
    ),
    _Option("--ca-file", "certificate authority of the coordinator (PEM)", _directory, None),
    _Option("--token-file", "ServiceAccount token, read anew for each report", _directory, None),
    _Option("--server-name", "name in the coordinator's certificate, where not the host", str, ""),
    _Option(
        "--host-root",
        "where the host's /proc, /sys and /dev/shm are found",
        _directory,
        "/",
        metavar="PATH",
    ),
    _Option(
        "--listen",
        "address of /metrics, /healthz and /readyz, [host]:port",
        _address,
        ":9479",
        metavar="[HOST]:PORT",
    ),
    _Option("--round-interval", "a full round this often", _seconds, "15", metavar="SECONDS"),
    _Option("--pulse-interval", "every GPU is asked this often", _seconds, "1", metavar="SECONDS"),
    _Option(
        "--nvml-deadline",
        "a driver that does not answer within this hangs",
        _seconds,
        "5",
        metavar="SECONDS",
    ),
    _Option(
        "--probe-deadline",
        "a read of the host that takes longer makes its checks unknown",
        _seconds,
        "5",
        metavar="SECONDS",
    ),
    _Option(
        "--recovery-rounds",
        "good rounds that end a finding, instead of what the coordinator says",
        _rounds,
        None,
        metavar="N",
    ),
    _Option(
        "--state-directory",
        "where XIDs are remembered over a restart of the agent, until the node boots",
        _directory,
        None,
        metavar="PATH",
    ),
    _Option("--log-level", "debug, info, warning or error", _log_level, "info"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of all settings to a parser."""
    for option in _OPTIONS:
        default = f" [{option.default}]" if option.default else ""
        parser.add_argument(
            option.flag,
            default=None,
            metavar=option.metavar,
            # A flag that is a switch reads better without its value.
            nargs="?" if option.parse is _boolean else None,
            const="true" if option.parse is _boolean else None,
            help=f"{option.help} (${option.environment}){default}",
        )


def settings(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Return the settings for `run`.

    Raises:
        SettingsInvalid: one of them is missing or wrong.

    """
    values = {
        option.name: _value(option, getattr(arguments, option.name), environment)
        for option in _OPTIONS
    }
    chosen = Settings(**{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
    _require(chosen)
    return chosen


def state_directory(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Path | None:
    """Return the one setting that the commands beside `run` need; raises SettingsInvalid."""
    (option,) = (each for each in _OPTIONS if each.name == "state_directory")
    value = _value(option, arguments.state_directory, environment)
    return value if isinstance(value, Path) else None


def _value(option: _Option, flag: str | None, environment: Mapping[str, str]) -> object:
    text, source = flag, option.flag
    if text is None and (text := environment.get(option.environment)) is not None:
        source = f"${option.environment}"
    if text is None:
        text = option.default
    if text is None:
        return None
    try:
        return option.parse(text)
    except ValueError:
        raise SettingsInvalid(f"{source}: {text!r} is not right: {option.help}") from None


def _require(chosen: Settings) -> None:
    if not chosen.node_name:
        raise SettingsInvalid("--node-name (or $NODE_NAME) is needed: the name of this Node")
    if not chosen.coordinator:
        raise SettingsInvalid("--coordinator is needed: host:port of the operator coordinator")
    if chosen.insecure and not is_loopback(chosen.coordinator):
        raise SettingsInvalid(
            f"--insecure: {chosen.coordinator} is not on this machine; reports and the token "
            "would travel unencrypted, so give --ca-file instead"
        )
    if not chosen.host_root.is_dir():
        raise SettingsInvalid(f"--host-root: {chosen.host_root} is not a directory")


def is_loopback(target: str) -> bool:
    """Tell whether a gRPC address leads nowhere but to this machine."""
    if target.startswith("unix:"):
        return True
    host = _address(target)[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
