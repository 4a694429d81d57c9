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
from headway.git.git_environment import hermetic_environment
from headway.system.bounded import Within, read_from, refuse_unfinished, unheld
from headway.system.shortage import WAIT_S, lacking_in

LARGE_FILE_BYTES = 8 << 20
"""Size above which git streams a file, and shows no difference of it, when it reads for an agent."""

WORK_TREE_MB = 1024
"""Memory that a git with a work tree may have, in megabytes, without the files that it maps.

Such a git reads whole files that an agent may have written, outside of the agent's own memory: rules files, and files
that it converts. Without a conversion it maps or streams a file."""

_ONE_PIECE_MB = 640
"""The largest piece of that memory. Git streams files over 512 MB, and takes a rules file in as one piece."""

_THREADS = 20
"""Threads with which git looks at the files of an index. The kernel counts the whole stack of each, used or not."""

_STACK_BYTES = 2 << 20
"""The stack of a thread where the system sets no bound."""

TIMED_OUT = 124
"""The code of a `GitError` that says that git did not end in time."""

_ENDED = frozenset({TIMED_OUT, -signal.SIGXCPU, -signal.SIGKILL})
_STARVED = ("Out of memory", "out of memory", "attempting to allocate")
"""Git's words where it gets no more memory, from the system or within GIT_ALLOC_LIMIT."""


class GitError(TransientError):
    """A git command failed in a way that its caller has no answer to, such as a full disk; a retry may succeed."""

    def __init__(self, args: Sequence[str], code: int, err: str) -> None:
        delay_s = WAIT_S if lacking_in(err) else None
        super().__init__(f"git {args[0]} failed ({code}): {err.strip() or 'no message'}", delay_s)
        self.code = code
        self.err = err.strip()

    @property
    def short(self) -> bool:
        """True if the machine lacks something that comes back, such as room on a disk."""
        return lacking_in(self.err) is not None

    @property
    def exhausted(self) -> bool:
        """True if it was ended because it took too long, or because it or the machine had no more memory."""
        return self.code in _ENDED or self.starved

    @property
    def starved(self) -> bool:
        """True if it ended because it had no more memory."""
        return _starved_in(self.err)


def _starved_in(err: str) -> bool:
    return any(words in err for words in _STARVED)


def listed(path: Path) -> str:
    """A path as it stands in git's lists of object directories: quoted, so that any character may be in it."""
    named = os.fsencode(path)
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in named) + '"'  # noqa: PLR2004


@dataclass(frozen=True)
class GitOutput:
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


def run_git(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    ok: Sequence[int] | None = (0,),
    timeout_s: float | None = None,
    cpu_s: int | None = None,
    memory_mb: int | None = None,
    keep: Sequence[int] = (),
) -> GitOutput:
    """Run git and collect its output.

    Args:
        args: The command.
        env: Its whole environment.
        cwd: Its working folder.
        stdin: Its input.
        ok: Exit codes that count as answers; None takes every code for one.
        timeout_s: Seconds after which it is ended.
        cpu_s: Seconds of processor time after which the kernel ends it; on Linux only.
        memory_mb: Megabytes of memory that it may have, without the files that it maps and its threads' stacks. The sum
            is bounded on Linux only, a single piece everywhere.
        keep: File descriptors that the process holds as well, such as a lock that must outlive its parent.

    Raises:
        GitError: Another exit code, no end within `timeout_s` (code 124), or a failure for lack of disk, memory or file
            descriptors: that is no answer, whatever the code.
    """
    if memory_mb is not None:
        env = {**env, "GIT_ALLOC_LIMIT": f"{min(memory_mb, _ONE_PIECE_MB)}m"}
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
            _limit(process.pid, cpu_s, memory_mb)
            out, err = process.communicate(stdin, timeout_s)
        except BaseException as stop:
            _end(process)
            if isinstance(stop, subprocess.TimeoutExpired):
                raise GitError(args, TIMED_OUT, f"no answer within {timeout_s:g} s") from None
            raise
    answer = GitOutput(process.returncode, out, err.decode(errors="replace"))
    no_answer = lacking_in(answer.err) or _starved_in(answer.err)
    if answer.code and ((ok is not None and answer.code not in ok) or no_answer):
        raise GitError(args, answer.code, answer.err)
    return answer


def _limit(pid: int, cpu_s: int | None, memory_mb: int | None) -> None:
    if sys.platform != "linux":
        return
    if cpu_s is not None:
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    if memory_mb is not None:
        # Git runs already. A large piece that it asks for before this is refused by its own GIT_ALLOC_LIMIT.
        most = (memory_mb << 20) + _THREADS * _stack_bytes()
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))


def _stack_bytes() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _STACK_BYTES if soft == resource.RLIM_INFINITY else soft


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill git with all that it started, such as ssh."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Repo:
    """A repository as the harness reads and writes it: always hermetic, each place named explicitly.

    Attributes:
        git_dir: Folder of objects, refs and configuration. Never an agent's own.
        work_tree: The files that belong to `index`, if the call needs any.
        index: The harness's index for that work tree.
        keep: File descriptors of locks that every process started here holds as well.
        written: A folder that takes new objects in place of the repository's own; they are not synced.
        settings: Further configuration, as keys and values.
        within: The bounds of a git that `read` starts.
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
        memory_mb: int | None = None,
        keep: Sequence[int] = (),
    ) -> GitOutput:
        """Run git here; see `run_git`. With a work tree its memory is bounded, by default to `WORK_TREE_MB`."""
        if memory_mb is None and self.work_tree is not None:
            memory_mb = WORK_TREE_MB
        return run_git(
            args,
            env=self._environment() | dict(env or {}),
            cwd=self.work_tree or self.git_dir,
            stdin=stdin,
            ok=ok,
            timeout_s=timeout_s,
            cpu_s=cpu_s,
            memory_mb=memory_mb,
            keep=(*self.keep, *keep),
        )

    def read(self, *args: str, most: int, lines: int | None = None, env: Mapping[str, str] | None = None) -> GitOutput:
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
        return GitOutput(0 if said.end == "cut" else said.code, said.out, said.err, cut=said.end == "cut")

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
