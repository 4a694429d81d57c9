"""`temporal-dev.yaml`: the settings of the local Temporal service, validated before anything starts."""

import difflib
import ipaddress
import json
import re
import sys
import sysconfig
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails

import headway
from headway.domain.errors import UserError
from headway.host.server_settings import DYNAMIC_CONFIG, SEARCH_ATTRIBUTE_TYPES, SQLITE_PRAGMAS, Kind

FILE = "temporal-dev.yaml"

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Version = Annotated[str, StringConstraints(strict=True, pattern=r"^\d+\.\d+\.\d+$")]
Scalar = bool | int | str

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CliVersions(_Part):
    """Accepted releases of the `temporal` CLI: `min` and later."""

    min: Version = "1.9.0"


class Server(_Part):
    """Addresses, database and log of the server process.

    Attributes:
        ui_port: Port of the Web UI, or "none" for a server without one.
        metrics_port: Port of the Prometheus endpoint; without it the server picks a free one.
        db_filename: Relative to `HEADWAY_HOME`, unless absolute.
    """

    ip: Annotated[str, StringConstraints(strict=True, min_length=1)] = "127.0.0.1"
    port: Port = 7233
    ui_port: Port | Literal["none"] = 8233
    metrics_port: Port | None = None
    db_filename: Annotated[str, StringConstraints(strict=True, min_length=1)] = "temporal/temporal.db"
    log_level: Literal["debug", "info", "warn", "error", "never"] = "warn"
    ui_disable_news_fetch: Annotated[bool, Field(strict=True)] = True

    @field_validator("ip")
    @classmethod
    def _loopback(cls, value: str) -> str:
        try:
            loopback = ipaddress.ip_address(value).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError("must be a loopback address such as 127.0.0.1, because the service has no authentication")
        return value


class Namespace(_Part):
    """The namespace that runs live in, and for how long closed ones are kept (a Go duration such as `720h`)."""

    name: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "default"
    retention: Annotated[str, StringConstraints(strict=True)] = "720h"

    @field_validator("retention")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if parse_duration(value) < timedelta(hours=24):
            raise ValueError("must be at least 24h, the shortest that the server takes")
        return value


class ServiceSettings(_Part):
    """All of `temporal-dev.yaml`. A setting that the file leaves out has the default that the shipped file shows."""

    cli: CliVersions = CliVersions()
    server: Server = Server()
    namespace: Namespace = Namespace()
    search_attributes: dict[str, str] = {}
    sqlite_pragmas: dict[str, Scalar] = {}
    dynamic_config: dict[str, Scalar] = {}

    @property
    def address(self) -> str:
        """`host:port` for clients of the service."""
        return f"{self._host}:{self.server.port}"

    @property
    def ui_url(self) -> str | None:
        """The Web UI's address, if the server has one."""
        return None if self.server.ui_port == "none" else f"http://{self._host}:{self.server.ui_port}"

    @property
    def _host(self) -> str:
        return f"[{self.server.ip}]" if ":" in self.server.ip else self.server.ip

    def database(self, home: Path) -> Path:
        """The database file of the service that keeps its state in `home`."""
        return home / self.server.db_filename

    def flags(self, database: str) -> list[str]:
        """Everything after `temporal server start-dev`."""
        server = self.server
        flags = ["--ip", server.ip, "--port", str(server.port), "--db-filename", database]
        flags += ["--headless"] if server.ui_port == "none" else ["--ui-port", str(server.ui_port)]
        if server.metrics_port is not None:
            flags += ["--metrics-port", str(server.metrics_port)]
        if server.ui_disable_news_fetch:
            flags += ["--ui-disable-news-fetch"]
        flags += ["--log-level", server.log_level, "--namespace", self.namespace.name]
        for name, kind in self.search_attributes.items():
            flags += ["--search-attribute", f"{name}={kind}"]
        for name, value in self.sqlite_pragmas.items():
            flags += ["--sqlite-pragma", f"{name}={value}"]
        for name, value in self.dynamic_config.items():
            flags += ["--dynamic-config-value", f"{name}={json.dumps(value)}"]
        return flags


def find_settings(given: Path | None = None) -> Path:
    """The settings file to use: the one given, else the checkout's, else the one that the wheel installed.

    Raises:
        UserError: It is not there.
    """
    if given is not None:
        if not given.is_file():
            raise UserError(f"--config: {given} is not a file", f"Give a copy of the shipped {FILE}.")
        return given
    checkout = Path(headway.__file__).resolve().parent.parent / FILE
    installed = [Path(base) / "share" / "headway" / FILE for base in (sysconfig.get_path("data"), sys.prefix)]
    for place in (checkout, *installed):
        if place.is_file():
            return place
    raise UserError(
        f"{FILE} is neither beside the checkout nor in {installed[0].parent}",
        "Install Headway again, or give the file with --config.",
    )


def load_settings(path: Path) -> ServiceSettings:
    """The settings in `path`.

    Raises:
        UserError: With every problem on a line of its own, each naming the key and what it should be.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: must hold keys such as server, namespace, dynamic_config")
    if isinstance(pragmas := raw.get("sqlite_pragmas"), dict):
        # YAML reads the words on and off as truth values; to SQLite they are words.
        raw["sqlite_pragmas"] = {
            name: {True: "on", False: "off"}[value] if isinstance(value, bool) else value
            for name, value in pragmas.items()
        }
    problems, settings = [], None
    try:
        settings = ServiceSettings.model_validate(raw)
    except ValidationError as error:
        problems = [_say(detail) for detail in error.errors(include_url=False)]
    problems += _problems_of_names(raw)
    if problems or settings is None:
        lines = "\n".join(f"{path}: {problem}" for problem in dict.fromkeys(problems))
        raise UserError(lines, "Nothing was started.")
    return settings


def parse_duration(text: str) -> timedelta:
    """A Go duration of hours, minutes and seconds, such as `720h` or `1h30m`.

    Raises:
        ValueError: For anything else.
    """
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError("must be a duration such as 720h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _problems_of_names(raw: dict[str, Any]) -> list[str]:
    problems = []
    for name, value in _entries(raw, "search_attributes"):
        if value not in SEARCH_ATTRIBUTE_TYPES:
            problems.append(f"search_attributes.{name}: must be one of {', '.join(SEARCH_ATTRIBUTE_TYPES)}")
    for name, value in _entries(raw, "sqlite_pragmas"):
        problems += _problem_of(f"sqlite_pragmas.{name}", value, SQLITE_PRAGMAS.get(name), name, list(SQLITE_PRAGMAS))
    for name, value in _entries(raw, "dynamic_config"):
        problems += _problem_of(f"dynamic_config.{name}", value, DYNAMIC_CONFIG.get(name), name, list(DYNAMIC_CONFIG))
    return problems


def _entries(raw: dict[str, Any], part: str) -> list[tuple[str, Any]]:
    held = raw.get(part)
    return [(str(name), value) for name, value in held.items()] if isinstance(held, dict) else []


def _problem_of(path: str, value: Any, kind: Kind | tuple[str, ...] | None, name: str, known: list[str]) -> list[str]:
    if kind is None:
        return [f"{path}: is not a setting that Headway knows{_nearest(name, known)}"]
    if isinstance(kind, tuple):
        return [] if str(value).lower() in kind else [f"{path}: must be one of {', '.join(kind)}, got {value!r}"]
    match kind:
        case "bool":
            good, wanted = isinstance(value, bool), "true or false"
        case "int":
            good, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        case "duration":
            good, wanted = isinstance(value, str) and _is_duration(value), "a duration such as 10s"
        case "word":
            good, wanted = isinstance(value, str), "a word"
    return [] if good else [f"{path}: must be {wanted}, got {value!r}"]


def _is_duration(text: str) -> bool:
    return bool(text) and _DURATION.fullmatch(text) is not None


def _say(detail: ErrorDetails) -> str:
    where = [str(part) for part in detail["loc"] if isinstance(part, str) and not part.startswith(("constrained",))]
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join(where)}: is not a setting{_nearest(where[-1], _names_beside(where))}"
    # A union reports one problem per member, with the member's name at the end of the place.
    path = ".".join(part for part in where if part not in {"int", "bool", "str", "literal['none']"})
    message = (
        detail["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("String should", "must")
    )
    return f"{path}: {message}, got {detail['input']!r}"


def _names_beside(where: list[str]) -> list[str]:
    model: Any = ServiceSettings
    for part in where[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _nearest(name: str, known: list[str]) -> str:
    lower = {entry.lower(): entry for entry in known}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1)
    return f"; did you mean '{lower[near[0]]}'?" if near else f"; it may be one of {', '.join(known)}"
