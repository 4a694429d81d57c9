"""Calls and values in Python's notation, as Llama 3.2 and 4, OLMo, LFM2 and Gemma write them. Nothing is evaluated.

A model chooses the text: it is read once, from left to right, to a bounded depth.
"""

import re
from typing import Any

MAX_DEPTH = 50
"""Levels of lists and dictionaries within each other."""

_SPACE = re.compile(r"\s*+")
_NAME = re.compile(r"[A-Za-z_][\w.\-]{0,199}+")
_NUMBER = re.compile(r"[+-]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+(?!\w)")
_STRINGS = (
    re.compile(r"(?P<prefix>[rRuU]?+)'''(?P<body>(?:[^'\\]|\\.|'(?!''))*+)'''", re.DOTALL),
    re.compile(r'(?P<prefix>[rRuU]?+)"""(?P<body>(?:[^"\\]|\\.|"(?!""))*+)"""', re.DOTALL),
    re.compile(r"(?P<prefix>[rRuU]?+)'(?P<body>(?:[^'\\]|\\.)*+)'", re.DOTALL),
    re.compile(r'(?P<prefix>[rRuU]?+)"(?P<body>(?:[^"\\]|\\.)*+)"', re.DOTALL),
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_ONE_CHARACTER = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\n": ""}
_ITSELF = "\\'\""
_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_LAST_CHARACTER = 0x10FFFF
_MOST_DIGITS = 18
"""Digits of a whole number that every JSON library can hold."""


class NotPython(Exception):
    """A text is no value or call in Python's notation."""


class PythonReader:
    """Reads values and calls of one text; `at` is the place that was reached."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self.at = at

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and arguments of calls behind each other, or of a list of calls; at least one.

        Raises:
            NotPython: There are none, or the last one has no end.
        """
        is_list = self._takes("[")
        calls = [self._call()]
        while True:
            before = self.at
            if self._takes(",") or self._takes(";"):
                if is_list and self._takes("]"):
                    return calls
            elif is_list:
                self._demand("]")
                return calls
            try:
                calls.append(self._call())
            except NotPython:
                if is_list:
                    raise
                self.at = before
                return calls

    def value(self, depth: int = 0) -> Any:
        """One value.

        Raises:
            NotPython: There is none, or it has no end, or it is nested too deep.
        """
        if depth > MAX_DEPTH:
            raise NotPython
        self._skip_space()
        for opening, closing in ("[]", "()"):
            if self._takes(opening):
                return self._list(closing, depth)
        if self._takes("{"):
            return self._dict(depth)
        if (text := self._string()) is not None:
            return text
        if found := _NUMBER.match(self._text, self.at):
            self.at = found.end()
            return _number(found[0])
        if (found := _NAME.match(self._text, self.at)) and found[0] in _WORDS:
            self.at = found.end()
            return _WORDS[found[0]]
        raise NotPython

    def _call(self) -> tuple[str, dict[str, Any]]:
        self._skip_space()
        name = _NAME.match(self._text, self.at)
        if name is None:
            raise NotPython
        self.at = name.end()
        self._demand("(")
        arguments: dict[str, Any] = {}
        while not self._takes(")"):
            if arguments:
                self._demand(",")
                if self._takes(")"):
                    break
            self._skip_space()
            key = _NAME.match(self._text, self.at)
            if key is None or key[0] in arguments:
                raise NotPython
            self.at = key.end()
            self._demand("=")
            arguments[key[0]] = self.value()
        return name[0], arguments

    def _list(self, closing: str, depth: int) -> list[Any]:
        values: list[Any] = []
        while not self._takes(closing):
            if values:
                self._demand(",")
                if self._takes(closing):
                    break
            values.append(self.value(depth + 1))
        return values

    def _dict(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not self._takes("}"):
            if values:
                self._demand(",")
                if self._takes("}"):
                    break
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise NotPython
            self._demand(":")
            values[key] = self.value(depth + 1)
        return values

    def _string(self) -> str | None:
        for form in _STRINGS:
            if found := form.match(self._text, self.at):
                self.at = found.end()
                return found["body"] if found["prefix"] in {"r", "R"} else _ESCAPE.sub(_character, found["body"])
        return None

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def _takes(self, mark: str) -> bool:
        self._skip_space()
        if not self._text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def _demand(self, mark: str) -> None:
        if not self._takes(mark):
            raise NotPython


def _character(escape: "re.Match[str]") -> str:
    code = escape[1]
    if code in _ONE_CHARACTER:
        return _ONE_CHARACTER[code]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= _LAST_CHARACTER else escape[0]
    if code[0] in "01234567":
        return chr(int(code, 8))
    # Python keeps a backslash before any other character.
    return code if code in _ITSELF else escape[0]


def _number(text: str) -> int | float:
    try:
        return int(text) if len(text) <= _MOST_DIGITS else float(text)
    except ValueError:
        return float(text)
