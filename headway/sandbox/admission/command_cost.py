"""Heavy commands: builds and tests, of which a machine carries only a few at once."""

import re
import shlex

from headway.system.cache import BoundedCache

LONG_CPU_S = 10.0
"""Processor time of one run after which a command is taken for heavy the next time."""

_REMEMBERED = 1000

_ALWAYS = frozenset(
    {
        *("make", "gmake", "ninja", "cmake", "ctest", "meson", "bazel", "bazelisk", "buck2", "scons"),
        *("gcc", "g++", "cc", "c++", "clang", "clang++", "rustc", "javac", "ghc", "swiftc"),
        *("gradle", "gradlew", "mvn", "mvnw", "sbt", "ant"),
        *("pytest", "py.test", "tox", "nox", "mypy", "jest", "vitest", "playwright"),
        *("webpack", "vite", "rollup", "tsc", "turbo", "nx"),
    }
)
"""Programs that build or test whenever they run."""

_WITH = {
    "cargo": {"build", "b", "test", "t", "check", "c", "clippy", "run", "r", "bench", "doc", "install", "nextest"},
    "go": {"build", "test", "vet", "install", "run", "generate"},
    "npm": {"ci", "install", "i", "test", "t", "run", "exec"},
    "pnpm": {"install", "i", "test", "run", "build"},
    "yarn": {"", "install", "test", "run", "build"},
    "bun": {"install", "test", "run", "build"},
    "pip": {"install", "wheel"},
    "pip3": {"install", "wheel"},
    "uv": {"sync", "pip", "run"},
    "poetry": {"install", "run"},
    "docker": {"build", "compose"},
    "dotnet": {"build", "test", "publish", "run"},
    "swift": {"build", "test", "run"},
    "zig": {"build", "test"},
    "bundle": {"install", "exec"},
    "mix": {"test", "compile"},
}
"""Programs that do so with some of their first words."""

_MODULES = {"pytest", "unittest", "build", "tox", "nox", "mypy", "pip", "compileall"}
_WRAPPERS = {
    "time",
    "nice",
    "env",
    "timeout",
    "sudo",
    "exec",
    "command",
    "nohup",
    "stdbuf",
    "xvfb-run",
    "npx",
    "poetry",
}
_PYTHON = re.compile(r"python[0-9.]*$")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BETWEEN = re.compile(r"&&|\|\||[;|&\n(){}]")


def is_heavy(line: str) -> bool:
    """True if a command line builds or tests, as far as its words tell. Quick, and only a guess: a wrong one waits."""
    return any(_is_heavy(words) for words in map(_words, _BETWEEN.split(line)) if words)


def _is_heavy(words: list[str]) -> bool:
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _WRAPPERS or words[0][0] in "-0123456789"):
        words = words[1:]
    if not words:
        return False
    name, rest = words[0].rpartition("/")[2], words[1:]
    if name in _ALWAYS:
        return "--version" not in rest
    if _PYTHON.match(name):
        return len(rest) > 1 and rest[0] == "-m" and rest[1].partition(".")[0] in _MODULES
    first = next((word for word in rest if not word.startswith(("-", "+"))), "")
    return first in _WITH.get(name, ())


def _words(part: str) -> list[str]:
    try:
        return shlex.split(part, comments=True)
    except ValueError:  # half of a quotation, because we cut without regard to quotes
        return part.split()


class LongRunners:
    """Processor time of earlier commands, by their first words. Of this process, and forgotten with it."""

    def __init__(self) -> None:
        self._used: BoundedCache[str, float] = BoundedCache(_REMEMBERED)

    def note(self, line: str, cpu_s: float | None) -> None:
        """A command is over, and used so much."""
        if cpu_s is None:
            return
        self._used.put(_key(line), cpu_s)

    def knows(self, line: str) -> bool:
        """True if the last command of its kind was heavy."""
        return (self._used.get(_key(line)) or 0.0) > LONG_CPU_S


def _key(line: str) -> str:
    return " ".join(line.split()[:3])
