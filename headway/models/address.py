"""The address of a model's server: its problems, the part that people may see, and its secrets."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from headway.system.secret_forms import is_secret

# fmt: off
_PUBLIC = frozenset({
    "alt", "apiversion", "deployment", "format", "location", "model", "org", "organization", "project", "region",
    "stream", "v", "version",
})
# fmt: on
"""Parameters of a query that hold no secret, in small letters and without `-` and `_`."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(-\w{1,20})?")


def problem_of(url: str) -> str:
    """Reason why a text is no address, in words that repeat nothing of it; empty where it is one."""
    if not url.isprintable() or " " in url:
        return "it holds spaces or characters that cannot be printed"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its host or its port makes no sense"
    if parts.scheme not in {"http", "https"}:
        return "it begins with neither http:// nor https://"
    return "" if host else "it names no host"


def without_last_slash(url: str) -> str:
    """The address without slashes at the end of its path. Those of its query stay."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def below(url: str, path: str) -> str:
    """The address of a path below another one, whose query it keeps."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + path, fragment="").geturl()


def shown(url: str) -> str:
    """The address without user name, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def secrets_in(url: str) -> tuple[str, ...]:
    """The secrets of an address, each as it stands there and as it is meant: its login, and values of its query."""
    return tuple(dict.fromkeys(form for raw in _secrets_in(url) for form in (raw, unquote(raw))))


def _secrets_in(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    name, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if password:
        yield password
    if is_secret(unquote(name)):
        yield name
    for parameter in parts.query.split("&"):
        key, _, value = parameter.partition("=")
        plain = key.lower().replace("-", "").replace("_", "")
        if plain not in _PUBLIC and is_secret(unquote(value)) and not _DATE.fullmatch(value):
            yield value
