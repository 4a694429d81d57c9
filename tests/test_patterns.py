"""No text makes an expression of the engine slow: an agent, a repository or a server chooses what they are used on.

The expressions are found by themselves (see `tests.support.patterns`), so that a new one is tried too.
"""

import re

import pytest

from tests.support.patterns import MB, compiled, too_slow, unknown

BAR_S = 0.05
"""Seconds of processor time for a megabyte."""

FOUND = compiled()

KB = 1 << 10
SHORTER: dict[str, tuple[int, str]] = {
    "headway.domain.instructions._": (50_000, "instructions are cut before, by SEARCHED_CHARS"),
    "headway.models.text_calls.call_forms.": (100_000, "a reply; over MOST_CHARS of spoken.py none is read"),
    "headway.models.text_calls.text_tool_calls.": (100_000, "a reply; over MOST_CHARS none is read"),
    "headway.models.text_calls.python_values.": (100_000, "a reply; over MOST_CHARS of spoken.py none is read"),
    "headway.agents.worker.unfinished_lines._UNFINISHED": (4 * KB, "lines are cut before"),
    "headway.cli.run_input:": (4 * KB, "the name of a folder of the user"),
    "headway.git.changes:": (16 * KB, "a path, which the kernel bounds, with each byte as an escape"),
    "headway.sandbox.process.mounts:": (16 * KB, "a path in mountinfo, with each byte as an escape"),
    "headway.git.landing.commit_text._NOT_IN_A_NAME": (10 * KB, "an author's name, from the run's input"),
    "headway.git.landing.submission._CONTROL": (64 * KB, "a message; over 10,000 characters are refused"),
    "headway.git.workspace.setup_cache._INPUTS": (4 * KB, "a path"),
    **dict.fromkeys(
        (f"headway.models.chat.{name}" for name in ("DEVELOPER", "SEVERAL", "SHAPES", "SYSTEM")),
        (10_000, "of reshaping.py: an error's words, cut by MAX_WORDS_READ"),
    ),
    "headway.models.unsupported_params.": (10_000, "an error's words, cut by MAX_WORDS_READ of failures.py"),
    "headway.models.failures.": (10_000, "an error's words, cut by MAX_WORDS_READ"),
    "headway.models.refusals.": (10_000, "an error's words, cut by MAX_WORDS_READ"),
    "headway.models.lenient_json._HALVES": (170 * KB, "each is spelt in six bytes, of MAX_LOOSE_BYTES of a reply"),
    "headway.models.naming.": (200, "a name, cut by MAX_NAME"),
    "headway.models.retry_after._IN_WORDS": (10_000, "an error's words, cut by MAX_WORDS_READ"),
    "headway.models.retry_after:": (64, "a part of these, which _IN_WORDS bounds"),
    "headway.models.retry_after.": (
        100 * KB,
        "a header, which the HTTP client bounds, and MAX_VALUE cuts to 64 characters",
    ),
    "headway.sandbox.cgroup.group:": (KB, "an agent's id"),
    "headway.sandbox.process.output._TERMINAL_CODES": (256 * KB, "the part of an output that is kept"),
}
"""Expressions that never meet a megabyte: the most that they meet, and what cuts it."""

MADE_WHILE_RUNNING = {
    "headway/models/text_calls/call_forms.py": "called at the import: its patterns are found in _GLM, _QWEN, _INVOKED",
    "headway/models/unsupported_params.py": "a name of ours, escaped, on the words of an error, which are cut",
    "headway/eventlog/redaction.py": "called as the module is imported: what it makes is found in _SHAPES",
    "headway/models/refusals.py": "called as the module is imported: what it makes is found in RULES",
    "headway/models/reshaping.py": "called as the module is imported: what it makes is found in SHAPES",
    "headway/host/connection.py": "the name of this machine, escaped, on an identity that Temporal bounds",
}
"""Files that make an expression in a function, each with the reason."""


@pytest.mark.parametrize("name", FOUND)
def test_no_text_makes_it_slow(name: str) -> None:
    most = next((most for start, (most, _) in SHORTER.items() if name.startswith(start)), MB)
    assert not too_slow(name, FOUND[name], BAR_S, most)


def test_the_expressions_are_found() -> None:
    assert {"headway.eventlog.redaction._LOGIN", "headway.eventlog.redaction._SHAPES[1][1]"} <= FOUND.keys()
    assert any(name.endswith(":search") for name in FOUND), "one that stands in the call itself"
    assert len(FOUND) > 60


def test_no_expression_is_made_where_no_test_finds_it() -> None:
    assert {place.rpartition(":")[0] for place in unknown()} <= MADE_WHILE_RUNNING.keys()


@pytest.mark.parametrize(
    "pattern",
    [
        r"-----BEGIN KEY-----\n(?:(?:Proc-Type|DEK-Info):[^\n\\]*(?:\s|\\[nr]+)+)*[A-Za-z]{16}",
        r"sk-(?=[A-Za-z0-9_.~+/=-]*\d)[A-Za-z0-9_-]{20,}",
        r"(\d+(?:\.\d+)?)(ms|h|m|s)",
        r"<parameter=([\w.-]+)>\n?([\s\S]*?)\n?</parameter>",
        r"^[ \t]*```[ \t]*(?:json)?[ \t]*\n",
        r"(a+)+b",
        r"(a|a)*b",
        r"\s+$",
    ],
)
def test_a_slow_expression_is_caught(pattern: str) -> None:
    assert too_slow("planted", re.compile(pattern, re.MULTILINE), BAR_S)
