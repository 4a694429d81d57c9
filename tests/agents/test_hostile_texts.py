"""Whatever an agent or a repository writes, one call of a tool uses little processor time of the process of all agents.

Each piece meets the text that is worst for it. Memory is looked at in `test_reading_bounds`, expressions in
`tests.test_patterns`.
"""

import json
import time
from collections.abc import Callable

import pytest

from headway.agents.planner.concerns import points_of
from headway.agents.planner.path_index import PathIndex
from headway.domain.errors import ToolError
from headway.editing.edit_process import EDITED_HERE, PARSED_HERE, EditProcess, Replacement
from headway.editing.hunks import Hunk
from headway.editing.matching import Budget, LineIndex, occurrences
from headway.editing.patch import PATCH_CHARS, parse_patch
from headway.editing.syntax import MAX_CHARS
from headway.system.bounded import unheld
from tests.support.held import assert_held_briefly

TOTAL_MS = 250.0
"""Processor time of a call in this process. Beside it, others wait a turn at a time."""

MB = 1 << 20
APART = EditProcess(unheld, seconds=0.5)
"""What takes longer in a process of its own is given up: here it counts what this process does for it."""


def edit(text: str, old: str, new: str = "x", *, replace_all: bool = False) -> Callable[[], object]:
    """An edit of a file, as small as is handled here, or larger."""
    return lambda: APART.change(text.encode(), Replacement(old, new, replace_all), 1)


def patch(text: str, *hunks: Hunk) -> Callable[[], object]:
    return lambda: APART.change(text.encode(), hunks, 5)


def hunk(*lines: str, scope: str = "") -> Hunk:
    return Hunk((scope,) if scope else (), tuple((line[0], line[1:]) for line in lines), False, 1)  # type: ignore[misc]


def parsed(path: str, text: str) -> Callable[[], object]:
    return lambda: APART.first_error(path, text)


SMALL = EDITED_HERE
EDITS = {
    "lines that are all alike": edit("a\n" * (SMALL // 4), "a\n" * (SMALL // 4 - 2) + "b\n"),
    "lines alike but for their ends": edit("a \n" * (SMALL // 6), "a\n" * (SMALL // 6) + "b\n"),
    "lines alike but for their indentation": edit(" a\n  a\n" * (SMALL // 14), "a\n" * (SMALL // 6) + "  a\n b"),
    "nothing alike": edit("".join(f"{n}\n" for n in range(SMALL // 7)), "zzz"),
    "lines of the same letters": edit("ab\n" * (SMALL // 6), "ba" * (SMALL // 4)),
    "votes for every line": edit("a\n" * (SMALL // 4) + "c\n", "a\n" * (SMALL // 4) + "b\n"),
    "every letter": edit("a" * (SMALL - 2), "a", "b", replace_all=True),
    "every letter by much": edit("a" * (SMALL // 2), "a", "b" * (SMALL // 3), replace_all=True),
    "indentation that grows": edit(" " * (SMALL // 3) + "a\n", "a\n", "a\n" * (SMALL // 9) + "b\n"),
    "many indentations": edit(
        "\n".join(" " * n + "x" for n in range(150)),
        "\n".join(" " * (n + 1) + "x" for n in range(150)),
        "\n".join(" " * (n % 150) + "y" for n in range(150)),
    ),
    "8 MB of short lines": edit("ab\n" * (8 * MB // 3), "zz\nyy"),
    "8 MB of letters": edit("a" * (8 * MB), "a" * MB + "b" + "a" * MB),
}
PATCHES = {
    "a scope and many places": patch("s\n" + "a\n" * (SMALL // 4), *[hunk("-a", scope="s")] * (SMALL // 10)),
    "beginnings of a scope": patch("ss\n" + "a\n" * (SMALL // 4), *[hunk("-a", scope="s")] * (SMALL // 10)),
    "lines that are all alike": patch("a\n" * (SMALL // 4), *[hunk(*[" a"] * 10, "+y")] * (SMALL // 50)),
    "one long change": patch("a\n" * (SMALL // 4), hunk(*[" a"] * (SMALL // 5), " b")),
    "many changes": patch("a\nb\n" * 20_000, *[hunk("+x", " a", scope="a")] * 20_000),
    "line ends after a new file": lambda: parse_patch(
        "*** Begin Patch\n*** Add File: a\n+x\n" + "\n" * (PATCH_CHARS - 100) + "*** End Patch"
    ),
    "many files": lambda: parse_patch(
        "*** Begin Patch\n" + "*** Add File: a\n" * (PATCH_CHARS // 17) + "*** End Patch"
    ),
    "many small changes": lambda: parse_patch(
        "*** Begin Patch\n*** Update File: a\n" + "@@\n-a\n" * (PATCH_CHARS // 6 - 20) + "*** End Patch"
    ),
}


def most(kind: str, piece: str, end: str = "") -> list[Callable[[], object]]:
    """The longest such texts that are parsed here, and that are parsed at all."""
    sizes = (PARSED_HERE[kind], MAX_CHARS)
    return [parsed(f"a.{kind}", piece * ((size - len(end)) // len(piece)) + end) for size in sizes]


PARSES = {
    "py: statements": most("py", "a;"),
    "py: decorators": most("py", "@a\n"),
    "py: strings with values": most("py", "f'{a}'"),
    "py: brackets": most("py", "(" * 199 + ")" * 199 + "\n"),
    "json: lists": most("json", "[],"),
    "toml: a key of many parts": most("toml", "a.", "a=1"),
    "toml: tables": most("toml", "[a]\n"),
}
WORDS = {
    "concerns": lambda: points_of("a\n" * 10_000),
    "one concern of many lines": lambda: points_of("- a\n" + "b\n" * 10_000),
}
CALLS = {
    **{f"edit, {name}": call for name, call in EDITS.items()},
    **{f"patch, {name}": call for name, call in PATCHES.items()},
    **{f"parse, {name}, {n}": call for name, calls in PARSES.items() for n, call in enumerate(calls)},
    **{f"words, {name}": call for name, call in WORDS.items()},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_text_keeps_the_other_agents_waiting(call: Callable[[], object]) -> None:
    assert_held_briefly(call, TOTAL_MS, ToolError)


def test_a_large_file_is_edited_as_a_small_one() -> None:
    text = "".join(f"line {n}\r\n" for n in range(20_000)).encode() + b"caf\xe9\r\n"
    apart = EditProcess(unheld)
    made = apart.change(text, Replacement("line 15000\n", "new\n"), 1)
    assert made.raw == text.replace(b"line 15000\r\n", b"new\r\n")
    assert "15001\tnew" in made.shown
    assert made.how == "exact"
    patched = apart.change(text, (hunk(" line 3", "-line 4", "+other"), hunk("-line 9", "+äöü")), 5)
    assert patched.raw == text.replace(b"line 4\r\n", b"other\r\n").replace(b"line 9\r\n", "äöü\r\n".encode())
    with pytest.raises(ToolError, match=r"is found 20000 times, at lines 1, 2"):
        apart.change(text, Replacement("line", "x"), 1)


@pytest.mark.parametrize("kind", ["py", "json", "toml"])
def test_a_large_file_is_parsed_as_a_small_one(kind: str) -> None:
    fits = {"py": "a = 1\n", "json": "", "toml": "# a\n"}[kind] * 10_000 + {"py": "", "json": "[]", "toml": ""}[kind]
    apart = EditProcess(unheld)
    assert apart.first_error(f"a.{kind}", fits) == ""
    broken = apart.first_error(f"a.{kind}", "#\n" * 50_000 + "a = (\n")
    assert "line 1 column 1" in broken if kind == "json" else "50001" in broken


def test_an_edit_that_takes_too_long_is_told() -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"took over 0\.01 s: change less"):
        EditProcess(unheld, seconds=0.01).change(b"a\n" * MB, Replacement("zz\nyy", "x"), 1)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("lines", [["a"] * 50, ["a", "b"] * 20, ["a", "a", "b"] * 10, list("abcabcabd")])
@pytest.mark.parametrize("wanted", [["a"], ["a", "a"], ["a", "b", "a"], ["b", "a", "a", "b"], list("abcabd"), ["x"]])
def test_lines_are_found_wherever_they_stand(lines: list[str], wanted: list[str]) -> None:
    places = [at for at in range(len(lines)) if lines[at : at + len(wanted)] == wanted]
    assert list(occurrences(lines, wanted)) == places
    assert sorted(LineIndex(lines, Budget(10_000)).places(wanted)) == places


def test_paths_of_many_tasks_are_compared_in_time() -> None:
    index = PathIndex()
    began = time.thread_time()
    for number in range(500):
        index.add(number, [f"src/{number}/{each}" for each in range(100)])
    found = [index.on([f"src/{number}/{each}/deeper" for each in range(100)]) for number in range(100)]
    assert found == [[number] for number in range(100)]
    assert index.on(["src"]) == list(range(500))
    assert index.on(["x", json.dumps("a/" * MB)]) == []
    assert time.thread_time() - began < 5
