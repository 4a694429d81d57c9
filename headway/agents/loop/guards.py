"""Names of calls and of results, by which repeats are told."""

import hashlib
from typing import Any

import orjson

CANONICAL_CHARS = 64 << 10
"""Arguments that are longer are compared as they stand."""


def call_key(name: str, arguments: str) -> str:
    """Names a call by its tool and arguments, in any order and spacing of the model."""
    return hashlib.sha256(f"{name}\0{_canonical(arguments)}".encode()).hexdigest()[:16]


def digest(result: str | bytes) -> str:
    """Names a result."""
    raw = result if isinstance(result, bytes) else result.encode("utf-8", "replace")
    return hashlib.sha256(raw).hexdigest()[:16]


def _canonical(arguments: str) -> str:
    if len(arguments) > CANONICAL_CHARS:
        return arguments
    try:
        value: Any = orjson.loads(arguments)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # No JSON, or nested deeper than is written again.
        return arguments
