"""Reading the repository at one commit, straight from the hub, as planners do: no checkout, nothing written."""

import difflib
from pathlib import PurePosixPath

from headway.domain.errors import ToolError
from headway.domain.ids import Oid
from headway.git.repo import GitError, Repo

_ENTRIES = 1_000
_SHOWN = 30_000
_LINE = 300
_MATCHES = 1_000
_COMMITS = 200
_GREP_S = 30.0
_TRUNK = "refs/heads/main"


def _ask(repo: Repo, *args: str) -> str:
    """What git says, or a ToolError: what it cannot read now it will not read on a retry either."""
    said = repo.run(*args, ok=None)
    if said.code:
        raise ToolError(f"git cannot read that: {said.err.strip()}")
    return said.out.decode(errors="replace")


def commit_at(repo: Repo, rev: str) -> Oid:
    """The commit that a model's `rev` names; `HEAD` stands for the trunk, because the hub has none of its own."""
    name = rev.strip()
    if name == "HEAD" or name.startswith(("HEAD~", "HEAD^")):
        name = _TRUNK + name.removeprefix("HEAD")
    found = repo.resolve(f"{name}^{{commit}}") if name and "\0" not in name else None
    if found is None:
        raise ToolError(f"there is no commit '{rev}': name one by its id, as git_log shows it")
    return found


def path_within(path: str) -> str:
    """`path` relative to the top of the repository, `` for the top itself."""
    pure = PurePosixPath(path.strip() or ".")
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ToolError(f"'{path}' leaves the repository: name a path relative to its top, without '..'")
    return "" if str(pure) == "." else str(pure)


def _missing(repo: Repo, commit: Oid, path: str) -> ToolError:
    names = _ask(repo, "ls-tree", "-r", "-t", "-z", "--name-only", commit).split("\0")
    close = difflib.get_close_matches(path, names, 3, 0.6) or [
        name for name in names if name.rpartition("/")[2] == path.rpartition("/")[2]
    ]
    hint = f"; there is {', '.join(close[:3])}" if close else ""
    return ToolError(f"there is no '{path}' at commit {commit[:12]}{hint}")


def _type_of(repo: Repo, commit: Oid, path: str) -> str:
    if not path:
        return "tree"
    said = _ask(repo, "ls-tree", "-z", commit, "--", path)
    if not said:
        raise _missing(repo, commit, path)
    return said.split(" ", 2)[1]


def list_dir(repo: Repo, rev: str, path: str, depth: int) -> str:
    """Names below a folder down to `depth` levels, one a line and relative to it, folders with a slash."""
    commit, folder = commit_at(repo, rev), path_within(path)
    if (kind := _type_of(repo, commit, folder)) != "tree":
        raise ToolError(f"'{path}' is a {'submodule' if kind == 'commit' else 'file'}, not a folder")
    deep = ["-r", "-t"] if depth > 1 else []
    said = _ask(repo, "ls-tree", "-z", *deep, f"{commit}:{folder}")
    names = []
    for entry in said.split("\0"):
        facts, _, name = entry.partition("\t")
        if name and name.count("/") < max(depth, 1):
            names.append(f"{name}/" if " tree " in facts else name)
    more = [f"... and {len(names) - _ENTRIES} more; list a folder below"] if len(names) > _ENTRIES else []
    return "\n".join([*names[:_ENTRIES], *more]) or "(empty)"


def read_file(repo: Repo, rev: str, path: str) -> bytes:
    """The content of a file; of a symbolic link, where it points."""
    commit, name = commit_at(repo, rev), path_within(path)
    kind = _type_of(repo, commit, name)
    if kind != "blob":
        raise ToolError(f"'{path}' is a {'submodule' if kind == 'commit' else 'folder'}, not a file: use list_dir")
    return repo.run("cat-file", "blob", f"{commit}:{name}").out


def grep(repo: Repo, rev: str, pattern: str, *, path: str, glob: str | None, limit: int) -> list[str]:
    """Lines that match the regular expression `pattern`, as `path:line:text`, at most `limit` of them.

    `glob` takes only files whose name, or whose path below `path` if it has a slash, matches.
    """
    commit, folder = commit_at(repo, rev), path_within(path)
    _type_of(repo, commit, folder)
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
        try:
            said = repo.run(*ask, kind, "-e", pattern, commit, "--", *where, ok=None, env=env, timeout_s=_GREP_S)
        except GitError as late:
            raise ToolError(f"the pattern takes too long: {late.err}") from None
        if "Perl-compatible" not in said.err:
            break
    if said.code > 1:
        raise ToolError(f"the pattern does not work: {said.err.strip().removeprefix('fatal: ')}")
    lines = []
    for raw in said.out.decode(errors="replace").split("\n"):
        name, _, rest = raw.removeprefix(f"{commit}:").partition("\0")
        number, _, text = rest.partition("\0")
        if number:
            lines.append(f"{name}:{number}:{text[:_LINE]}")
    return lines[:most]


def log(repo: Repo, rev: str, path: str | None, limit: int) -> str:
    """The newest commits, one a line: id, date, author, subject."""
    commit = commit_at(repo, rev)
    name = path_within(path) if path else ""
    form = ["--no-color", f"--max-count={max(1, min(limit, _COMMITS))}", "--format=%h %cs %an: %s"]
    said = _ask(repo, "log", *form, commit, "--", *([name] if name else []))
    return said.removesuffix("\n") or f"no commit up to {commit[:12]} touched '{path}'"


def show(repo: Repo, rev: str, path: str | None) -> str:
    """A commit's message and difference, cut after 30,000 characters."""
    commit = commit_at(repo, rev)
    name = path_within(path) if path else ""
    form = ["--no-color", "--no-ext-diff", "--no-textconv", "--stat", "--patch", "--format=commit %H%n%an, %ci%n%n%B"]
    said = _ask(repo, "show", *form, commit, "--", *([name] if name else []))
    if not said:
        return f"commit {commit[:12]} did not change '{path}'"
    if len(said) <= _SHOWN:
        return said
    return f"{said[:_SHOWN]}\n... {len(said) - _SHOWN} more characters; name a path to see its part"
