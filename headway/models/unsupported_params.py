"""Parts of a request that a server does not take: found out by its refusal, left out from then on. Pure."""

import re
from collections.abc import Iterable

import orjson

from headway.models.editing import PATCH_TOOL
from headway.models.failures import Unsupported
from headway.models.prompt_cache import BREAKPOINT, CONTROL
from headway.models.reshaping import refused_shape

IN_MESSAGES = frozenset({"reasoning_content", "reasoning_details", "encrypted_content", "phase"})
"""Fields of a model's earlier replies; they are sent back with the reply unless the server refuses them."""

_REFUSES = re.compile(
    r"unsupported|not supported|(does|do) ?n[o']t support|unrecogni[sz]ed|unknown|unexpected"
    r"|extra (inputs|fields)|extra_forbidden|not permitted|not allowed|forbidden|invalid|no such|cannot|incompatible"
    r"|should be|does not match",
    re.IGNORECASE,
)
_PLAIN = frozenset({"include", "store", "reasoning", "strict", "stream", "phase"})
"""Names that are English words too: they count only where they are quoted or called a parameter."""

_TYPE_OF_A_TOOL = re.compile(r"tools(\[\d+\]|\.\d+)?(\.type)?")
"""Every tool but one is a function, which no server refuses by its type."""


_NOT_A_TEXT = re.compile(r"content[^.]{0,80}(must be|should be|expected|valid)[^.]{0,20} string", re.IGNORECASE)
"""Refuses a content that is a list of parts. Marks for a prompt cache stand in nothing else."""

_OUTPUT = re.compile(r"max_(?:completion_|output_|new_)?tokens|(?:completion|output) tokens", re.IGNORECASE)
_NUMBER = re.compile(r"\d{3,7}")
_LONGER, _TOKENS = "replies of more than ", " tokens"
LEAST_OUTPUT = 256
"""Tokens of a reply; a model that takes fewer is none for an agent."""


def longest_output(wanted: int, without: frozenset[str]) -> int:
    """Tokens of the longest reply that a server takes as a limit."""
    known = (name[len(_LONGER) : -len(_TOKENS)] for name in without if name.startswith(_LONGER))
    return min(wanted, *(int(number) for number in known), wanted)


def _shorter_output(words: str, limit: int) -> str | None:
    """The limit that a server names where it refuses `limit`: the largest number below it."""
    if not limit or _OUTPUT.search(words) is None:
        return None
    named = [int(number) for number in _NUMBER.findall(words.replace(",", ""))]
    fitting = [number for number in named if LEAST_OUTPUT <= number < limit]
    return f"{_LONGER}{max(fitting)}{_TOKENS}" if fitting else None


def refused_part(error: Unsupported, sent: Iterable[str], output: int = 0) -> str | None:
    """The parameter of those sent that the server does not take; None when it says nothing of the kind.

    `output` is the limit of the reply that was sent.
    """
    sent = frozenset(sent)
    if (shape := refused_shape(error.words, sent)) is not None:
        return shape
    if (shorter := _shorter_output(error.words, output)) is not None:
        return shorter
    mark = next((name for name in (BREAKPOINT, CONTROL) if name in sent), None)
    if mark is not None and _NOT_A_TEXT.search(error.words):
        return mark
    names = sorted(sent, key=len, reverse=True)
    segments = re.split(r"[.\[\]\s]+", error.param)
    for name in names:
        if name in segments or name == error.param or error.param.endswith(f".{name}"):
            return name
    if PATCH_TOOL in names and _TYPE_OF_A_TOOL.fullmatch(error.param):
        return PATCH_TOOL
    if _REFUSES.search(error.words) is None:
        return None
    return next((name for name in names if _names(error.words, name)), None)


def stripped(item: bytes, names: frozenset[str]) -> bytes:
    """An item of a conversation without these fields. Only for servers that refuse them: it parses the item."""
    if not names or not any(name.encode() in item for name in names):
        return item
    kept = [
        {name: value for name, value in part.items() if name not in names} for part in orjson.loads(b"[" + item + b"]")
    ]
    return b",".join(orjson.dumps(part) for part in kept)


def _names(words: str, name: str) -> bool:
    if name not in _PLAIN:
        return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", words) is not None
    quoted = rf"['\"`]{name}['\"`.\[]"
    called = rf"(parameter|argument|field|param|property|supplied|inputs?)s?:? {name}(?!\w)"
    return re.search(f"{quoted}|{called}", words, re.IGNORECASE) is not None
