"""Searches the files of a workspace by a pattern of the model.

The pattern never meets an engine of this process. ripgrep searches, else git's own grep: both keep to the ignore rules.
The program runs within the agent's bounds and its output is read to a bound.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import ToolError
from headway.git.git_environment import hermetic_environment
from headway.system.bounded import Bounds, read_from, refuse_unfinished
from headway.system.excerpt import EXCERPT_CHARS, cut

HITS = 100
LINE_CHARS = 400
_DESCRIPTORS = Path("/proc/self/fd")

SEARCHED_BYTES = 4 << 20
"""Bytes that are read of a search's output; a line of a match can be as long as its file."""


@dataclass(frozen=True)
class Searched:
    """The folder or file that is searched.

    Attributes:
        folder: A descriptor of the folder. It is held, so that no link can take its place.
        path: Path of the folder.
        file: The name of the only file in it that is searched, and a descriptor of that file; None for all of it.
        hidden: A folder in it that is not searched; empty for none.
    """

    folder: int
    path: Path
    file: tuple[str, int] | None = None
    hidden: str = ""


def search(pattern: str, what: Searched, glob: str | None, bounds: Bounds) -> list[str]:
    """The lines that match a regular expression, as `path:line:text`: at most one more than `HITS`.

    Args:
        pattern: The regular expression.
        what: The folder or file that is searched.
        glob: Only files whose name, or whose path below the folder if it has a slash, matches.
        bounds: The bounds of the search.

    Raises:
        ToolError: The search found nothing and failed, or took more than its bounds.
        TransientError: It could not enter the agent's control group.
    """
    if "\0" in pattern or "\0" in (glob or ""):
        raise ToolError("grep: a pattern or glob must not hold a NUL character")
    rg = shutil.which("rg")
    argv = _ripgrep(rg, pattern, what, glob) if rg else _git_grep(pattern, what, glob)
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    # No repository and no configuration of the agent's own: git reads the ignore rules, and nothing else.
    env = env if rg else hermetic_environment() | {"GIT_DIR": os.devnull, "GIT_LITERAL_PATHSPECS": "0"}
    fds = (what.folder, *(what.file or ())[1:])
    place = _DESCRIPTORS / str(what.folder) if _DESCRIPTORS.exists() else what.path
    try:
        said = read_from(argv, bounds=bounds, most=SEARCHED_BYTES, lines=HITS, cwd=place, env=env, fds=fds)
    except OSError as error:
        raise ToolError(f"grep: {error.strerror}") from error
    less = "name a smaller folder or a simpler pattern"
    refuse_unfinished(said, bounds, "grep", less=less, smaller="give a simpler pattern")
    if said.code > 1 and not said.out:
        raise ToolError(f"grep: {said.err.strip()[:300]}")
    return _hits(said.out, what)


def _ripgrep(rg: str, pattern: str, what: Searched, glob: str | None) -> list[str]:
    command = [rg, "--no-config", "--no-heading", "--with-filename", "--line-number", "--color=never", "--hidden"]
    command += ["--sort=path", "--no-require-git", "--no-ignore-global", f"--max-count={HITS + 1}"]
    command += [f"--glob={glob}"] if glob else []
    # Above the top of the workspace lie folders of the harness, whose ignore rules mean nothing here.
    command += ["--glob=!.git", *([f"--glob=!/{what.hidden}", "--no-ignore-parent"] if what.hidden else [])]
    return [*command, "-e", pattern, "--", str(_descriptor(what) or ".")]


def _git_grep(pattern: str, what: Searched, glob: str | None) -> list[str]:
    command = ["git", "grep", "--no-index", "--exclude-standard", "--no-color", "-n", "-I", f"--max-count={HITS + 1}"]
    wanted = f":(glob){glob if '/' in glob else f'**/{glob}'}" if glob else "."
    wanted = f":(literal){what.file[0]}" if what.file else wanted
    return [*command, "-P", "-e", pattern, "--", wanted, *([f":(exclude){what.hidden}"] if what.hidden else [])]


def _descriptor(what: Searched) -> Path | None:
    """A file by its descriptor, so that no link can take its place."""
    if what.file is None:
        return None
    return _DESCRIPTORS / str(what.file[1]) if _DESCRIPTORS.exists() else Path(what.file[0])


def _hits(out: bytes, what: Searched) -> list[str]:
    found = []
    for raw in filter(None, out.split(b"\n", HITS + 1)[: HITS + 1]):
        line = raw[: LINE_CHARS * 4].decode("utf-8", "replace")
        if what.file:
            by_descriptor = f"{_descriptor(what)}:"
            line = f"{what.file[0]}:{line.removeprefix(by_descriptor)}" if line.startswith(by_descriptor) else line
        found.append(line.removeprefix("./"))
    return found


def hits_text(found: list[str], limit: int = HITS) -> str:
    """Search hits as the model sees them, each line cut, and whether there are more."""
    if not found:
        return "[no match]"
    shown = [cut(hit, LINE_CHARS) for hit in found[:limit]]
    more = ["[there are more: narrow the pattern, the path or the glob]"] * (len(found) > limit)
    return cut("\n".join([*shown, *more]), EXCERPT_CHARS)
