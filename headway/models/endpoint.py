"""An address that serves models: its settings, its secrets, and the names of its environment variables."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

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

PREFIX = "HEADWAY_ENDPOINT_"

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
    prefix = f"{PREFIX}{name.upper()}_"
    return Names(url=f"{prefix}URL", key=f"{prefix}KEY", prefix=prefix)


def no_address(names: Names, problem: str) -> UserError:
    """The refusal of an address. It repeats nothing of it, because any part may be a misplaced password."""
    remedy = f"Set {names.url} to one such as http://localhost:8000/v1."
    return UserError(f"{names.url}: is no address: {problem}.", remedy)


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
