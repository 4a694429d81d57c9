"""Settings of worker processes: each variable of the environment with its name, default, unit and bound.

The variables of models stand in `headway/models/settings.py`.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, JsonValue, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from headway.domain.defaults import AUDIT_S, HEARTBEAT_S, SNAPSHOT_STEPS
from headway.domain.errors import UserError
from headway.domain.numbers import wrong_number
from headway.host.home import VARIABLE, home_from
from headway.host.worker_roles import AGENTS, USUAL_AGENTS


def _variable(name: str, default: object, meaning: str, *, shown: str = "", least: int | None = None) -> Any:
    """A field that a variable of the environment sets.

    Args:
        name: Its name.
        default: Its default.
        meaning: Its meaning and unit, as the documentation says them.
        shown: The default in words, where it depends on the machine.
        least: The smallest number.
    """
    more: dict[str, JsonValue] = {"shown": shown or str(default)}
    return Field(default, validation_alias=name, ge=least, description=meaning, json_schema_extra=more)


def _state_folder(given: object) -> Path:
    """The state folder, made and closed to other users; `home_from` reads the variable itself."""
    return home_from({VARIABLE: str(given)}) if isinstance(given, Path) else home_from()


def _folder(given: object) -> object:
    return Path(given).expanduser() if isinstance(given, str) else given


class Settings(BaseSettings):
    """Settings of one worker process. An argument goes before a variable of the environment."""

    model_config = SettingsConfigDict(frozen=True, case_sensitive=True, validate_default=True)

    home: Annotated[Path, BeforeValidator(_state_folder)] = _variable(
        VARIABLE,
        None,
        "the state folder, one per user. A run lives in one state folder. A worker process with another one hands "
        "the run's work back; the failure of the pending activity says so",
        shown="`$XDG_STATE_HOME/headway`, else `~/.local/state/headway`; on macOS "
        "`~/Library/Application Support/headway`",
    )
    prompts: Annotated[Path | None, BeforeValidator(_folder)] = _variable(
        "HEADWAY_PROMPTS", None, "a folder of your own prompts, see [below](#prompts-of-your-own)", shown="none"
    )
    agents: int = _variable(
        AGENTS, USUAL_AGENTS, "workers and checks at once; `--agents` overrides it", shown="8 per core", least=1
    )
    heavy: int = _variable(
        "HEADWAY_HEAVY",
        os.cpu_count() or 1,
        "builds and tests at once on this machine",
        shown="one per core",
        least=1,
    )
    disk_mb: int = _variable(
        "HEADWAY_AGENT_DISK_MB",
        0,
        "the most megabytes that one workspace may take; 0 for the default",
        shown="a quarter of the disk, at most 20000",
        least=0,
    )
    io_mb_s: int = _variable(
        "HEADWAY_AGENT_IO_MB_S",
        0,
        "megabytes a second that one agent may read, and write, of the disk of the state folder; by control groups; "
        "0 for any",
        shown="any",
        least=0,
    )
    heartbeat_s: int = _variable(
        "HEADWAY_HEARTBEAT_S",
        HEARTBEAT_S,
        "seconds after which the work of a killed process is given to another",
        least=2,
    )
    sandbox: str = _variable(
        "HEADWAY_SANDBOX",
        "",
        "a sandbox level by name: `bubblewrap+cgroup`, `bubblewrap+limits`, `plain`; nothing starts where it cannot be "
        "had",
        shown="the strongest that works here",
    )
    audit_s: int = _variable(
        "HEADWAY_AUDIT_S",
        AUDIT_S,
        "seconds without a handoff after which a planner looks whether its children are still there",
        least=1,
    )
    workspaces: str = _variable(
        "HEADWAY_WORKSPACES",
        "",
        "how workspaces are made: `overlay` or `clone`, see [below](#workspaces)",
        shown="the best that works",
    )
    snapshot_steps: int = _variable(
        "HEADWAY_SNAPSHOT_STEPS",
        SNAPSHOT_STEPS,
        "steps of a worker after which what it has not landed is kept on its ref",
        least=1,
    )
    temporal_api_key: SecretStr = Field(SecretStr(""), validation_alias="TEMPORAL_API_KEY")
    temporal_client_key: SecretStr = Field(SecretStr(""), validation_alias="TEMPORAL_TLS_CLIENT_KEY_DATA")

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, given: dict[str, object]) -> dict[str, object]:
        trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}
        return {name: value for name, value in trimmed.items() if value != ""}

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read the environment once; what is given goes before it, except None.

        Raises:
            UserError: A variable is wrong: names it, its bound and its text.
        """
        try:
            # By their variables: a field that may be given by its own name is also read from a variable of that name.
            return cls(**{_name(name): value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise _in_words(error.errors()[0]) from None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys of the Temporal service, for the redaction of logs."""
        held = (self.temporal_api_key, self.temporal_client_key)
        return tuple(each.get_secret_value() for each in held if each.get_secret_value())


def variables() -> dict[str, str]:
    """The row of each documented variable: default and meaning, with its bound."""
    return {
        str(field.validation_alias): f"{_extra(field)} | {_meaning(field)}"
        for field in Settings.model_fields.values()
        if field.description
    }


def _name(field: str) -> str:
    return str(Settings.model_fields[field].validation_alias)


def _extra(field: FieldInfo) -> str:
    assert isinstance(field.json_schema_extra, dict)
    return str(field.json_schema_extra["shown"])


def _least(field: FieldInfo) -> int | None:
    return next((each.ge for each in field.metadata if hasattr(each, "ge")), None)


def _meaning(field: FieldInfo) -> str:
    least = _least(field)
    return f"{field.description}" + (f"; at least {least}" if least is not None and least > 1 else "")


def _in_words(error: ErrorDetails) -> UserError:
    """One wrong value as the message for the user."""
    name = str(error["loc"][0])
    field = next(field for field in Settings.model_fields.values() if field.validation_alias == name)
    least = _least(field)
    assert least is not None, "only a number can be wrong"
    return wrong_number(name, str(error["input"]), least, _extra(field))
