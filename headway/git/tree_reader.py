"""Reading the repository at one commit, straight from the hub, as planners do: no checkout, nothing written.

A commit can hold anything. So each git runs within the agent's bounds, and its output is read to a bound.
"""

import difflib
from dataclasses import dataclass
from pathlib import PurePosixPath

from headway.domain.errors import ToolError
from headway.domain.ids import Oid
from headway.git.git_process import GitOutput
from headway.git.repo import LARGE_FILE_BYTES, Repo

_ENTRIES = 1_000
_LISTED_BYTES = 32 << 20
_NAMES_BYTES = 4 << 20
_NAMES_COMPARED = 200
_LONGEST_COMPARED = 100
_SHOWN = 30_000
_BYTES_PER_CHARACTER = 4
_LINE = 300
_MATCHES = 1_000
_HIT_BYTES = 8 << 10
_COMMITS = 200
_COMMIT_CHARS = 400
_TRUNK = "refs/heads/main"
_NO_REVISION = (":", "^{", "@{", "..", "\0", "\n")
"""With one of these in a revision, git searches messages by a regular expression, or reads a path or a log."""


def _ask(repo: Repo, *args: str, most: int) -> GitOutput:
    """Git's answer. An error of git is a ToolError, because a retry would fail in the same way."""
    said = repo.read(*args, most=most)
    if said.code:
        raise ToolError(f"git cannot read that: {said.err.strip()[:300]}")
    return said


def _text(said: GitOutput) -> str:
    return said.out.decode(errors="replace")


def commit_at(repo: Repo, rev: str) -> Oid:
    """The commit that a model's `rev` names; `HEAD` stands for the trunk, because the hub has none of its own."""
    name = rev.strip()
    if name == "HEAD" or name.startswith(("HEAD~", "HEAD^")):
        name = _TRUNK + name.removeprefix("HEAD")
    usable = name and not any(word in name for word in _NO_REVISION)
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    said = repo.read(*asked, most=1_000) if usable else None
    if said is None or said.code:
        raise ToolError(f"there is no commit '{rev}': name one by its id, as git_log shows it")
    return said.oid


def path_within(path: str) -> str:
    """`path` relative to the top of the repository, `` for the top itself."""
    pure = PurePosixPath(path.strip() or ".")
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ToolError(f"'{path}' leaves the repository: name a path relative to its top, without '..'")
    return "" if str(pure) == "." else str(pure)


@dataclass(frozen=True)
class _Entry:
    kind: str
    size: int


def _entry(repo: Repo, commit: Oid, path: str) -> _Entry:
    if not path:
        return _Entry("tree", 0)
    said = _text(_ask(repo, "ls-tree", "-z", "-l", commit, "--", path, most=_HIT_BYTES))
    if not said:
        raise _missing(repo, commit, path)
    _, kind, _, size = said.partition("\t")[0].split()
    return _Entry(kind, int(size) if size.isdecimal() else 0)


def _missing(repo: Repo, commit: Oid, path: str) -> ToolError:
    close = _close_to(repo, commit, path)
    hint = f"; there is {', '.join(close)}" if close else ""
    return ToolError(f"there is no '{path}' at commit {commit[:12]}{hint}")


def _close_to(repo: Repo, commit: Oid, path: str) -> list[str]:
    """Up to three paths that the caller may have meant: of the same name elsewhere, or a like name in its folder."""
    said = _ask(repo, "ls-tree", "-r", "-t", "-z", "--name-only", commit, most=_NAMES_BYTES)
    names = _text(said).split("\0")
    folder, _, name = path.rpartition("/")
    same = [other for other in names if other.rpartition("/")[2] == name][:3]
    if same:
        return same
    beside = [other for other in names if other.rpartition("/")[0] == folder and len(other) <= _LONGEST_COMPARED]
    return difflib.get_close_matches(path[:_LONGEST_COMPARED], beside[:_NAMES_COMPARED], 3, 0.6)


def list_dir(repo: Repo, rev: str, path: str, depth: int) -> str:
    """Names below a folder down to `depth` levels, one a line and relative to it, folders with a slash."""
    commit, folder = commit_at(repo, rev), path_within(path)
    if (kind := _entry(repo, commit, folder).kind) != "tree":
        raise ToolError(f"'{path}' is a {'submodule' if kind == 'commit' else 'file'}, not a folder")
    deep = ["-r", "-t"] if depth > 1 else []
    said = _ask(repo, "ls-tree", "-z", *deep, f"{commit}:{folder}", most=_LISTED_BYTES)
    names = []
    for entry in _text(said).split("\0")[: -1 if said.cut else None]:
        facts, _, name = entry.partition("\t")
        if name and name.count("/") < max(depth, 1):
            names.append(f"{name}/" if " tree " in facts else name)
    more = []
    if len(names) > _ENTRIES or said.cut:
        count = "an unknown number of" if said.cut else str(len(names) - _ENTRIES)
        more = [f"... and {count} more; list a folder below"]
    return "\n".join([*names[:_ENTRIES], *more]) or "(empty)"


def read_file(repo: Repo, rev: str, path: str) -> bytes:
    """The content of a file; of a symbolic link, where it points.

    Raises:
        ToolError: There is no such file, or it is larger than 8 MB.
    """
    commit, name = commit_at(repo, rev), path_within(path)
    found = _entry(repo, commit, name)
    if found.kind != "blob":
        what = "submodule" if found.kind == "commit" else "folder"
        raise ToolError(f"'{path}' is a {what}, not a file: use list_dir")
    if found.size > LARGE_FILE_BYTES:
        raise ToolError(f"'{path}' has {found.size} bytes: search it with grep")
    return _ask(repo, "cat-file", "blob", f"{commit}:{name}", most=LARGE_FILE_BYTES).out


def grep(repo: Repo, rev: str, pattern: str, *, path: str, glob: str | None, limit: int) -> list[str]:
    """Lines that match the regular expression `pattern`, as `path:line:text`, at most `limit` of them.

    `glob` takes only files whose name, or whose path below `path` if it has a slash, matches.
    """
    commit, folder = commit_at(repo, rev), path_within(path)
    _entry(repo, commit, folder)
    if "\0" in pattern or "\n" in pattern or "\0" in (glob or ""):
        raise ToolError("the pattern does not work: it must be one line of text")
    most = max(1, min(limit, _MATCHES))
    ask = ["grep", "-n", "-I", "-z", "--no-color", "--full-name", f"--max-count={most}"]
    where = [folder] if folder else []
    literal = "1"
    if glob:
        literal = "0"
        escaped = "".join(f"\\{char}" if char in "*?[\\" else char for char in folder)
        where = [f":(glob){escaped}{'/' if folder else ''}{glob if '/' in glob else f'**/{glob}'}"]
    env = {"GIT_LITERAL_PATHSPECS": literal}
    for kind in ("-P", "-E"):
        # One line more than is wanted, so that a line that was cut is never taken for a whole one.
        asked = (*ask, kind, "-e", pattern, commit, "--", *where)
        said = repo.read(*asked, most=most * _HIT_BYTES, lines=most + 1, env=env)
        if "Perl-compatible" not in said.err:
            break
    if said.code > 1:
        raise ToolError(f"the pattern does not work: {said.err.strip().removeprefix('fatal: ')[:300]}")
    lines = []
    for raw in said.out.split(b"\n", most)[:most]:
        name, _, rest = raw.decode(errors="replace").removeprefix(f"{commit}:").partition("\0")
        number, _, text = rest.partition("\0")
        if number:
            lines.append(f"{name}:{number}:{text[:_LINE]}")
    return lines


def log(repo: Repo, rev: str, path: str | None, limit: int) -> str:
    """The newest commits, one a line: id, date, author, subject."""
    commit = commit_at(repo, rev)
    name = path_within(path) if path else ""
    most = max(1, min(limit, _COMMITS))
    form = ["--no-color", f"--max-count={most}", "--format=%h %cs %an: %s"]
    asked = ("log", *form, commit, "--", *([name] if name else []))
    said = _ask(repo, *asked, most=most * _COMMIT_CHARS * _BYTES_PER_CHARACTER)
    lines = _text(said).removesuffix("\n").split("\n")
    return "\n".join(line[:_COMMIT_CHARS] for line in lines) or f"no commit up to {commit[:12]} touched '{path}'"


def show(repo: Repo, rev: str, path: str | None) -> str:
    """A commit's message and difference, cut after 30,000 characters."""
    commit = commit_at(repo, rev)
    name = path_within(path) if path else ""
    form = ["--no-color", "--no-ext-diff", "--no-textconv", "--stat", "--patch", "--format=commit %H%n%an, %ci%n%n%B"]
    asked = ("show", *form, commit, "--", *([name] if name else []))
    text = _text(said := _ask(repo, *asked, most=_SHOWN * _BYTES_PER_CHARACTER))
    if not text:
        return f"commit {commit[:12]} did not change '{path}'"
    if len(text) <= _SHOWN and not said.cut:
        return text
    return f"{text[:_SHOWN]}\n... more characters are not shown; name a path to see its part"
