"""The one way in which Headway runs git.

A hermetic call sees no configuration but ours: not the user's, not the machine's, not the one that an agent may have
written into its workspace. No hook, filter, file-system monitor or credential helper can run in it.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.git_environment import hermetic_environment, listed
from headway.git.git_process import GitOutput, run_git
from headway.system.bounded import Within, read_from, refuse_unfinished, unheld

LARGE_FILE_BYTES = 8 << 20
"""Size above which git streams a file, and shows no difference of it, when it reads for an agent."""

WORK_TREE_MB = 1024
"""Memory that a git with a work tree may have, in megabytes, without the files that it maps.

Such a git reads whole files that an agent may have written, outside of the agent's own memory: rules files, and files
that it converts. Without a conversion it maps or streams a file."""


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
