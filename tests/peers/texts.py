"""Habits of models whose servers do not take their calls out of the text: sixteen forms."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from tests.peers.habit import Habit
from tests.peers.talk import Ask, Reply

Calls = list[tuple[str, Mapping[str, Any]]]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _json(name: str, args: Mapping[str, Any], key: str = "arguments") -> str:
    return json.dumps({"name": name, key: args}, ensure_ascii=False)


def _each(calls: Calls, form: Callable[[str, Mapping[str, Any]], str], between: str = "\n") -> str:
    return between.join(form(name, args) for name, args in calls)


def _lines(args: Mapping[str, Any], form: Callable[[str, Any], str]) -> str:
    return "".join(form(key, value) for key, value in args.items())


def _invokes(calls: Calls, mark: str = "", *, typed: bool = False) -> Iterable[str]:
    for name, args in calls:
        yield f'<{mark}invoke name="{name}">'
        for key, value in args.items():
            told = f' string="{str(isinstance(value, str)).lower()}"' if typed else ""
            yield f'<{mark}parameter name="{key}"{told}>{_value(value)}</{mark}parameter>'
        yield f"</{mark}invoke>"


def _wrapped(opening: str, lines: Iterable[str], closing: str) -> str:
    return "\n".join((opening, *lines, closing))


def _parameter(key: str, value: Any) -> str:
    return f"<parameter={key}>\n{_value(value)}\n</parameter>\n"


def _arg(key: str, value: Any) -> str:
    return f"<arg_key>{key}</arg_key>\n<arg_value>{_value(value)}</arg_value>\n"


def _python(name: str, args: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in args.items())})"


_DSML = "｜DSML｜"  # noqa: RUF001 - DeepSeek's own letter
FORMS: dict[str, Callable[[Calls], str]] = {
    "qwen_json": lambda calls: _each(calls, lambda n, a: f"<tool_call>\n{_json(n, a)}\n</tool_call>"),
    "qwen_xml": lambda calls: _each(
        calls, lambda n, a: f"<tool_call>\n<function={n}>\n{_lines(a, _parameter)}</function>\n</tool_call>"
    ),
    "glm_xml": lambda calls: _each(calls, lambda n, a: f"<tool_call>{n}\n{_lines(a, _arg)}</tool_call>"),
    "kimi_tokens": lambda calls: (
        "<|tool_calls_section_begin|>"
        + "".join(
            f"<|tool_call_begin|>functions.{n}:{i}<|tool_call_argument_begin|>{json.dumps(a)}<|tool_call_end|>"
            for i, (n, a) in enumerate(calls)
        )
        + "<|tool_calls_section_end|>"
    ),
    "llama_tag": lambda calls: "<|python_tag|>" + _each(calls, lambda n, a: _json(n, a, "parameters"), "; "),
    "mistral_tag": lambda calls: "[TOOL_CALLS]" + json.dumps([{"name": n, "arguments": a} for n, a in calls]),
    "mistral_tag11": lambda calls: _each(calls, lambda n, a: f"[TOOL_CALLS]{n}[ARGS]{json.dumps(a)}", ""),
    "deepseek_tokens": lambda calls: (
        "<｜tool▁calls▁begin｜>"  # noqa: RUF001 - the same
        + _each(calls, lambda n, a: f"<｜tool▁call▁begin｜>{n}<｜tool▁sep｜>{json.dumps(a)}<｜tool▁call▁end｜>", "")  # noqa: RUF001
        + "<｜tool▁calls▁end｜>"  # noqa: RUF001
    ),
    "invoke_xml": lambda calls: _wrapped("<function_calls>", _invokes(calls), "</function_calls>"),
    "minimax_xml": lambda calls: _wrapped("<minimax:tool_call>", _invokes(calls), "</minimax:tool_call>"),
    "deepseek_dsml": lambda calls: _wrapped(
        f"<{_DSML}function_calls>", _invokes(calls, _DSML, typed=True), f"</{_DSML}function_calls>"
    ),
    "harmony": lambda calls: _each(
        calls,
        lambda n, a: f"<|channel|>commentary to=functions.{n} <|constrain|>json<|message|>{json.dumps(a)}<|call|>",
        "",
    ),
    "hermes": lambda calls: "I do it.\n" + _each(calls, lambda n, a: f"<tool_call>{_json(n, a)}</tool_call>"),
    "think_json": lambda calls: (
        "<think>\nFirst I look.\n</think>\n\n" + _each(calls, lambda n, a: f"```json\n{_json(n, a)}\n```")
    ),
    "py_call": lambda calls: f"[{_each(calls, _python, ', ')}]",
    "llama_fn": lambda calls: _each(calls, lambda n, a: f"<function={n}>{json.dumps(a)}</function>", ""),
}


def _text_in(form: Callable[[Calls], str]) -> Callable[[Ask, Reply], Reply]:
    def says(ask: Ask, reply: Reply) -> Reply:
        if not reply.calls:
            return reply
        return replace(reply, text=form([(call.name, call.args) for call in reply.calls]), calls=())

    return says


HABITS = tuple(Habit(f"text_{name}", f"calls as text: {name}", says=_text_in(form)) for name, form in FORMS.items())
