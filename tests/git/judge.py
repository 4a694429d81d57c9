"""Plain git as a judge: what a fresh clone says of the same files, and what `git merge` makes of the same change."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "A User" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "user@example.org" for who in ("AUTHOR", "COMMITTER")},
}
MERGE = ("-c", "merge.conflictStyle=zdiff3", "-c", "merge.directoryRenames=false", "merge", "--quiet", "--no-ff")
LABELS = (
    (re.compile(rb"^(<{7,}) HEAD(?::[^\r\n]*)?(?=\r?$)", re.MULTILINE), rb"\1 trunk"),
    (re.compile(rb"^(\|{7,}) [0-9a-f]{7,40}(?::[^\r\n]*)?(?=\r?$)", re.MULTILINE), rb"\1 before both"),
    (re.compile(rb"^(>{7,}) [0-9a-f]{40}(?::[^\r\n]*)?(?=\r?$)", re.MULTILINE), rb"\1 your change"),
)
MARKER = re.compile(rb"<{7,} trunk|\|{7,} before both|>{7,} your change")
GITLINK = "160000"
RULES = ".gitattributes"

File = tuple[str, bytes]
"""`x` or `-` by its mode, `l` for a link; and its bytes, or where it points."""


def ask(folder: Path, *args: str, stdin: bytes = b"", ok: Collection[int] = (0,)) -> bytes:
    """Run git as a user without any configuration."""
    done = subprocess.run(["git", *args], cwd=folder, input=stdin, capture_output=True, env=ENVIRONMENT, check=False)
    if done.returncode not in ok:
        raise AssertionError(f"git {' '.join(args)}: {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def text_of(said: bytes) -> str:
    """The answer of git that is one word."""
    return said.decode().strip()


def file_at(place: Path) -> File | None:
    """One file or link; None for anything else."""
    try:
        status = place.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return "l", os.fsencode(place.readlink())
    if not stat.S_ISREG(status.st_mode):
        return None
    return "x" if status.st_mode & 0o100 else "-", place.read_bytes()


def wipe(top: Path) -> None:
    """Delete all but the git directory."""
    for entry in top.iterdir():
        if entry.name == ".git":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _named(name: str, top: Path) -> list[Path]:
    """All entries of this name outside of the git directory."""
    found = (Path(place, name) for place, below, names in os.walk(top) if name in {*below, *names})
    return [place for place in found if ".git" not in place.relative_to(top).parent.parts]


def copy(source: Path, into: Path) -> None:
    """Copy what an agent sees, but for its git directory and the harness's folder."""
    for entry in source.iterdir():
        if entry.name in {".git", ".headway"}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, into / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, into / entry.name, follow_symlinks=False)


@dataclass(frozen=True)
class Seen:
    """What a fresh clone at `base` says when its files are replaced by those of a workspace.

    Attributes:
        changes: Path -> `A`, `M` or `D`.
        pristine: The files of the clone before.
    """

    base: str
    tree: str
    changes: dict[str, str]
    nested: tuple[str, ...]
    pristine: dict[str, File]


@dataclass(frozen=True)
class Merge:
    """What `git merge` made: a tree, or the paths that conflict with the files as they lie there."""

    tree: str | None
    conflicts: dict[str, File | None]


class Judge:
    """A clone in `folder` of the hub, whose objects it borrows."""

    def __init__(self, folder: Path, hub: Path) -> None:
        self.folder = folder
        ask(folder.parent, "clone", "--quiet", "--shared", "--no-checkout", str(hub), folder.name)
        (folder / ".git/info/exclude").write_text("/.headway/\n")

    def tree_of(self, commit: str) -> str:
        """The tree of a commit."""
        return text_of(ask(self.folder, "rev-parse", f"{commit}^{{tree}}"))

    def check_out(self, commit: str) -> None:
        """Have the files of a commit as a fresh clone has them."""
        wipe(self.folder)
        (self.folder / ".git/index").unlink(missing_ok=True)
        ask(self.folder, "checkout", "--quiet", "--force", "--detach", commit)

    def _listed(self, *args: str) -> list[str]:
        return [os.fsdecode(name) for name in ask(self.folder, *args).split(b"\0") if name]

    def look(self, base: str, files: Path) -> Seen:
        """Judge the files of a workspace that stands on `base`."""
        self.check_out(base)
        listed = self._listed("ls-files", "-z", "--stage")
        links = {line.partition("\t")[2] for line in listed if line.startswith(GITLINK)}
        tracked = {line.partition("\t")[2] for line in listed} - links
        pristine = {path: found for path in tracked if (found := file_at(self.folder / path)) is not None}
        wipe(self.folder)
        copy(files, self.folder)
        nested = {
            name.rstrip("/") for name in self._listed("ls-files", "-z", "-o", "--exclude-standard") if name[-1] == "/"
        }
        nested |= {p for p in tracked if (self.folder / p / ".git").exists() and not (self.folder / p).is_symlink()}
        for name in nested:
            shutil.rmtree(self.folder / name)
        # In a folder of which the commit holds files git sees no repository, though it would when they are taken out.
        for place in _named(".git", self.folder):
            if not any(place.is_relative_to(self.folder / link) for link in links | {".git"}):
                shutil.rmtree(place)
        self._add_all(pristine)
        tree = self._without_own_bytes(base, pristine)
        return Seen(
            base,
            tree,
            {p: status for p, (status, _) in self.differing(base, tree).items()},
            tuple(sorted(nested)),
            pristine,
        )

    def _add_all(self, pristine: dict[str, File]) -> None:
        """`git add --all`, in steps by which rules that went or came have gone or come for all files.

        In one step git follows a `.gitattributes` that is deleted for the files that it meets first, and takes what a
        new link of that name points to for rules of the files that it meets later.
        """
        rules = {str(place.relative_to(self.folder)): file_at(place) for place in _named(RULES, self.folder)}
        links = {
            path: found for path, found in rules.items() if found and found[0] == "l" and pristine.get(path) != found
        }
        taken = [path for path in links if path in pristine or not self._ignores(path)]
        gone = self._listed("ls-files", "-z", "--deleted")
        gone += [path for path in rules if path in pristine and (path in links or rules[path] is None)]
        self._update("--force-remove", gone)
        for path in links:
            (self.folder / path).unlink()
        ask(self.folder, "add", "--all", ".")
        for path, (_, target) in links.items():
            (self.folder / path).symlink_to(os.fsdecode(target))
        self._update("--add", taken)

    def _ignores(self, path: str) -> bool:
        return bool(ask(self.folder, "check-ignore", "--", path, ok=(0, 1)))

    def _update(self, how: str, paths: list[str]) -> None:
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        ask(self.folder, "update-index", how, "-z", "--stdin", stdin=names)

    def differing(self, old: str, new: str) -> dict[str, tuple[str, list[str]]]:
        """Path -> status and raw facts."""
        parts = ask(self.folder, "diff-tree", "-r", "-z", "--no-renames", "--raw", old, new).split(b"\0")
        found = {}
        for facts, path in zip(parts[0::2], parts[1::2], strict=False):
            fields = facts.decode().lstrip(":").split()
            found[os.fsdecode(path)] = (fields[4][0].replace("T", "M"), fields)
        return found

    def _without_own_bytes(self, base: str, pristine: dict[str, File]) -> str:
        """The rule beside git's own: bytes that a checkout wrote are no change."""
        tree = text_of(ask(self.folder, "write-tree"))
        lines = b""
        for path, (status, (_, mode, old, _, _)) in self.differing(base, tree).items():
            now, before = file_at(self.folder / path), pristine.get(path)
            if status == "M" and now and before and "l" not in (now[0], before[0]) and now[1] == before[1]:
                lines += f"{mode} {old}\t".encode() + os.fsencode(path) + b"\0"
        if not lines:
            return tree
        ask(self.folder, "update-index", "-z", "--index-info", stdin=lines)
        return text_of(ask(self.folder, "write-tree"))

    def below(self, base: str, tree: str, paths: Collection[str]) -> str:
        """The tree of `base` with what `tree` changed at or below `paths`."""
        ask(self.folder, "read-tree", base)
        lines = b""
        for path, (_, (_, mode, _, oid, _)) in self.differing(base, tree).items():
            if any(path == named or path.startswith(f"{named}/") for named in paths):
                lines += f"{mode if int(mode) else 0} {oid}\t".encode() + os.fsencode(path) + b"\0"
        ask(self.folder, "update-index", "--replace", "-z", "--index-info", stdin=lines)
        return text_of(ask(self.folder, "write-tree"))

    def commit(self, tree: str, *parents: str) -> str:
        """A commit of a tree."""
        flags = [part for parent in parents for part in ("-p", parent)]
        return text_of(ask(self.folder, "commit-tree", *flags, "-m", "judge", tree))

    def merge(self, base: str, ours: str, theirs: str) -> Merge:
        """`git merge` of two trees over a third."""
        if theirs == base:
            return Merge(ours, {})
        root = self.commit(base)
        one, two = self.commit(ours, root), self.commit(theirs, root)
        self.check_out(one)
        ask(self.folder, *MERGE, "-m", "judge", two, ok=(0, 1))
        unmerged = {line.partition("\t")[2] for line in self._listed("ls-files", "-z", "--unmerged")}
        if not unmerged:
            return Merge(self.tree_of("HEAD"), {})
        return Merge(None, {path: _labelled(file_at(self.folder / path)) for path in unmerged})


def _labelled(found: File | None) -> File | None:
    """A file with the labels of its conflict markers as Headway writes them."""
    if found is None or found[0] == "l":
        return found
    body = found[1]
    for pattern, label in LABELS:
        body = pattern.sub(label, body)
    return found[0], body
