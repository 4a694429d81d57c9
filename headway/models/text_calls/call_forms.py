"""The table of text forms in which open models write tool calls: how each begins, and how it is read.

A server without a parser for its model hands these on as words. Sources are the chat templates of the models and the
parsers of vLLM, SGLang and llama.cpp. A form is read only when it is whole. A model chooses the text: each reader goes
through it once.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from headway.models.adapter import ToolSchema
from headway.models.naming import meant
from headway.models.text_calls.call_values import Found, Tools, blank_end, call_of, json_at, value_of, values, written

Reader = Callable[[str, "re.Match[str]", Tools], Found | None]
"""Reads the calls behind an opening; None where none is whole."""


class Form(NamedTuple):
    """A way of writing calls.

    Attributes:
        source: Models that write so.
        opening: An expression of its beginning. Its group `name` is the tool's, where that stands there.
        begins: It counts at the beginning of a line only.
    """

    source: str
    opening: str
    read: Reader
    begins: bool = False


NAME = r"[\w.:/\-]{1,200}+"
FENCE = "```"
_BAR = r"[|\uff5c]"
_SEP = rf"<{_BAR}tool[_\u2581]sep{_BAR}>"
_BETWEEN = re.compile(
    r"(?:\s++|</?[\w:|\uff5c]{0,40}(?:tool_calls?|function_calls)>|<[|\uff5c][\w\u2581]{1,40}[|\uff5c]>)*+"
)
"""Stands between calls and behind the last one: marks around all calls of a reply, and of a turn's end."""


def _behind(text: str, mark: "re.Match[str]", tools: Tools) -> Found | None:
    return values(text, mark.end(), tools)


def _fenced(text: str, mark: "re.Match[str]", tools: Tools) -> Found | None:
    found = values(text, mark.end(), tools, is_python="tool" in mark[0])
    return found if found is not None and text.startswith(FENCE, blank_end(text, found[1])) else None


def _named(name_and_gap: "re.Pattern[str]") -> Reader:
    """A reader of a name, something behind it, and an object."""

    def read(text: str, mark: "re.Match[str]", tools: Tools) -> Found | None:
        found = name_and_gap.match(text, mark.end())
        if found is None:
            return values(text, mark.end(), tools)
        given = json_at(text, found.end())
        call = None if given is None else call_of(found["called"], given[0], tools)
        return ([call], given[1]) if call is not None and given is not None else None

    return read


def _headed(text: str, mark: "re.Match[str]", tools: Tools) -> Found | None:
    """An object behind an opening that names the tool."""
    given = json_at(text, mark.end())
    call = None if given is None else call_of(_name_of(mark), given[0], tools)
    return ([call], given[1]) if call is not None and given is not None else None


class _Tags(NamedTuple):
    """Tags around a call and around each of its arguments.

    A value is written as it is, so that it may hold the same tags. Its end is the first one with another argument or
    the call's end behind it; the call's end is the first one with another call or the text's end behind it.
    """

    opening: "re.Pattern[str]"
    key: "re.Pattern[str]"
    value_end: str
    call_end: str
    ends: "re.Pattern[str]"
    lines: bool

    def read(self, text: str, mark: "re.Match[str]", tools: Tools) -> Found | None:
        name = meant(_name_of(mark), tools)
        if name not in tools:
            return None
        if text.startswith("{", blank := blank_end(text, mark.end())):
            return _headed(text, mark, tools)
        if text.startswith(self.call_end, blank):
            return [(name, "{}")], blank + len(self.call_end)
        found = self._end(text, mark.end())
        if found is None:
            return None
        arguments = self._arguments(text, mark.end(), found[0], tools[name])
        return None if arguments is None else ([(name, arguments)], found[1])

    def _end(self, text: str, at: int) -> tuple[int, int] | None:
        """End of the last argument, and of the call."""
        depth = 1
        closed: tuple[int, int] | None = None
        for mark in self.ends.finditer(text, at):
            if mark["call"] is not None:
                if closed is not None and depth == 0:
                    return closed  # with words of the model between two calls
                depth += 1
                closed = None
                continue
            depth -= 1
            closed = mark.start() + len(self.value_end), mark.end()
            between = _BETWEEN.match(text, mark.end())
            after = between.end() if between else mark.end()
            if after == len(text) or self.opening.match(text, after):
                return closed
        return None

    def _arguments(self, text: str, at: int, end: int, tool: ToolSchema) -> str | None:
        given: dict[str, Any] = {}
        while at < end:
            key = self.key.match(text, at)
            if key is None or key["key"] in given:
                return None
            given[key["key"]] = None
            close = text.find(self.value_end, key.end(), end)
            while close >= 0:
                at = close + len(self.value_end)
                following = self.key.match(text, at)
                if at == end or (following is not None and following["key"] not in given):
                    break
                close = text.find(self.value_end, at, end)
            else:
                return None
            value = text[key.end() : close]
            if self.lines:
                value = value.removeprefix("\n").removesuffix("\n")
            is_text = key.groupdict().get("string")
            given[key["key"]] = value_of(value, tool, key["key"], is_text)
        return written(given)


def _tags(opening: str, key: str, value_end: str, call_end: str, *, lines: bool = False) -> _Tags:
    ends = f"(?P<call>{opening.replace('?P<name>', '?:')})|{re.escape(value_end)}\\s*+{re.escape(call_end)}"
    return _Tags(re.compile(opening), re.compile(rf"\s*+{key}"), value_end, call_end, re.compile(ends), lines)


def _invoked(prefix: str) -> _Tags:
    plain = re.escape(prefix)
    return _tags(
        f'<{plain}invoke name="(?P<name>{NAME})">',
        rf'<{plain}parameter name="(?P<key>[^"<>]{{1,200}}+)"(?: string="(?P<string>true|false)")?+>',
        f"</{prefix}parameter>",
        f"</{prefix}invoke>",
    )


_QWEN = _tags(
    f"<function=(?P<name>{NAME})>",
    rf"<parameter=(?P<key>{NAME})>",
    "</parameter>",
    "</function>",
    lines=True,
)
_GLM = _tags(
    rf"<tool_call>\s*+(?P<name>{NAME})\s*+(?=<arg_key>|</tool_call>)",
    r"<arg_key>(?P<key>[^<>]{1,200}+)</arg_key>\s*+<arg_value>",
    "</arg_value>",
    "</tool_call>",
)


_INVOKED = tuple(map(_invoked, ("", "antml:", "\uff5cDSML\uff5c", "|DSML|")))
_KIMI = re.compile(rf"\s*+(?P<called>{NAME})\s*+<\|tool_call_argument_begin\|>")
_DEEPSEEK = re.compile(rf"\s*+(?:function{_SEP})?+(?P<called>{NAME})\s*+(?:{_SEP})?+\s*+(?:```json)?+")
_MISTRAL = re.compile(rf"\s*+(?P<called>{NAME})\s*+(?:\[CALL_ID\]\w{{1,100}}+)?+\s*+(?:\[ARGS\])?+(?=\s*+\{{)")


def _form_of(source: str, tags: _Tags) -> Form:
    return Form(source, tags.opening.pattern, tags.read)


FORMS: tuple[Form, ...] = (
    _form_of("GLM 4.5 and later", _GLM),
    _form_of("Qwen 3 Coder, Seed-OSS, Nemotron 3; Llama 3 with an object in it", _QWEN),
    _form_of("Claude by its older prompts, MiniMax M2", _INVOKED[0]),
    _form_of("Claude", _INVOKED[1]),
    _form_of("DeepSeek V3.2 and V4", _INVOKED[2]),
    _form_of("the same, as some tokenizers write it", _INVOKED[3]),
    Form("Kimi K2", r"<\|tool_call_begin\|>", _named(_KIMI)),
    Form("DeepSeek V3, R1 and V3.1", rf"<{_BAR}tool[_\u2581]call[_\u2581]begin{_BAR}>", _named(_DEEPSEEK)),
    Form("Mistral: a list, or from its tokenizer 11 on names", r"\[TOOL_CALLS\]", _named(_MISTRAL)),
    Form(
        "gpt-oss (harmony)",
        rf"<\|(?:start|channel)\|>[a-z]{{1,20}}+[ ]to=(?P<name>{NAME})"
        r"(?:[ ]?+(?:<\|(?:channel|constrain)\|>)?+[a-z]{1,20}+){0,3}+[ ]?+<\|message\|>",
        _headed,
    ),
    Form(
        "Hermes, Qwen 2.5 and 3, Granite, Nemotron, Hunyuan, Jamba, MiniMax M1, OLMo 3",
        r"<(?:longcat_)?(?:tool_calls?|function_calls?|tool|function|TOOLCALL)>|<\|tool_call\|>",
        _behind,
    ),
    Form(
        "Llama 3.1 and 4, LFM2, InternLM, Command R, Phi 4",
        r"<\|(?:python_tag|python_start|tool_call_start|plugin|START_ACTION)\|>|functools(?=\[)",
        _behind,
    ),
    Form(
        "Gemma 3, and models without training for tools",
        rf"{FENCE}[ \t]*+(?:json|tool_call|tool_code|tool)?+[ \t]*+\n",
        _fenced,
        begins=True,
    ),
)
"""In the order in which they are tried at one place."""


def _name_of(mark: "re.Match[str]") -> str:
    return next((value for name, value in mark.groupdict().items() if name.startswith("name") and value), "")
