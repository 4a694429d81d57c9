"""Names of tools: the one that a model meant, and the form in which every server takes a name back."""

import re
from collections.abc import Collection

MAX_SENT = 64
NAMELESS = "nameless"

_NOT_SENT = re.compile(r"[^a-zA-Z0-9_-]")
_MARK = "<|"
"""Begins a mark of gpt-oss's own format, which servers leave behind a name."""
_NUMBER = re.compile(r":\d{1,4}$")
"""Kimi numbers the calls of a reply in their names."""
_PARTS = re.compile(r"[./:]")


def meant(name: str, tools: Collection[str]) -> str:
    """The tool that a name means: `functions.shell`, `shell<|channel|>commentary` and `Shell` are `shell`.

    Names that differ from a tool's in more than prefixes, marks, case and separators stay as they are.
    """
    if not tools or name in tools:
        return name
    known = {_bare(tool): tool for tool in tools}
    plain = _NUMBER.sub("", name.partition(_MARK)[0].strip(" \t\n\"'`"))
    for form in (plain, _PARTS.split(plain)[-1]):
        if (tool := known.get(_bare(form))) is not None:
            return tool
    return name


def sendable_name(name: str) -> str:
    """A name that every server takes: most refuse a conversation with any other, for good."""
    return _NOT_SENT.sub("_", name)[:MAX_SENT] or NAMELESS


def _bare(name: str) -> str:
    return _NOT_SENT.sub("", name).replace("_", "").replace("-", "").lower()
