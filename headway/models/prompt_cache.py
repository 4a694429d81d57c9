"""Marks that tell servers which parts to keep in their prompt cache. Pure.

Most keep the beginning of each request by themselves. A row stands for the models and addresses that want it marked. A
mark that is refused is left out from then on, as anything else is that a server does not take.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from headway.models.adapter import Reuse
from headway.models.editing import gpt_version
from headway.models.endpoint import Api, is_azure, is_openai

BREAKPOINT, CONTROL = "prompt_cache_breakpoint", "cache_control"
"""Fields of a part of a message's content: what stands before the part's end is kept."""
OPTIONS, LONGER = "prompt_cache_options", "cache_control.ttl"
"""Place of the request for a longer lifetime: a setting of the call, or each mark."""

_FIRST_EXPLICIT = (5, 6)
_ANTHROPIC = "api.anthropic.com"
_USER, _TOOL, _ASSISTANT = b'{"role":"user"', b'{"role":"tool"', b'{"role":"assistant"'
_CONTENT = b',"content":"'


class Marks(NamedTuple):
    """The way in which requests to a model are marked.

    Attributes:
        source: Documents that it was read from.
        field: Of a part; empty where nothing is marked.
        tail: The newest messages are marked as well. Else the server keeps them by itself.
        fixed_choice: `tool_choice` is part of what is kept: another one costs the cache of all messages.
        lives_s: Seconds that the cache keeps what was written or read.
        longer_s: Seconds of the longer lifetime that can be asked for; 0 without one.
        longer: Its name.
        write_factor: Price of a write for so long, as a multiple of that of a usual one.
    """

    source: str
    field: str = ""
    tail: bool = False
    fixed_choice: bool = False
    lives_s: float = 0.0
    longer_s: float = 0.0
    longer: str = ""
    write_factor: float = 1.0

    def is_long(self, reuse: Reuse) -> bool:
        """True if the longer lifetime pays: a pause of this agent outlived the usual one, and would not have this one.

        The parts that were written before such a pause are gone, so that the whole conversation is written anyway.
        """
        return self.lives_s < reuse.pause_s <= self.longer_s


NO_MARKS = Marks("")
_CHAT = "https://developers.openai.com/api/docs/guides/prompt-caching, https://learn.microsoft.com/azure/foundry"
_OPENAI_CHAT = Marks(_CHAT, BREAKPOINT, lives_s=1800)
_OPENAI = _OPENAI_CHAT._replace(longer_s=12 * 3600, longer="12h", write_factor=2.0)
_CLAUDE = Marks(
    "https://openrouter.ai/docs/guides/best-practices/prompt-caching, https://docs.litellm.ai/docs/completion/prompt_caching",
    CONTROL,
    tail=True,
    fixed_choice=True,
    lives_s=300,
    longer_s=3600,
    longer="1h",
    write_factor=1.6,
)
_QWEN = Marks("https://www.alibabacloud.com/help/model-studio/context-cache", CONTROL, tail=True, lives_s=300)
_OPENROUTER_GPT = Marks(_CLAUDE.source, CONTROL, lives_s=1800)


def marks_of(model: str, address: str, api: Api, without: frozenset[str] = frozenset()) -> Marks:
    """The marks of requests to a model at an address; none where its server was found not to take them."""
    marks = _known(model, address, api)
    return NO_MARKS if marks.field in without else marks


@lru_cache(maxsize=256)
def _known(model: str, address: str, api: Api) -> Marks:
    name, host = model.lower(), urlsplit(address).hostname or ""
    explicit = (gpt_version(model) or (0, 0)) >= _FIRST_EXPLICIT
    if is_openai(address) or is_azure(address):
        return (_OPENAI if api == "responses" else _OPENAI_CHAT) if explicit else NO_MARKS
    if api == "responses" or host == _ANTHROPIC:
        return NO_MARKS
    if "claude" in name:
        return _CLAUDE
    router = host == "openrouter.ai"
    if "qwen" in name and (router or host.endswith(".aliyuncs.com")):
        return _QWEN
    return _OPENROUTER_GPT if explicit and router else NO_MARKS


def caches_nothing(address: str) -> bool:
    """True for an address that is known to serve nothing from a prompt cache, whatever it is sent."""
    return urlsplit(address).hostname == _ANTHROPIC


def sent_marks(marks: Marks, reuse: Reuse, items: Sequence[bytes]) -> frozenset[str]:
    """Names of what a request holds for the cache, and can do without."""
    if not marks.field or not items or not (marks.tail or reuse.shared):
        return frozenset()
    longer = frozenset({OPTIONS if marks.field == BREAKPOINT else LONGER}) if marks.is_long(reuse) else frozenset()
    return frozenset({marks.field}) | longer


def write_factor(marks: Marks, reuse: Reuse, without: frozenset[str]) -> float:
    """Price of what a request writes to the cache, as a multiple of the published one."""
    longer = marks.is_long(reuse) and not {OPTIONS, LONGER} & without
    return marks.write_factor if longer else 1.0


def options(marks: Marks, reuse: Reuse) -> dict[str, Any]:
    """The settings of a request that ask for the longer lifetime. A retention beside them would be refused."""
    return {OPTIONS: {"ttl": marks.longer}} if marks.field == BREAKPOINT and marks.is_long(reuse) else {}


def marked_input(items: list[bytes], marks: Marks, reuse: Reuse) -> list[bytes]:
    """Items of Responses, the first message's shared part marked."""
    if items and reuse.shared:
        items[0] = _in_parts(items[0], "input_text", marks, reuse.shared, _value(marks, reuse, frozenset()))
    return items


def marked(messages: list[bytes], marks: Marks, reuse: Reuse, without: frozenset[str]) -> list[bytes]:
    """Messages of Chat Completions with their marks. They begin with the system's.

    The end of the request before is marked beside the newest message: a server looks for the newest mark that it knows.
    """
    value = _value(marks, reuse, without)
    # The system's own may have the user's role, for a server that knows no other.
    first = next((at for at in range(1, len(messages)) if messages[at].startswith(_USER)), None)
    shared = first is not None and reuse.shared > 0
    if first is not None and shared:
        messages[first] = _in_parts(messages[first], "text", marks, reuse.shared, value)
    if not marks.tail:
        return messages
    # In parts all the same, marked or not: a message must not change its form when its mark moves on.
    messages[1:] = [_as_parts(message) for message in messages[1:]]
    replies = [at for at in range(len(messages) - 1, 0, -1) if messages[at].startswith(_ASSISTANT)][:1]
    for at in {len(messages) - 1, *(reply - 1 for reply in replies)}:
        messages[at] = _with_mark(messages[at], marks, value)
    return messages


def _value(marks: Marks, reuse: Reuse, without: frozenset[str]) -> dict[str, Any]:
    if marks.field == BREAKPOINT:
        return {"mode": "explicit"}
    longer = {"ttl": marks.longer} if marks.is_long(reuse) and LONGER not in without else {}
    return {"type": "ephemeral", **longer}


def _in_parts(item: bytes, kind: str, marks: Marks, shared: int, value: dict[str, Any]) -> bytes:
    """A message of a user in two parts, the first one marked."""
    said = orjson.loads(item)
    content = said["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    parts = [{"type": kind, "text": text[:shared], marks.field: value}]
    parts += [{"type": kind, "text": text[shared:]}] if text[shared:] else []
    return orjson.dumps(said | {"content": parts})


def _as_parts(message: bytes) -> bytes:
    """A text of a user or a tool as a list of one part. Put together as bytes: this is done for each message."""
    if not message.startswith((_USER, _TOOL)):
        return message
    head, found, text = message.partition(_CONTENT)
    if not found or text == b'"}':
        return message
    return b"".join((head, b',"content":[{"type":"text","text":"', text[:-1], b"}]}"))


def _with_mark(message: bytes, marks: Marks, value: dict[str, Any]) -> bytes:
    """A message whose last part is marked, if it has parts."""
    if not message.startswith((_USER, _TOOL)):
        return message
    said = orjson.loads(message)
    if isinstance(said["content"], list):
        said["content"][-1][marks.field] = value
    return orjson.dumps(said)
