"""The forms in which programs write a secret, for callers that take it out of a text."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Shorter values are too likely to be a part of something else."""

_ORDINARY = re.compile(r"[A-Za-z]?[a-z]*+(?:[-_. ][a-z]++)*+")
_LONGEST_ORDINARY = 20
"""Servers that ask for no key are given any word, such as "not-needed"; that must not vanish from every text."""

_ESCAPED = re.compile(r"%[0-9A-F]{2}")
_URL_SAFE = str.maketrans("+/", "-_")


def is_secret(value: str) -> bool:
    """True for a value that is worth looking for in texts: no short one, and no word."""
    is_word = len(value) < _LONGEST_ORDINARY and _ORDINARY.fullmatch(value)
    return len(value) >= SHORTEST and not is_word


def forms(value: str) -> set[str]:
    """The forms of a value in texts: as it is, in JSON, in a URL, as a part of a base64 text such as a Basic header."""
    raw = value.encode("utf-8", "surrogateescape")
    found = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    quoted = {quote(raw, ""), quote(raw), quote_plus(raw)}
    found |= quoted | {_ESCAPED.sub(lambda escape: escape[0].lower(), text) for text in quoted}
    for before in range(3):  # its place in a group of three bytes
        coded = base64.b64encode(bytes(before) + raw).decode("ascii").rstrip("=")
        # The first and the last character also depend on their neighbours.
        alone = coded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        if len(alone) >= SHORTEST:
            found |= {alone, alone.translate(_URL_SAFE)}
    return found


def longest_first(texts: Iterable[str]) -> list[str]:
    """Each once, in the order in which they are replaced: one may be a part of another."""
    return sorted(set(texts), key=len, reverse=True)
