"""The one way in which Headway runs git.

A hermetic call sees no configuration but ours: not the user's, not the machine's, not the one that an agent may have
written into its workspace. No hook, filter, file-system monitor or credential helper can run in it.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.system.bounded import Within, read_from, refuse_unfinished, unheld
from headway.system.shortage import WAIT_S, lacking_in

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.sparseCheckout": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.quotePath": "false",
    # Objects and refs are on disk before a landing or a snapshot is acknowledged.
    "core.fsync": "objects,derived-metadata,reference",
    "core.fsyncMethod": "batch",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "diff.ignoreSubmodules": "all",
    "diff.renames": "true",
    "gc.auto": "0",
    "i18n.commitEncoding": "utf-8",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "merge.conflictStyle": "zdiff3",
    # A new file stays in the folder where its author put it, also when others moved that folder.
    "merge.directoryRenames": "false",
    # Of more files than that on both sides, only those that moved unchanged are followed: the rest takes the square.
    "merge.renameLimit": "3000",
    "protocol.allow": "never",
    "safe.directory": "*",
    "submodule.recurse": "false",
}

LARGE_FILE_BYTES = 8 << 20
"""Size above which git streams a file, and shows no difference of it, when it reads for an agent."""

TIMED_OUT = 124
"""The code of a `GitError` that says that git did not end in time."""

_ENDED = frozenset({TIMED_OUT, -signal.SIGXCPU, -signal.SIGKILL})

_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")

_REPOSITORY_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)


class GitError(TransientError):
    """A git command failed in a way that its caller has no answer to, such as a full disk; a retry may succeed."""

    def __init__(self, args: Sequence[str], code: int, err: str) -> None:
        delay_s = WAIT_S if lacking_in(err) else None
        super().__init__(f"git {args[0]} failed ({code}): {err.strip() or 'no message'}", delay_s)
        self.code = code
        self.err = err.strip()

    @property
    def timed_out(self) -> bool:
        """It was ended because it took too long, or because the machine had no memory for it."""
        return self.code in _ENDED


def listed(path: Path) -> str:
    """A path as it stands in git's lists of object directories: quoted, so that any character may be in it."""
    named = os.fsencode(path)
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in named) + '"'  # noqa: PLR2004


@dataclass(frozen=True)
class Answer:
    """Result of a git command.

    Attributes:
        cut: `out` is only the beginning; git was ended then.
    """

    code: int
    out: bytes
    err: str
    cut: bool = False

    @property
    def text(self) -> str:
        """Standard output without the last newline."""
        return self.out.decode(errors="surrogateescape").removesuffix("\n")

    @property
    def oid(self) -> Oid:
        """Standard output, where it is one object id."""
        return Oid(self.text.strip())


def hermetic_environment() -> dict[str, str]:
    """The environment of a call that trusts nobody's configuration."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    for place, (key, value) in enumerate(_SETTINGS.items()):
        env[f"GIT_CONFIG_KEY_{place}"] = key
        env[f"GIT_CONFIG_VALUE_{place}"] = value
    env["GIT_CONFIG_COUNT"] = str(len(_SETTINGS))
    return env


def user_environment() -> dict[str, str]:
    """The environment of a fetch or a publish: the user's own, so that their credentials and proxies work.

    Nothing in it can ask a question, because nobody is there to answer.
    """
    env = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    return env | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def run_git(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    ok: Sequence[int] | None = (0,),
    timeout_s: float | None = None,
    cpu_s: int | None = None,
    keep: Sequence[int] = (),
) -> Answer:
    """Run git and collect what it says.

    Args:
        args: The command.
        env: Its whole environment.
        cwd: Where it runs.
        stdin: What it reads.
        ok: Exit codes that count as answers; None takes every code for one.
        timeout_s: Seconds after which it is ended.
        cpu_s: Seconds of processor time after which the kernel ends it; on Linux only.
        keep: File descriptors that the process holds as well, such as a lock that must outlive its parent.

    Raises:
        GitError: Another exit code, no end within `timeout_s` (code 124), or a failure for lack of disk, memory or file
            descriptors: that is no answer, whatever the code.
    """
    pipe = subprocess.PIPE
    # A session of its own: ssh and git find no terminal there to ask for a password.
    with subprocess.Popen(
        ["git", *args],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(env),
        cwd=cwd,
        pass_fds=tuple(keep),
        start_new_session=True,
    ) as process:
        try:
            if cpu_s is not None and sys.platform == "linux":
                resource.prlimit(process.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
            out, err = process.communicate(stdin, timeout_s)
        except BaseException as stop:
            _end(process)
            if isinstance(stop, subprocess.TimeoutExpired):
                raise GitError(args, TIMED_OUT, f"no answer within {timeout_s:g} s") from None
            raise
    answer = Answer(process.returncode, out, err.decode(errors="replace"))
    if answer.code and ((ok is not None and answer.code not in ok) or lacking_in(answer.err)):
        raise GitError(args, answer.code, answer.err)
    return answer


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill git with all that it started, such as ssh."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Repo:
    """A repository as the harness reads and writes it: always hermetic, each place named explicitly.

    Attributes:
        git_dir: Where objects, refs and configuration lie. Never an agent's own.
        work_tree: The files that belong to `index`, if the call needs any.
        index: The harness's index for that work tree.
        keep: File descriptors of locks that every process started here holds as well.
        written: A folder that takes new objects in place of the repository's own; they are not synced.
        settings: Further configuration, as keys and values.
        within: What a git that `read` starts may use.
    """

    git_dir: Path
    work_tree: Path | None = None
    index: Path | None = None
    keep: tuple[int, ...] = ()
    written: Path | None = None
    settings: tuple[tuple[str, str], ...] = ()
    within: Within = unheld

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        ok: Sequence[int] | None = (0,),
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        cpu_s: int | None = None,
        keep: Sequence[int] = (),
    ) -> Answer:
        """Run git here; see `run_git`."""
        full = self._environment() | dict(env or {})
        cwd = self.work_tree or self.git_dir
        held = (*self.keep, *keep)
        return run_git(args, env=full, cwd=cwd, stdin=stdin, ok=ok, timeout_s=timeout_s, cpu_s=cpu_s, keep=held)

    def read(self, *args: str, most: int, lines: int | None = None, env: Mapping[str, str] | None = None) -> Answer:
        """Run a git that reads for an agent: within the agent's bounds, its output read to a bound.

        Args:
            args: Git's arguments.
            most: Bytes that are read of its output.
            lines: Lines that are read of its output; None for any number.
            env: More variables.

        Raises:
            ToolError: It took more memory or more time than the agent may have.
            TransientError: It could not enter the agent's control group.
        """
        big = f"core.bigFileThreshold={LARGE_FILE_BYTES}"
        full = self._environment() | dict(env or {})
        with self.within() as bounds:
            argv = ["git", "-c", big, *args]
            said = read_from(argv, bounds=bounds, most=most, lines=lines, cwd=self.git_dir, env=full)
        refuse_unfinished(said, bounds, f"git {args[0]}", less="ask for less", smaller="ask for less")
        return Answer(0 if said.end == "cut" else said.code, said.out, said.err, cut=said.end == "cut")

    def start(self, *args: str) -> "subprocess.Popen[bytes]":
        """A git that answers over its pipes until its starter ends it. It dies with this process: its input ends."""
        return subprocess.Popen(
            ["git", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
            cwd=self.git_dir,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        full = hermetic_environment()
        full["GIT_DIR"] = str(self.git_dir)
        if self.work_tree is not None:
            full["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index is not None:
            full["GIT_INDEX_FILE"] = str(self.index)
        if self.written is not None:
            full["GIT_OBJECT_DIRECTORY"] = str(self.written)
            full["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = listed(self.git_dir / "objects")
        unsynced = [("core.fsync", "none")] if self.written is not None else []
        count = int(full["GIT_CONFIG_COUNT"])
        for key, value in (*unsynced, *self.settings):
            full |= {f"GIT_CONFIG_KEY_{count}": key, f"GIT_CONFIG_VALUE_{count}": value}
            count += 1
        full["GIT_CONFIG_COUNT"] = str(count)
        return full

    def at(self, work_tree: Path, index: Path) -> "Repo":
        """The same objects and refs, with a work tree and an index."""
        return replace(self, work_tree=work_tree, index=index)

    def configured(self, key: str, value: str) -> "Repo":
        """The same with one setting more."""
        return replace(self, settings=(*self.settings, (key, value)))

    def resolve(self, name: str) -> Oid | None:
        """The object that `name` stands for, or None."""
        found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, ok=None)
        return found.oid if found.code == 0 else None

    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self.run("rev-parse", "--show-object-format").text

    def tree_of(self, commit: Oid) -> Oid:
        """The tree of a commit."""
        return _tree_of(self.git_dir, commit)

    def commit(self, tree: Oid, parents: Sequence[Oid], message: str, author: str) -> Oid:
        """Write a commit; `author` is `Name <mail>` and stands as committer too."""
        name, _, mail = author.rpartition(" <")
        who: dict[str, str] = {}
        for role in ("AUTHOR", "COMMITTER"):
            who |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": mail.rstrip(">")}
        flags = [part for parent in parents for part in ("-p", parent)]
        return self.run("commit-tree", *flags, tree, stdin=message.encode(errors="replace"), env=who).oid


@lru_cache(maxsize=4096)
def _tree_of(git_dir: Path, commit: Oid) -> Oid:
    # A commit never changes, and a landing asks this many times over.
    return Repo(git_dir).run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").oid
