"""From a file's name to what reads it, and to the world of packages whose names it holds."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from headway.agent.manifests import javascript, others, python
from headway.agent.manifests.names import Unreadable, normal

Reader = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of manifest.

    Attributes:
        world: Whose packages it names: a name that was there before in another file of this world is not new.
    """

    world: str
    read: Reader


_KINDS: tuple[tuple[str, str, Reader], ...] = (
    (r"pyproject\.toml", "python", python.project),
    (r"(poetry|uv|pdm|pylock[\w.-]*)\.(lock|toml)", "python", python.lock),
    (r"[\w.-]*(requirements|constraints)[\w.-]*\.(txt|in)", "python", python.requirements),
    (r"setup\.cfg", "python", python.setup_cfg),
    (r"setup\.py", "python", python.setup_py),
    (r"Pipfile(\.lock)?", "python", python.pipfile),
    (r"(environment|conda)[\w.-]*\.ya?ml", "python", python.conda),
    (r"package\.json", "npm", javascript.package),
    (r"(package-lock|npm-shrinkwrap)\.json", "npm", javascript.package_lock),
    (r"yarn\.lock|pnpm-lock\.yaml|bun\.lock", "npm", javascript.other_lock),
    (r"deno\.jsonc?|import_map\.json|deno\.lock", "npm", javascript.other_lock),
    (r"Cargo\.toml", "rust", others.cargo),
    (r"Cargo\.lock", "rust", others.cargo_lock),
    (r"go\.(mod|work)", "go", others.go_mod),
    (r"go\.(work\.)?sum", "go", others.go_sum),
    (r"Gemfile|gems\.rb|[\w.-]+\.gemspec", "ruby", others.gemfile),
    (r"Gemfile\.lock|gems\.locked", "ruby", others.gemfile_lock),
    (r"[\w.-]*pom\.xml", "java", others.pom),
    (r"[\w.-]+\.gradle(\.kts)?|[\w.-]+\.versions\.toml|gradle\.lockfile", "java", others.gradle),
    (r"composer\.(json|lock)", "php", others.composer),
    (r"[\w.-]+\.(cs|fs|vb)proj|[\w.-]+\.(props|targets)|packages\.config", "dotnet", others.dotnet),
    (r"packages\.lock\.json", "dotnet", others.dotnet_lock),
    (r"pubspec\.(yaml|lock)", "dart", others.pubspec),
    (r"mix\.(exs|lock)", "elixir", others.mix),
    (r"Package\.(swift|resolved)", "swift", others.swift),
)
_BY_NAME = tuple((re.compile(pattern, re.IGNORECASE), Kind(world, read)) for pattern, world, read in _KINDS)


def kind_of(path: str) -> Kind | None:
    """What a file is, if it is a manifest."""
    pure = PurePosixPath(path)
    found = next((kind for pattern, kind in _BY_NAME if pattern.fullmatch(pure.name)), None)
    if found is None and pure.parent.name == "requirements" and pure.suffix in {".txt", ".in"}:
        return Kind("python", python.requirements)
    return found


def names_in(path: str, text: str) -> frozenset[str]:
    """The dependencies that a manifest names, each in its normal form; of one that cannot be read, every word."""
    kind = kind_of(path)
    if kind is None:
        return frozenset()
    try:
        return frozenset(normal(name) for name in kind.read(text.removeprefix("\ufeff")) if name)
    except (Unreadable, ValueError, RecursionError):
        return frozenset(normal(word) for word in re.findall(r"[@\w][\w./@:-]*", text))
