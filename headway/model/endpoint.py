"""Where the models are, as the environment says."""

import ipaddress
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from headway.domain.errors import UserError
from headway.model.adapter import Profile

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-needed"
"""Sent to a local server when the user set no key; such servers ask for none, but the client insists on one."""

WINDOW = 128_000
OPENAI_WINDOW = 272_000
MAX_OUTPUT = 8192
TIMEOUT_S = 1800.0

Api = Literal["responses", "chat"]


class Endpoint(BaseModel):
    """One address that serves models.

    Attributes:
        window: Tokens of input and output that a model of this address takes.
        max_output: Most tokens of one reply.
        timeout_s: Longest time that one call may take.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str
    api_key: SecretStr = SecretStr(NO_KEY)
    api: Api = "chat"
    window: int = WINDOW
    max_output: int = MAX_OUTPUT
    timeout_s: float = TIMEOUT_S

    @property
    def shown(self) -> str:
        """The address without user name and password, for people and logs."""
        parts = urlsplit(self.base_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def secret(self) -> str:
        """What must not stand in any text; empty when there is none."""
        key = self.api_key.get_secret_value()
        return "" if key == NO_KEY else key

    @property
    def profile(self) -> Profile:
        """How this server differs."""
        return Profile(max_tokens="max_completion_tokens" if is_openai(self.base_url) else "max_tokens")

    @property
    def local(self) -> bool:
        """Whether the address is on this machine or in its own network, where no proxy leads."""
        return is_local(self.base_url)


def endpoint_from(env: Mapping[str, str]) -> Endpoint:
    """The endpoint that OPENAI_API_KEY, OPENAI_BASE_URL and HEADWAY_* describe.

    Raises:
        UserError: Nothing is set, or a value makes no sense. Never repeats the key.
    """
    key, url = env.get("OPENAI_API_KEY", "").strip(), env.get("OPENAI_BASE_URL", "").strip().rstrip("/")
    if not key and not url:
        raise UserError(
            "No model endpoint: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.",
            "Set OPENAI_API_KEY for OpenAI, or OPENAI_BASE_URL for another server (such as http://localhost:8000/v1). "
            "Without any model: `headway demo` shows a whole run against the rehearsal, `headway rehearse` serves it.",
        )
    url = url or OPENAI_URL
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise UserError(f"OPENAI_BASE_URL: '{url}' is no address.", "Set one such as http://localhost:8000/v1.")
    if not key.isascii() or len(key.split()) > 1 or not key.isprintable():
        raise UserError("OPENAI_API_KEY: holds spaces or characters that no key has.", "Set it to the key alone.")
    if not key and not is_local(url):
        raise UserError(
            f"OPENAI_API_KEY is not set, and {urlsplit(url).hostname} is not in your own network.",
            "Set OPENAI_API_KEY; to any word if that server asks for no key.",
        )
    return Endpoint(
        base_url=url,
        api_key=SecretStr(key or NO_KEY),
        api=_api(env, url),
        window=_number(env, "HEADWAY_WINDOW", OPENAI_WINDOW if is_openai(url) else WINDOW),
        max_output=_number(env, "HEADWAY_MAX_OUTPUT", MAX_OUTPUT),
    )


def is_openai(url: str) -> bool:
    """Whether this is OpenAI's own address."""
    return urlsplit(url).hostname == "api.openai.com"


def is_local(url: str) -> bool:
    """Whether an address is this machine's or of a private network."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))
    return address.is_private or address.is_loopback or address.is_link_local


def _api(env: Mapping[str, str], url: str) -> Api:
    match env.get("HEADWAY_API", "").strip().lower():
        case "":
            return "responses" if is_openai(url) else "chat"
        case "responses":
            return "responses"
        case "chat":
            return "chat"
        case other:
            raise UserError(f"HEADWAY_API: '{other}' is not one of responses, chat.")


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip().replace("_", "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name}: '{text}' is not a number of tokens.", f"Set it to a number such as {default}.")
    return int(text)
