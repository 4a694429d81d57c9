"""How open models write calls as text: a writer for each form, by their chat templates. For tests."""

import json
from collections.abc import Callable, Sequence
from typing import Any

Said = Sequence[tuple[str, dict[str, Any]]]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(name: str, arguments: dict[str, Any], key: str = "arguments") -> str:
    return json.dumps({"name": name, key: arguments}, ensure_ascii=False)


def _qwen(name: str, arguments: dict[str, Any]) -> str:
    given = "".join(f"<parameter={key}>\n{_plain(value)}\n</parameter>\n" for key, value in arguments.items())
    return f"<function={name}>\n{given}</function>"


def _glm(name: str, arguments: dict[str, Any]) -> str:
    given = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{_plain(value)}</arg_value>\n" for key, value in arguments.items()
    )
    return f"<tool_call>{name}\n{given}</tool_call>"


def _invoke(name: str, arguments: dict[str, Any], prefix: str = "", *, typed: bool = False) -> str:
    given = "".join(
        f'<{prefix}parameter name="{key}"'
        + (f' string="{"true" if isinstance(value, str) else "false"}"' if typed else "")
        + f">{_plain(value)}</{prefix}parameter>\n"
        for key, value in arguments.items()
    )
    return f'<{prefix}invoke name="{name}">\n{given}</{prefix}invoke>'


def _python(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _each(one: Callable[[str, dict[str, Any]], str], before: str = "", between: str = "", after: str = "") -> Any:
    return lambda said: before + between.join(one(name, arguments) for name, arguments in said) + after


WRITERS: dict[str, Callable[[Said], str]] = {
    "Hermes, Qwen": _each(lambda n, a: f"<tool_call>\n{_json(n, a)}\n</tool_call>", between="\n"),
    "Granite": _each(_json, "<|tool_call|>[", ", ", "]"),
    "Jamba, Hunyuan": _each(_json, "<tool_calls>[", ", ", "]</tool_calls>"),
    "MiniMax M1": _each(_json, "<tool_calls>\n", "\n", "\n</tool_calls>"),
    "Nemotron": _each(_json, "<TOOLCALL>[", ", ", "]</TOOLCALL>"),
    "Phi 4": _each(_json, "functools[", ", ", "]"),
    "Qwen Coder": _each(lambda n, a: f"<tool_call>\n{_qwen(n, a)}\n</tool_call>", between="\n"),
    "Qwen Coder, bare": _each(_qwen, between="\n"),
    "Seed-OSS": _each(lambda n, a: f"<seed:tool_call>\n{_qwen(n, a)}\n</seed:tool_call>", between="\n"),
    "Llama's function": _each(lambda n, a: f"<function={n}>{json.dumps(a)}</function>"),
    "Llama 3.1": _each(lambda n, a: _json(n, a, "parameters"), "<|python_tag|>", "; ", "<|eom_id|>"),
    "Llama 3.1, without its tag": _each(lambda n, a: _json(n, a, "parameters"), between="; "),
    "Llama 3.2": _each(_python, "[", ", ", "]"),
    "Llama 4": _each(_python, "<|python_start|>[", ", ", "]<|python_end|>"),
    "LFM2": _each(_python, "<|tool_call_start|>[", ", ", "]<|tool_call_end|>"),
    "OLMo 3": _each(_python, "<function_calls>", "\n", "</function_calls>"),
    "Gemma 3": _each(_python, "```tool_code\n", "\n", "\n```"),
    "GLM": _each(_glm, between="\n"),
    "Kimi": lambda said: (
        "<|tool_calls_section_begin|>"
        + "".join(
            f"<|tool_call_begin|>functions.{n}:{at}<|tool_call_argument_begin|>{json.dumps(a)}<|tool_call_end|>"
            for at, (n, a) in enumerate(said)
        )
        + "<|tool_calls_section_end|>"
    ),
    "Mistral": _each(_json, "[TOOL_CALLS][", ", ", "]"),
    "Mistral 11": _each(lambda n, a: f"[TOOL_CALLS]{n}[ARGS]{json.dumps(a)}"),
    "Mistral 13": _each(lambda n, a: f"[TOOL_CALLS]{n}[CALL_ID]a1b2c3d4e[ARGS]{json.dumps(a)}"),
    "Mistral, without marks": _each(lambda n, a: f"[TOOL_CALLS]{n}{json.dumps(a)}"),
    "DeepSeek V3": _each(
        lambda n, a: (
            f"<\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>{n}\n```json\n{json.dumps(a)}\n"
            "```<\uff5ctool\u2581call\u2581end\uff5c>"
        ),
        "<\uff5ctool\u2581calls\u2581begin\uff5c>",
        "\n",
        "<\uff5ctool\u2581calls\u2581end\uff5c>",
    ),
    "DeepSeek V3.1": _each(
        lambda n, a: (
            f"<\uff5ctool\u2581call\u2581begin\uff5c>{n}<\uff5ctool\u2581sep\uff5c>{json.dumps(a)}"
            "<\uff5ctool\u2581call\u2581end\uff5c>"
        ),
        "<\uff5ctool\u2581calls\u2581begin\uff5c>",
        "",
        "<\uff5ctool\u2581calls\u2581end\uff5c><\uff5cend\u2581of\u2581sentence\uff5c>",
    ),
    "DeepSeek V3.2": _each(
        lambda n, a: _invoke(n, a, "\uff5cDSML\uff5c", typed=True),
        "<\uff5cDSML\uff5cfunction_calls>\n",
        "\n",
        "\n</\uff5cDSML\uff5cfunction_calls>",
    ),
    "DeepSeek V4": _each(
        lambda n, a: _invoke(n, a, "|DSML|", typed=True), "<|DSML|tool_calls>\n", "\n", "\n</|DSML|tool_calls>"
    ),
    "Claude": _each(_invoke, "<function_calls>\n", "\n", "\n</function_calls>"),
    "Claude, later": _each(lambda n, a: _invoke(n, a, "antml:"), "<function_calls>\n", "\n", "\n</function_calls>"),
    "MiniMax M2": _each(_invoke, "<minimax:tool_call>\n", "\n", "\n</minimax:tool_call>"),
    "harmony": _each(
        lambda n, a: (
            f"<|start|>assistant<|channel|>commentary to=functions.{n} <|constrain|>json<|message|>{json.dumps(a)}"
            "<|call|>"
        )
    ),
    "harmony, the role first": _each(
        lambda n, a: f"<|start|>assistant to=functions.{n}<|channel|>commentary json<|message|>{json.dumps(a)}<|call|>"
    ),
    "Command R": _each(
        lambda n, a: json.dumps({"tool_call_id": "0", "tool_name": n, "parameters": a}),
        "<|START_ACTION|>[\n",
        ",\n",
        "\n]<|END_ACTION|>",
    ),
    "InternLM": _each(_json, "<|action_start|><|plugin|>\n", "\n", "<|action_end|>"),
    "a fence": _each(lambda n, a: f"```json\n{_json(n, a)}\n```", between="\n"),
}
