"""Refuses landings that add a forbidden dependency to a manifest or a lock file.

A model wrote these files. So none is parsed: added lines are searched for words, in a time linear in their length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from headway.domain.errors import ToolError
from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, entries, shown
from headway.git.hub import Hub

ADDED_BYTES = 8 << 20
"""Bytes of a manifest's difference that are looked through. A landing with more is refused."""

_PIECE = 1 << 16
_LONGEST_NAME = 300

BEFORE_BYTES = 4 << 20
FILES = 200
"""Manifests that one landing may change where dependencies are forbidden."""

MANIFESTS: dict[str, tuple[str, ...]] = {
    "python": (
        *("pyproject.toml", "poetry.lock", "uv.lock", "pdm.lock", "pylock*.toml", "setup.cfg", "setup.py", "pipfile"),
        *("pipfile.lock", "*requirements*.txt", "*requirements*.in", "*constraints*.txt", "*constraints*.in"),
        *(
            "environment*.yml",
            "environment*.yaml",
            "conda*.yml",
            "conda*.yaml",
            "requirements/*.txt",
            "requirements/*.in",
        ),
    ),
    "npm": (
        *("package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"),
        *("deno.json", "deno.jsonc", "import_map.json", "deno.lock", "pnpm-workspace.yaml"),
    ),
    "rust": ("cargo.toml", "cargo.lock"),
    "go": ("go.mod", "go.sum", "go.work", "go.work.sum"),
    "ruby": ("gemfile", "gemfile.lock", "gems.rb", "gems.locked", "*.gemspec"),
    "java": ("*pom.xml", "*.gradle", "*.gradle.kts", "*.versions.toml", "gradle.lockfile"),
    "php": ("composer.json", "composer.lock"),
    "dotnet": (*("*.csproj", "*.fsproj", "*.vbproj", "*.props", "*.targets", "packages.config", "packages.lock.json"),),
    "dart": ("pubspec.yaml", "pubspec.lock"),
    "elixir": ("mix.exs", "mix.lock"),
    "swift": ("package.swift", "package.resolved"),
}
"""Manifests and lock files by the world of packages that they name: patterns of the name, or of folder and name."""

_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789@_./:-")
_APART = {code: " " for code in range(256) if chr(code) not in _WORD}
_SAME = str.maketrans("_.", "--")


@dataclass(frozen=True)
class Breach:
    """A forbidden dependency that a change adds: by which of the policy's names, and where."""

    name: str
    rule: str
    path: str


def normal(name: str) -> str:
    """A name as it is compared: most worlds take case, dashes, dots and underscores for the same."""
    return "-".join(filter(None, name.strip().lower().translate(_SAME).split("-")))


def forbids(rule: str, name: str) -> bool:
    """True if a name of the policy means a dependency, both in any spelling.

    It means the dependency of that name, names below it (`@scope`, a vendor, a Go module's path), the artifact or the
    group of `group:artifact`, and with `*` all that fit.
    """
    wanted, found = normal(rule), normal(name)
    parts = {found, *found.split(":")} if ":" in found else {found}
    return any(fnmatchcase(part, wanted) for part in parts) or found.startswith(f"{wanted}/")


def world_of(path: str) -> str | None:
    """The world of packages that a file names dependencies of; None where it is no manifest."""
    folder, _, name = path.lower().rpartition("/")
    names = (name, f"{folder.rpartition('/')[2]}/{name}")
    for world, patterns in MANIFESTS.items():
        if any(fnmatchcase(names["/" in pattern], pattern) for pattern in patterns):
            return world
    return None


def breaches(hub: Hub, base: Oid, tree: Oid, rules: Sequence[str]) -> list[Breach]:
    """Forbidden dependencies that the landing tree `tree` adds to those of the commit `base`.

    A dependency that the base names in any manifest of the same world is allowed.

    Raises:
        ToolError: There is too much to look through.
    """
    changed = [
        (entry.path, world)
        for entry in (entries(hub.repo, base, tree) if rules else [])
        if entry.mode != NO_MODE and (world := world_of(entry.path)) is not None
    ]
    if len(changed) > FILES:
        raise ToolError(f"{len(changed)} manifests changed, which is too much to look through: land fewer at a time")
    found: list[Breach] = []
    for path, world in changed:
        for name, rule in sorted(_added(hub, base, tree, path, rules).items()):
            if not _was_there(hub, base, world, name):
                found.append(Breach(name, rule, shown(path)))
    return found


def _added(hub: Hub, base: Oid, tree: Oid, path: str, rules: Sequence[str]) -> dict[str, str]:
    """The forbidden names in the lines that a manifest gains, each with its rule."""
    form = ("diff-tree", "-r", "-p", "--text", "--unified=0", "--no-color", "--no-renames")
    plain = ("--no-ext-diff", "--no-textconv")
    said = hub.repo.read(*form, *plain, base, tree, "--", path, most=ADDED_BYTES)
    if said.cut or said.code:
        raise ToolError(f"{shown(path)} changes too much to look through for forbidden dependencies: land less of it")
    text = said.out.decode("utf-8", "replace").lower()
    return _matched(_lines_added(text), rules)


def _lines_added(text: str) -> Iterator[str]:
    """Pieces of the added lines. A line of megabytes comes in pieces, which overlap by more than a name is long."""
    at = text.find("\n@@ ") + 1
    while 0 < at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at] == "+":
            for start in range(at + 1, end, _PIECE):
                yield text[start : min(end, start + _PIECE + _LONGEST_NAME)]
        at = end + 1


def _matched(lines: Iterator[str], rules: Sequence[str]) -> dict[str, str]:
    stems = [(rule, stem) for rule in rules for stem in [_stem(rule)]]
    words: set[str] = set()
    for line in lines:
        if any(stem in line for _, stem in stems):
            words.update(_words(line))
    found: dict[str, str] = {}
    for word in words:
        rule = next((rule for rule in rules if forbids(rule, word)), None)
        if rule is not None:
            found[normal(word)] = rule
    for rule in rules:
        # In XML and the like, group and artifact stand apart.
        group, _, artifact = rule.lower().partition(":")
        if artifact and rule not in found.values() and {group, artifact} <= words:
            found[normal(rule)] = rule
    return found


def _stem(rule: str) -> str:
    """The longest stretch of a rule that each of its spellings holds."""
    plain = "".join(char if char.isalnum() else " " for char in rule.lower())
    return max(plain.split() or [""], key=len)


def _words(line: str) -> Iterator[str]:
    """The words of a line that may name a dependency, without the characters around a name."""
    for token in line.translate(_APART).split():
        word = token.strip(":./-_").rpartition("dependencies.")[2]
        name, at, _ = word[1:].partition("@")
        yield word[:1] + name if at else word
        if ":" in word:
            yield word.partition(":")[2].partition("@")[0] or word


def _was_there(hub: Hub, base: Oid, world: str, name: str) -> bool:
    """True if the base names a dependency in any manifest of its world."""
    spellings = {name, name.replace("-", "_"), name.replace("-", ".")}
    asked = [part for spelling in sorted(spellings) for part in ("-e", spelling)]
    where = [f":(glob,icase)**/{pattern}" for pattern in MANIFESTS[world]]
    found = hub.repo.read(
        *("grep", "--text", "-h", "-i", "-F", "--no-color", *asked, base, "--", *where),
        most=BEFORE_BYTES,
        env={"GIT_LITERAL_PATHSPECS": "0"},
    )
    lines = found.out.decode("utf-8", "replace").lower().split("\n")
    return any(normal(word) == name for line in lines for word in _words(line))
