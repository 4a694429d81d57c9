"""Keeps secrets out of the logs: the values that we know, and texts that look like a key."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from headway.system.secret_forms import SHORTEST, forms, is_secret, longest_first

REDACTED = "[redacted]"

_END = r"(?![A-Za-z0-9_+/=-])"

# An agent chooses these texts. So every repetition is possessive or short, and a look-ahead looks no further than the
# token itself: from no two starts is the same stretch read twice.
_AFTER_PREFIX = {
    "sk-": r"(?=[A-Za-z_-]*+\d)[A-Za-z0-9_-]{20,}+",
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{36,}+"),
    "github_pat_": r"[A-Za-z0-9_]{22,}+",
    "glpat-": r"(?=[A-Za-z_-]*+\d)[A-Za-z0-9_-]{20,}+",
    "xox": r"[abeprs]-(?=[A-Za-z-]*+\d)[A-Za-z0-9-]{10,}+",
    "hf_": r"[A-Za-z0-9]{30,}+",
    "AIza": rf"[A-Za-z0-9_-]{{35}}{_END}",
    **dict.fromkeys(("AKIA", "ASIA"), rf"[A-Z0-9]{{16}}{_END}"),
    "eyJ": r"[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+",
}

_KIND = r"(?:[A-Z0-9]{1,20} ){0,4}"
_KEY_BLOCK = (
    # The body as it stands in a file, or with line ends escaped as in JSON; its end may have been cut off.
    rf"(-----BEGIN {_KIND}PRIVATE KEY-----)(?:\s|\\[nr])*+"
    r"(?:(?:Proc-Type|DEK-Info):[^\n\\]{0,100}+(?:\s|\\[nr])++){0,4}+"
    rf"[A-Za-z0-9+/=]{{16}}(?:[A-Za-z0-9+/=\s]++|\\[nr])*+(?:-----END {_KIND}PRIVATE KEY-----)?"
)


def _token(prefix: str, rest: str) -> re.Pattern[str]:
    """A prefix at the start of a token.

    In the middle of a longer one, such as encrypted reasoning, it means nothing; but a letter before it may be the end
    of an escaped line break. Looked for by the prefix itself: looking behind at every place takes ten times as long.
    """
    return re.compile(rf"{prefix}(?:(?<![A-Za-z0-9_-]{prefix})|(?<=\\[nrt]{prefix})){rest}")


_PART = r"[^\s/@:\"'`<>\\]"
_LOGIN = re.compile(rf"(?<=://){_PART}{{0,200}}:(?P<password>[^\s/\"'`<>\\]{{1,500}})@")
_PLACE_HOLDER = re.compile(r"[${<*%\[](?![0-9A-Fa-f]{2})")


def _without_login(found: re.Match[str]) -> str:
    """Without name and password, unless the password is a word or names a variable: files of programs are full of them.

    An agent works with the texts of its log, so that a text that vanishes here vanishes from its files too.
    """
    password = found["password"]
    return f"{REDACTED}@" if is_secret(password) and not _PLACE_HOLDER.match(password) else found[0]


# A part that is quick to look for, the shape, and the replacement.
_SHAPES: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    ("://", _LOGIN, _without_login),
    *((prefix, _token(prefix, rest), REDACTED) for prefix, rest in _AFTER_PREFIX.items()),
    (
        "earer",
        re.compile(r"(earer(?<=\b[Bb]earer)\s++)(?=[A-Za-z_.~+/=-]*+\d)[A-Za-z0-9_.~+/=-]{16,}+"),
        rf"\1{REDACTED}",
    ),
    ("PRIVATE KEY-----", re.compile(_KEY_BLOCK), rf"\1{REDACTED}"),
)


STRETCH = 256 << 10
"""Characters of a text that are searched at a time. `re` lets no other thread run until it is done."""

OVERLAP = 64 << 10
"""Characters of a stretch that are searched again with the next one: a secret may begin in one and end in another."""

_UNSURE = 1 << 10
"""A match that ends so near to the end of its stretch is looked at again with the next characters."""


def _replaced(shape: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str], text: str) -> str:
    """`shape.sub(replacement, text)`, a stretch at a time."""
    if len(text) <= STRETCH:
        return shape.sub(replacement, text)
    parts: list[str] = []
    done = at = 0
    while at < len(text):
        end = min(at + STRETCH, len(text))
        sure = len(text) if end == len(text) else end - _UNSURE
        after = end if end == len(text) else end - OVERLAP
        for found in shape.finditer(text, at, end):
            if found.end() >= sure and end < len(text):  # the next characters may belong to it, or change its meaning
                whole = shape.match(text, found.start())
                after = found.start() + 1
            else:
                whole = found
            if whole is not None:
                parts += [text[done : whole.start()], _put(whole, replacement)]
                done = whole.end()
                after = max(after, done)
            if whole is not found:
                break
        at = after
    return "".join([*parts, text[done:]])


def _put(found: re.Match[str], replacement: str | Callable[[re.Match[str]], str]) -> str:
    if callable(replacement):
        return replacement(found)
    return found.expand(replacement) if "\\" in replacement else replacement


class Redact(Protocol):
    """Takes secrets out of a text."""

    def __call__(self, text: str) -> str:
        """The text as it may be written."""
        ...

    def known(self, text: str) -> str:
        """The text without our own secrets; texts that merely look like a key stay."""
        ...


@dataclass(frozen=True)
class Redactor:
    """Replaces every secret in a text by `[redacted]`.

    Attributes:
        forms: Forms of our own secrets in texts, the longest first.
    """

    forms: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """The text as it may be written."""
        if len(text) < SHORTEST:
            return text
        text = self.known(text)
        for hint, shape, replacement in _SHAPES:
            if hint in text:
                text = _replaced(shape, replacement, text)
        return text

    def known(self, text: str) -> str:
        """The text without our own secrets; texts that merely look like a key stay."""
        for form in self.forms:
            text = text.replace(form, REDACTED)
        return text


class _Unchanged:
    def __call__(self, text: str) -> str:
        return text

    def known(self, text: str) -> str:
        return text


NOTHING_SECRET = _Unchanged()
"""For logs that hold no secrets."""


def redactor(secrets: Iterable[str]) -> Redactor:
    """Makes the function that replaces every secret in a text by `[redacted]`.

    Args:
        secrets: Values that must never be written, such as the model endpoint's key; found also as JSON or a URL writes
            them. Values under 8 characters, and short plain words, are not looked for.
    """
    values = {secret.strip() for secret in secrets}
    return Redactor(tuple(longest_first(form for value in values if is_secret(value) for form in forms(value))))


def without(text: str, values: Iterable[str]) -> str:
    """A text without these values in any of their forms, also where blanks or line ends were put into one."""
    looked_for = longest_first({"".join(form.split()) for value in values for form in forms(value)} - {""})
    places: list[tuple[int, int]] = []
    compact = "".join(text.split())
    for form in looked_for:
        at = compact.find(form)
        while at >= 0:
            places.append((at, at + len(form)))
            at = compact.find(form, at + len(form))
    return _cut_out(text, compact, places) if places else text


def _cut_out(text: str, compact: str, places: Iterable[tuple[int, int]]) -> str:
    """A text with stretches replaced that are given as places among its characters that are no blanks."""
    secret = bytearray(len(compact))
    for start, end in places:
        secret[start:end] = b"\1" * (end - start)
    left: list[str] = []
    at, inside, blanks = 0, False, ""
    for character in text:
        if character.isspace():
            blanks += character
            continue
        before, inside = inside, bool(secret[at])
        if not (before and inside):
            left += [blanks, REDACTED if inside else ""]
        left.append("" if inside else character)
        at, blanks = at + 1, ""
    return "".join([*left, blanks])
