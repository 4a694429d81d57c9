"""Every regular expression of the engine, and the texts that make it slow.

The expressions are found and not listed: all that importing the engine compiles, and all that stands as a literal in a
call of `re`. The texts are made from the expression itself: pieces of what it matches, repeated.
"""

import ast
import importlib
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("headway", "activities", "workflows", "worker.py")
LEFT_OUT = ("headway/cli/demo_run/sample/",)
"""A user's repository, which no process of ours runs."""

CALLS = frozenset({"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"})

USED_AS = {
    "headway.models.text_calls.call_forms._DEEPSEEK": "name_and_gap",
    "headway.models.text_calls.call_forms._KIMI": "name_and_gap",
    "headway.models.text_calls.call_forms._MISTRAL": "name_and_gap",
    "headway.models.text_calls.python_values._STRINGS": "form",
    **{
        f"headway.models.text_calls.call_forms.{tags}[{number}]": f"self.{field}"
        for tags in ("_GLM", "_QWEN", *(f"_INVOKED[{each}]" for each in range(4)))
        for number, field in ((0, "opening"), (1, "key"), (4, "ends"))
    },
}
"""Expressions that are handed on before they are used, by the beginning of their names: what they are called then."""

MB = 1 << 20
MIDDLING = 8 << 10
_sources: list[str] = []


def files() -> Iterator[Path]:
    """The source files of the engine."""
    for room in ROOMS:
        place = ROOT / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(LEFT_OUT):
                yield path


def compiled() -> dict[str, "re.Pattern[Any]"]:
    """Every expression of the engine by its place, with the flags that it is used with."""
    found: dict[str, re.Pattern[Any]] = {}
    for path in files():
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for place, pattern in _held(vars(importlib.import_module(name)), 4):
            found.setdefault(f"{name}.{place}", pattern)
        for node in _calls(path):
            way, first = getattr(node.func, "attr", ""), node.args[0]
            if isinstance(first, ast.Constant) and way != "compile":
                found[f"{name}:{node.lineno}:{way}"] = re.compile(first.value)
    unique = {(pattern.pattern, pattern.flags): name for name, pattern in reversed(found.items())}
    return {name: found[name] for name in sorted(unique.values())}


def _held(value: Any, depth: int) -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    """Patterns in a value, and in what it holds."""
    if isinstance(value, re.Pattern):
        yield "", value
    elif depth and isinstance(value, dict):
        for key, inner in list(value.items()):
            for place, pattern in _held(inner, depth - 1):
                yield f"{key}{place}", pattern
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for number, inner in enumerate(value):
            for place, pattern in _held(inner, depth - 1):
                yield f"[{number}]{place}", pattern


def unknown() -> list[str]:
    """Places where an expression is made while the engine runs, which no test can know."""
    found = []
    for path in files():
        for node in _calls(path):
            name = f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
            if not isinstance(node.args[0], ast.Constant | ast.Name) and node.col_offset and not _at_top(path, node):
                found.append(name)
    return found


def _at_top(path: Path, call: ast.Call) -> bool:
    """Whether a call stands outside of functions, or in one that only modules call as they are imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return not any(node.lineno <= call.lineno <= (node.end_lineno or 0) for node in inside)


def _calls(path: Path) -> Iterator[ast.Call]:
    text = path.read_text(encoding="utf-8")
    if not any(f"re.{name}(" in text for name in CALLS):
        return  # most files; to parse them takes seconds
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            where = node.func.value
            if isinstance(where, ast.Name) and where.id == "re" and node.func.attr in CALLS:
                yield node


Recipe = tuple[str, str, str]
"""A beginning, what is repeated after it, and an end."""


def recipes(pattern: "re.Pattern[Any]") -> list[Recipe]:
    """Texts that are likely to make the expression slow: each beginning of what it matches, repeated or drawn out."""
    found: dict[Recipe, None] = {}
    for sample, fillers in _samples(pattern):
        ends = range(1, min(len(sample), 60) + 1)
        found |= dict.fromkeys(("", sample[:end], "") for end in ends)
        for end in ends[:: max(1, len(ends) // 6)][-8:]:
            for filler in fillers:
                found |= dict.fromkeys([(sample[:end], filler, "\0"), ("", sample[:end] + filler, "")])
    return list(found)


def written(recipe: Recipe, size: int, pattern: "re.Pattern[Any]") -> Any:
    """A text of about this size by a recipe, as the expression takes it."""
    start, filler, end = recipe
    text = start + filler * (size // len(filler)) + end
    return text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text


def _samples(pattern: "re.Pattern[Any]") -> Iterator[tuple[str, list[str]]]:
    """Texts that the expression matches or nearly matches, each with what it can repeat in them."""
    tree = _parser.parse(
        pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    )
    for choice in range(5):
        fillers: list[str] = []
        yield _text_of(tree, choice, fillers), list(dict.fromkeys(filter(None, fillers)))[:10]


def _text_of(tree: Any, choice: int, fillers: list[str]) -> str:
    return "".join(_piece(kind, value, choice, fillers) for kind, value in tree)


def _piece(kind: Any, value: Any, choice: int, fillers: list[str]) -> str:
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.NOT_LITERAL:
        return "\0" if value else "a"
    if kind is op.ANY:
        return "a"
    if kind is op.IN:
        return _member(value, choice)
    if kind is op.BRANCH:
        branches = value[1]
        return _text_of(branches[choice % len(branches)], choice, fillers)
    if kind is op.SUBPATTERN:
        return _text_of(value[3], choice, fillers)
    if kind is op.ATOMIC_GROUP:
        return _text_of(value, choice, fillers)
    if kind in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
        least, most, inner = value
        one = _text_of(inner, choice, fillers)
        if most > 1:
            fillers += [_text_of(inner, each, []) for each in range(9)]
        return str(one * min(max(least, 1 if most else 0), 300))
    if kind is op.GROUPREF_EXISTS:
        return _text_of(value[1], choice, fillers)
    if kind in {op.ASSERT, op.ASSERT_NOT}:
        _text_of(value[1], choice, fillers)
        return ""
    return ""


def _member(value: Any, choice: int) -> str:
    """One character of a set; another one for each choice."""
    negated = value and value[0][0] is op.NEGATE
    members: list[str] = []
    for kind, inner in value[1:] if negated else value:
        if kind is op.LITERAL:
            members.append(chr(inner))
        elif kind is op.RANGE:
            members += [chr(inner[0]), chr(inner[1])]
        elif kind is op.CATEGORY:
            members += {op.CATEGORY_DIGIT: ["1"], op.CATEGORY_SPACE: [" ", "\n"], op.CATEGORY_WORD: ["a", "1"]}.get(
                inner, ["-"]
            )
    if not negated:
        return members[choice % len(members)] if members else "a"
    left = [char for char in "a1 -=.:\n" if char not in members]
    return left[choice % len(left)] if left else "a"


class TooSlow(Exception):
    """An expression used up its processor time."""


def ways_of(name: str, pattern: "re.Pattern[Any]") -> list[str]:
    """How the engine uses an expression; as `sub` where that cannot be told by its name."""
    if ":" in name:
        return [name.rpartition(":")[2]]
    attribute = next((used for start, used in USED_AS.items() if name.startswith(start)), name.rpartition(".")[2])
    return [way for way in CALLS if way != "compile" and f"{attribute}.{way}(" in _all_sources()] or ["sub", "finditer"]


def _all_sources() -> str:
    if not _sources:
        _sources.append("\n".join(path.read_text(encoding="utf-8") for path in files()))
    return _sources[0]


def seconds(pattern: "re.Pattern[Any]", way: str, text: Any, most: float, tries: int = 3) -> float:
    """Processor time of one use of the expression on a text, the least of some tries.

    Raises:
        TooSlow: It took over `most`.
    """
    took = []
    for _ in range(tries):
        began = time.thread_time()
        with _at_most(most):
            if way in {"sub", "subn"}:
                getattr(pattern, way)(text[:0], text)
            elif way == "finditer":
                deque(pattern.finditer(text), maxlen=0)
            else:
                getattr(pattern, way)(text)
        took.append(time.thread_time() - began)
    return min(took)


@contextmanager
def _at_most(most: float) -> Iterator[None]:
    # `re` looks for signals while it matches. By processor time: a busy machine is no slow expression.
    def ring(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def too_slow(name: str, pattern: "re.Pattern[Any]", bar_s: float, most: int = MB) -> str:
    """What makes an expression take more than `bar_s` for `most` characters; empty where nothing was found.

    Texts of 8,000 characters tell what is not linear. Only what is near the bar by these is tried at full length.
    """
    for way in ways_of(name, pattern):
        known = bar_s / 2
        for recipe in recipes(pattern):
            took = 0.0
            try:
                likely = seconds(pattern, way, written(recipe, MIDDLING, pattern), most=0.2, tries=1) * most / MIDDLING
                if likely > known:
                    took, known = (
                        seconds(pattern, way, written(recipe, most, pattern), most=1.0),
                        max(known, 1.2 * likely),
                    )
            except TooSlow:
                took = float("inf")
            if took > bar_s:
                return f"{name}: {took * 1000:.0f} ms by {way} for {recipe}: {pattern.pattern!r:.200}"
    return ""


if __name__ == "__main__":
    for each, expression in compiled().items():
        if (len(sys.argv) < 2 or sys.argv[1] in each) and (said := too_slow(each, expression, 0.05)):
            print(said, flush=True)
    print(*unknown(), sep="\n")
