"""Every form in which open models write calls as text, for every tool: taken as it was meant, or not at all."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.agents.tools import catalogue
from headway.models.text_calls.call_forms import FORMS
from headway.models.text_calls.text_tool_calls import MOST_CALLS, MOST_CHARS, text_calls
from tests.agents.call_texts import WRITERS, Said

TOOLS = {tool.name: tool.schema for tool in catalogue.TOOLS}
MARKS = [
    "<tool_call>",
    "</tool_call>",
    "<function=shell>",
    "</function>",
    "<parameter=path>",
    "</parameter>",
    '<invoke name="land">',
    "</invoke>",
    '<parameter name="path">',
    "</\uff5cDSML\uff5cparameter>",
    "<arg_key>path</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<|tool_call_begin|>",
    "<|tool_call_end|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "<|call|>",
    "<|channel|>analysis<|message|>",
    "<|end|>",
    "\n<think>\n",
    "\n</think>\n",
    "\n```\n",
    "```json\n",
    "```",
]
PIECES = [
    "a",
    " ",
    "\n",
    "\n\n",
    "'",
    '"',
    "\\",
    "\\n",
    "{",
    "}",
    "[]",
    "(",
    ")",
    ",",
    "=",
    "é",
    "🚀",
    "\U0001f468\u200d",
    "$HOME",
    "%s",
]


def said_back(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for name, arguments in text_calls(text, TOOLS)]


def samples(write: Any) -> st.SearchStrategy[str]:
    """Words of a file: pieces, with marks and whole calls of the form that are followed by another word."""
    inner = st.sampled_from([*MARKS, write([("shell", {"command": "ls"})])]).map(lambda mark: f"{mark} x")
    return st.lists(st.one_of(st.sampled_from(PIECES), inner), max_size=6).map("".join)


def of_schema(schema: dict[str, Any], texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "string":
            return texts
        case "integer" | "number":
            return st.integers(-5, 10**6)
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(of_schema(schema.get("items", {"type": "string"}), texts), max_size=3)
        case "object":
            return of_fields(schema, texts)
    raise AssertionError(schema)


def of_fields(schema: dict[str, Any], texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    required = set(schema.get("required", ()))
    fields = {name: of_schema(inner, texts) for name, inner in schema.get("properties", {}).items()}
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


@st.composite
def replies(draw: st.DrawFn, texts: st.SearchStrategy[str] | None = None) -> tuple[str, Said]:
    form = draw(st.sampled_from(sorted(WRITERS)))
    texts = texts or samples(WRITERS[form])
    names = draw(st.lists(st.sampled_from(sorted(TOOLS)), min_size=1, max_size=3))
    return form, [(name, draw(of_fields(TOOLS[name].parameters, texts))) for name in names]


@settings(max_examples=100)
@given(replies())
def test_what_a_model_meant_is_what_is_called(reply: tuple[str, Said]) -> None:
    form, said = reply
    assert said_back(WRITERS[form](said)) == list(said), form


NASTY = "x = \"é🚀\"\n'''\nif a[0] == {1: '\\n'}: # </parameter> <tool_call> </arg_value> x\n\n"


def example_of(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "integer" | "number":
            return 3
        case "boolean":
            return True
        case "array":
            return [example_of(schema.get("items", {"type": "string"}))] * 2
        case "object":
            return {name: example_of(inner) for name, inner in schema.get("properties", {}).items()}
    return NASTY


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_holds_every_tool(form: str) -> None:
    for name, tool in TOOLS.items():
        said: Said = [(name, example_of(tool.parameters)), ("shell", {"command": "ls"})]
        assert said_back(WRITERS[form](said)) == said


@pytest.mark.parametrize("form", WRITERS)
def test_a_form_half_written_is_never_taken(form: str) -> None:
    said: Said = [
        ("write_file", {"path": "a", "content": 'one\n"two" {3}'}),
        ("shell", {"command": "ls", "timeout_s": 12}),
    ]
    text = WRITERS[form](said)
    for end in range(len(text)):
        found = said_back(text[:end])
        assert found == said[: len(found)], text[:end]


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<think>\nPerhaps\n", "\nNo.\n</think>\nI look first."),
        ("Perhaps\n", "\nNo.\n</think>\nI look first."),
        ("<think>\n", "\nor"),
        ("[THINK]", "\n[/THINK]I look first."),
        ("<|channel|>analysis<|message|>Perhaps ", "<|end|>I look first."),
    ],
)
def test_a_call_that_was_drafted_in_a_thought_is_none(form: str, before: str, after: str) -> None:
    draft = WRITERS[form]([("land", {"message": "Do it"})])
    assert said_back(before + draft + after) == []
    real = WRITERS[form]([("list_dir", {"path": "a"})])
    if "</think>" in after or "<|end|>" in after:
        assert said_back(before + draft + after.removesuffix("I look first.") + real) == [("list_dir", {"path": "a"})]


@pytest.mark.parametrize("form", WRITERS)
def test_no_call_is_made_of_another_tool_or_of_no_object(form: str) -> None:
    assert said_back(WRITERS[form]([("fly", {"to": "Rome"})])) == []


@pytest.mark.parametrize(
    "text",
    [
        "<function=land>message: Do it</function>",
        '<function=land>{"message": "Do it"</function>',
        "<function=shell><parameter=command>ls</parameter>",
        "<function=shell><parameter=command>ls</function>",
        '<invoke name="shell"><parameter name="command">ls</parameter></invoke> was run, and all is well.',
        "<tool_call>shell\n<arg_key>command</arg_key></tool_call>",
        '[TOOL_CALLS]shell[ARGS]["ls"]',
        "shell('ls')",
        'shell(command="ls"',
        'I would run shell(command="ls") now.',
    ],
)
def test_what_is_no_whole_call_is_left_alone(text: str) -> None:
    assert said_back(text) == []


def test_words_between_calls_do_not_join_them() -> None:
    one = "<function=shell>\n<parameter=command>\nls\n</parameter>\n</function>"
    assert said_back(f"First.\n{one}\nThen again.\n{one}") == [("shell", {"command": "ls"})] * 2


def test_an_argument_that_a_tool_does_not_have_is_handed_on() -> None:
    text = "<function=shell><parameter=command>ls</parameter><parameter=cwd>a</parameter></function>"
    assert said_back(text) == [("shell", {"command": "ls", "cwd": "a"})]


def test_the_table_is_used_whole() -> None:
    """Each row of the table is read by a writer, so that a row that never fits is seen."""
    text = "\n".join(write([("shell", {"command": "ls"})]) for write in WRITERS.values())
    for form in FORMS:
        assert re.search(form.opening, text), form.source


@given(
    st.lists(st.sampled_from([*MARKS, *PIECES, "shell", "to=functions.shell", "\uff5c", "<|DSML|invoke"]), max_size=60)
)
def test_no_text_breaks_it(pieces: list[str]) -> None:
    assert isinstance(said_back("".join(pieces)), list)


@pytest.mark.parametrize(
    "mark", [*MARKS, "[", "(", "{", '["', "shell(", "shell(a=", "'", "<|python_tag|>[", "[TOOL_CALLS][[", "functools["]
)
def test_no_text_makes_it_slow(mark: str) -> None:
    """Bounded by seconds, and not by a ratio of two times: a machine that is at work for others is slower."""
    for text in (mark * (MOST_CHARS // len(mark)), ("<function=shell>" + mark) * (MOST_CHARS // (len(mark) + 16))):
        began = time.thread_time()
        text_calls(text, TOOLS)
        assert time.thread_time() - began < 0.5


def test_there_are_at_most_so_many() -> None:
    assert len(said_back(WRITERS["Kimi"]([("shell", {"command": "ls"})] * 50))) == MOST_CALLS
