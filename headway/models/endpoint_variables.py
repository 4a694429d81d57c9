"""Endpoints by the environment: one by OPENAI_*, and any number of others by name."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from headway.domain.errors import UserError
from headway.domain.numbers import whole_number
from headway.models import address
from headway.models.editing import Edit
from headway.models.endpoint import (
    DEFAULT,
    MAX_OUTPUT,
    NO_KEY,
    OPENAI_URL,
    OPENAI_WINDOW,
    PREFIX,
    STALL_S,
    WINDOW,
    Api,
    Endpoint,
    is_local,
    is_openai,
    names_of,
    no_address,
)

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_FRAMING = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})
"""Headers that the HTTP client sets itself: with any other value a request ends in the wrong place."""
_NAMED_URL = re.compile(rf"{PREFIX}([A-Z0-9_]+)_URL")


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
        stall_s=whole_number(env, names["STALL_S"], int(STALL_S)),
        window=whole_number(env, names["WINDOW"], OPENAI_WINDOW if is_openai(url) else WINDOW),
        max_output=whole_number(env, names["MAX_OUTPUT"], MAX_OUTPUT),
        headers=headers,
    )


def named_endpoints(env: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Every endpoint that HEADWAY_ENDPOINT_<NAME>_URL declares. A run can only name one; it never brings its own.

    Raises:
        UserError: One of them makes no sense.
    """
    known = [m[1] for variable in sorted(env) if (m := _NAMED_URL.fullmatch(variable)) and env[variable].strip()]
    for variable in sorted(env):
        if variable.startswith(PREFIX) and not any(variable.startswith(f"{PREFIX}{name}_") for name in known):
            raise UserError(
                f"{variable}: belongs to no endpoint: no {PREFIX}<NAME>_URL fits it.",
                f"Set the address as well, such as {PREFIX}LOCAL_URL, with a name of letters, digits and underscores.",
            )
    return tuple(endpoint_from(env, name.lower()) for name in known)


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
