"""Addresses of the models, by the environment: one by OPENAI_*, and any number of others by name."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headway.domain.errors import UserError
from headway.models import address
from headway.models.adapter import Profile
from headway.models.editing import Edit, trained_on_patches
from headway.system.secret_forms import forms, longest_first

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-needed"
"""Sent to a local server when the user set no key; such servers ask for none, but the client insists on one."""

WINDOW = 128_000
OPENAI_WINDOW = 272_000
MAX_OUTPUT = 8192
TIMEOUT_S = 1800.0
STALL_S = 120.0
"""An answer that comes in pieces is given up when no piece comes for so long."""

DEFAULT = "default"
"""The name of the endpoint that OPENAI_* describes."""

_PREFIX = "HEADWAY_ENDPOINT_"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_FRAMING = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})
"""Headers that the HTTP client sets itself: with any other value a request ends in the wrong place."""
_NAMED_URL = re.compile(rf"{_PREFIX}([A-Z0-9_]+)_URL")

Api = Literal["responses", "chat"]


class Endpoint(BaseModel):
    """One address that serves models.

    Attributes:
        name: Its name in a run's input.
        model: The default model; empty for the first that the server lists.
        edit: The way in which its models edit files; None leaves it to their names.
        streams: True if answers come in pieces; None leaves it to the address.
        stall_s: Longest silence within an answer that comes in pieces.
        window: Tokens of input and output that a model of this address takes.
        max_output: Most tokens of one reply.
        timeout_s: Longest time that one call may take.
        headers: Sent with each request, such as the key of a gateway. Their values are secrets.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str = Field(repr=False)
    api_key: SecretStr = SecretStr(NO_KEY)
    api: Api = "chat"
    name: str = DEFAULT
    model: str = ""
    edit: Edit | None = None
    streams: bool | None = None
    stall_s: float = STALL_S
    window: int = WINDOW
    max_output: int = MAX_OUTPUT
    timeout_s: float = TIMEOUT_S
    headers: tuple[tuple[str, SecretStr], ...] = ()

    def at(self, path: str) -> str:
        """The address of a path below this one, which keeps its query: Azure and some gateways need one."""
        return address.below(self.base_url, path)

    @property
    def shown(self) -> str:
        """The address without user name, password and query, for people and logs."""
        return address.shown(self.base_url)

    @property
    def secret(self) -> str:
        """The key; empty when there is none."""
        key = self.api_key.get_secret_value()
        return "" if key == NO_KEY else key

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that must not stand in any text: the key, the values of headers, and secret parts of the address."""
        values = [value.get_secret_value() for _, value in self.headers]
        # `Bearer KEY`: servers repeat the key alone.
        behind = [value.rpartition(" ")[2] for value in values if " " in value]
        found = filter(None, (self.secret, *values, *behind, *address.secrets_in(self.base_url)))
        return tuple(dict.fromkeys(found))

    @property
    def secret_forms(self) -> tuple[str, ...]:
        """The same as programs write them, the longest first."""
        return tuple(longest_first(form for secret in self.secrets for form in forms(secret)))

    @property
    def account(self) -> str:
        """The difference of accounts at one address: the key, and where there are any, headers and the whole address.

        It holds secrets: only a digest of it may be kept.
        """
        headers = sorted((name.lower(), value.get_secret_value()) for name, value in self.headers)
        more = [*(f"{name}: {value}" for name, value in headers)]
        more += [self.base_url] if address.shown(self.base_url) != self.base_url else []
        return "\n".join((self.secret, *more))

    @property
    def profile(self) -> Profile:
        """The differences of this server, by its address."""
        openai = is_openai(self.base_url)
        return Profile(
            max_tokens="max_completion_tokens" if openai or is_azure(self.base_url) else "max_tokens",
            stream=openai if self.streams is None else self.streams,
        )

    def edit_of(self, model: str) -> Edit:
        """The way in which a model of this address edits files."""
        return self.edit or ("patch" if self.api == "responses" and trained_on_patches(model) else "replace")

    @property
    def names(self) -> "Names":
        """The environment variables that describe it."""
        return names_of(self.name)

    @property
    def local(self) -> bool:
        """True if the address is on this machine or in its own network, where no proxy leads."""
        return is_local(self.base_url)


class Names(BaseModel):
    """The environment variables of one endpoint.

    Beside address and key HEADWAY_API, HEADWAY_HEADERS, HEADWAY_WINDOW, HEADWAY_MAX_OUTPUT, HEADWAY_EDIT,
    HEADWAY_STREAM and HEADWAY_STALL_S, or the same with the prefix of a named one, such as HEADWAY_ENDPOINT_BOX_URL and
    HEADWAY_ENDPOINT_BOX_KEY; it has a MODEL as well.
    """

    model_config = ConfigDict(frozen=True)

    url: str = "OPENAI_BASE_URL"
    key: str = "OPENAI_API_KEY"
    prefix: str = "HEADWAY_"

    def __getitem__(self, what: str) -> str:
        """The variable of a setting, such as `WINDOW`."""
        return self.prefix + what

    @property
    def models(self) -> str:
        """The variables that name the models to ask there."""
        default = self == Names()
        return "HEADWAY_PLANNER_MODEL and HEADWAY_WORKER_MODEL" if default else self["MODEL"]


def names_of(name: str) -> Names:
    """The environment variables of the endpoint of this name."""
    if name == DEFAULT:
        return Names()
    prefix = f"{_PREFIX}{name.upper()}_"
    return Names(url=f"{prefix}URL", key=f"{prefix}KEY", prefix=prefix)


def endpoint_from(env: Mapping[str, str], name: str = DEFAULT) -> Endpoint:
    """The endpoint that OPENAI_API_KEY, OPENAI_BASE_URL and HEADWAY_* describe, or HEADWAY_ENDPOINT_<NAME>_*.

    Raises:
        UserError: Nothing is set, or a value makes no sense. Never repeats the key.
    """
    names = names_of(name)
    key, url = env.get(names.key, "").strip(), env.get(names.url, "").strip()
    if not key and not url:
        raise UserError(
            "No model endpoint: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.",
            "Set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL for another server (such as http://localhost:8000/v1). "
            "Without any model: `headway demo` shows a whole run against the rehearsal, `headway rehearse` serves it.",
        )
    url = url or OPENAI_URL
    if problem := address.problem_of(url):
        raise no_address(names, problem)
    url = address.without_last_slash(url)
    if not key.isascii() or len(key.split()) > 1 or not key.isprintable():
        raise UserError(f"{names.key}: holds spaces or characters that no key has.", "Set it to the key alone.")
    headers = _headers(env, names["HEADERS"])
    if not key and not headers and not is_local(url):
        raise UserError(
            f"{names.key} is not set, and {urlsplit(url).hostname} is not in your own network.",
            f"Set {names.key}; to any word if that server asks for no key.",
        )
    return Endpoint(
        base_url=url,
        api_key=SecretStr(key or NO_KEY),
        api=_api(env, names["API"], url),
        name=name,
        model=env.get(names["MODEL"], "").strip() if name != DEFAULT else "",
        edit=_edit(env, names["EDIT"]),
        streams=_switch(env, names["STREAM"]),
        stall_s=_number(env, names["STALL_S"], int(STALL_S), "seconds"),
        window=_number(env, names["WINDOW"], OPENAI_WINDOW if is_openai(url) else WINDOW),
        max_output=_number(env, names["MAX_OUTPUT"], MAX_OUTPUT),
        headers=headers,
    )


def no_address(names: Names, problem: str) -> UserError:
    """The refusal of an address. It repeats nothing of it, because any part may be a misplaced password."""
    remedy = f"Set {names.url} to one such as http://localhost:8000/v1."
    return UserError(f"{names.url}: is no address: {problem}.", remedy)


def named_endpoints(env: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Every endpoint that HEADWAY_ENDPOINT_<NAME>_URL declares. A run can only name one; it never brings its own.

    Raises:
        UserError: One of them makes no sense.
    """
    known = [m[1] for variable in sorted(env) if (m := _NAMED_URL.fullmatch(variable)) and env[variable].strip()]
    for variable in sorted(env):
        if variable.startswith(_PREFIX) and not any(variable.startswith(f"{_PREFIX}{name}_") for name in known):
            raise UserError(
                f"{variable}: belongs to no endpoint: no {_PREFIX}<NAME>_URL fits it.",
                f"Set the address as well, such as {_PREFIX}LOCAL_URL, with a name of letters, digits and underscores.",
            )
    return tuple(endpoint_from(env, name.lower()) for name in known)


def plain_name(name: str) -> str:
    """A name as environment variables can spell it: `My-Box` and `my_box` are one."""
    return name.strip().lower().replace("-", "_")


def is_openai(url: str) -> bool:
    """True if this is OpenAI's own address."""
    return urlsplit(url).hostname == "api.openai.com"


def is_azure(url: str) -> bool:
    """True if this is one of OpenAI's models at Azure."""
    return (urlsplit(url).hostname or "").endswith(".openai.azure.com")


def is_local(url: str) -> bool:
    """True if an address is this machine's or of a private network."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local


def _api(env: Mapping[str, str], name: str, url: str) -> Api:
    match env.get(name, "").strip().lower():
        case "":
            return "responses" if is_openai(url) else "chat"
        case "responses":
            return "responses"
        case "chat":
            return "chat"
        case other:
            raise UserError(f"{name}: '{other}' is not one of responses, chat.")


def _edit(env: Mapping[str, str], name: str) -> Edit | None:
    match env.get(name, "").strip().lower():
        case "":
            return None
        case "patch":
            return "patch"
        case "replace":
            return "replace"
        case other:
            raise UserError(f"{name}: '{other}' is not one of patch, replace.")


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    match env.get(name, "").strip().lower():
        case "":
            return None
        case "on":
            return True
        case "off":
            return False
        case other:
            raise UserError(f"{name}: '{other}' is not one of on, off.")


def _headers(env: Mapping[str, str], name: str) -> tuple[tuple[str, SecretStr], ...]:
    """Headers as a JSON object; their values are in no message."""
    text = env.get(name, "").strip()
    remedy = 'Set it to a JSON object of texts, such as {"api-key": "..."}.'
    try:
        given = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        raise UserError(f"{name} is not JSON.", remedy) from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise UserError(f"{name} is not a JSON object of texts.", remedy)
    for header, value in given.items():
        if not _HEADER.fullmatch(header) or not value.isascii() or not value.isprintable() or value != value.strip():
            raise UserError(
                f"{name}: '{header[:80]}' has characters that no header has, or begins or ends in a blank.", remedy
            )
        if header.lower() in _FRAMING:
            raise UserError(f"{name}: '{header}' is set by the HTTP client alone.", remedy)
    if len({header.lower() for header in given}) < len(given):
        raise UserError(f"{name}: names a header twice; case makes no difference.", remedy)
    return tuple((header, SecretStr(value)) for header, value in given.items())


def _number(env: Mapping[str, str], name: str, default: int, unit: str = "tokens") -> int:
    text = env.get(name, "").strip().replace("_", "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name}: '{text}' is not a number of {unit}.", f"Set it to a number such as {default}.")
    return int(text)
