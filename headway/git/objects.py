"""Objects of a hub without a process for each: read through one running git, written into one pack."""

import hashlib
import subprocess
from collections.abc import Iterator, Mapping

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.git.repo import Repo

FOLDER = b"40000"
SHA1_DIGITS = 40

_ENTRIES_KEPT = 300_000
_COMMITS_KEPT = 1_000
_CHUNK = 1 << 16
_SMALL = 16 << 10
_SMALL_KEPT = 200

Tree = Mapping[bytes, bytes]
"""The entries of a tree by name, in git's order, each as the bytes that stand for it in the object."""


class MissingObject(TransientError):
    """An object that something refers to is not in the hub."""


class TooLarge(Exception):
    """An object has more bytes than its reader wants."""


def digest_of(body: bytes, like: Oid) -> bytes:
    """The hash of `body` in the repository whose object ids look like `like`."""
    return (hashlib.sha1 if len(like) == SHA1_DIGITS else hashlib.sha256)(body).digest()


def entry(mode: bytes, name: bytes, oid: bytes) -> bytes:
    """An entry as it stands in a tree; `oid` is raw."""
    return mode + b" " + name + b"\0" + oid


def split(line: bytes) -> tuple[str, Oid]:
    """Mode and id of an entry."""
    named, _, _ = line.partition(b"\0")
    return named.partition(b" ")[0].decode(), Oid(line[len(named) + 1 :].hex())


def is_folder(line: bytes) -> bool:
    """True if an entry is a folder."""
    return line.startswith(FOLDER)


def parsed(body: bytes, width: int) -> dict[bytes, bytes]:
    """The entries of a tree object, whose ids are `width` bytes long."""
    entries, at = {}, 0
    while at < len(body):
        name = body.index(b" ", at) + 1
        end = body.index(b"\0", name)
        past = end + 1 + width
        entries[body[name:end]] = body[at:past]
        at = past
    return entries


def in_order(entries: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The same entries as git sorts them: a folder as if its name ended in a slash."""
    names = sorted(entries, key=lambda name: name + b"/" if is_folder(entries[name]) else name)
    return {name: entries[name] for name in names}


class Reader:
    """Reads through `git cat-file --batch`, which is started at the first read and ends with `close`.

    Trees and small files are remembered: a batch of landings reads the same folders and rules again and again. Not safe
    for threads.

    `pending` are objects that are not in the hub yet, by raw id, each as kind and content.
    """

    def __init__(self, repo: Repo, pending: Mapping[bytes, tuple[str, bytes]]) -> None:
        self._repo = repo
        self._pending = pending
        self._git: subprocess.Popen[bytes] | None = None
        self._trees: dict[Oid, Tree] = {}
        self._commits: dict[Oid, tuple[Oid, tuple[Oid, ...]]] = {}
        self._small: dict[Oid, bytes] = {}
        self._kept = 0

    def read(self, oid: Oid, most: int | None = None) -> bytes:
        """The content of an object that is in the hub.

        Raises:
            MissingObject: The hub has no such object.
            TooLarge: It has more than `most` bytes.
        """
        git, size = self._ask(oid)
        assert git.stdout is not None
        try:
            if most is not None and size > most:
                raise TooLarge(f"object {oid} has {size} bytes")  # noqa: TRY301 - ends git as any error does
            body = git.stdout.read(size + 1)
        except BaseException:
            self.close()
            raise
        if len(body) == size + 1:
            return body[:-1]
        self.close()
        raise MissingObject(f"the hub lacks object {oid}")

    def chunks(self, oid: Oid) -> Iterator[bytes]:
        """The content of an object that is in the hub, of any size, piece by piece.

        Raises:
            MissingObject: The hub has no such object.
        """
        git, size = self._ask(oid)
        assert git.stdout is not None
        try:
            while size:
                chunk = git.stdout.read(min(size, _CHUNK))
                if not chunk:
                    raise MissingObject(f"the hub lacks object {oid}")  # noqa: TRY301 - ends git as any error does
                size -= len(chunk)
                yield chunk
            git.stdout.read(1)
        except BaseException:
            # Also where the caller has seen enough: the rest is still in the pipe.
            self.close()
            raise

    def _ask(self, oid: Oid) -> tuple["subprocess.Popen[bytes]", int]:
        """Ask git for an object, and read the answer up to its content."""
        git = self._git = self._git or self._repo.start("cat-file", "--batch")
        assert git.stdin is not None
        assert git.stdout is not None
        try:
            git.stdin.write(oid.encode() + b"\n")
            git.stdin.flush()
            head = git.stdout.readline().split()
        except BaseException:
            self.close()
            raise
        if len(head) == 3:  # noqa: PLR2004 - id, type, size
            return git, int(head[2])
        if not head:
            self.close()
        raise MissingObject(f"the hub lacks object {oid}")

    def content(self, oid: Oid, most: int) -> bytes | None:
        """The content of an object, also of one that is not in the hub yet; None when it has more than `most` bytes.

        Raises:
            MissingObject: There is no such object.
        """
        body = self._small.get(oid)
        if body is None:
            new = self._pending.get(bytes.fromhex(oid))
            try:
                body = self.read(oid, most) if new is None else new[1]
            except TooLarge:
                return None
            if len(body) <= _SMALL:
                if len(self._small) >= _SMALL_KEPT:
                    self._small.clear()
                self._small[oid] = body
        return body if len(body) <= most else None

    def commit(self, oid: Oid) -> tuple[Oid, tuple[Oid, ...]]:
        """The tree and the parents of a commit, also of one that is not in the hub yet.

        Raises:
            MissingObject: There is no such commit.
        """
        found = self._commits.get(oid)
        if found is None:
            new = self._pending.get(bytes.fromhex(oid))
            head = (self.read(oid) if new is None else new[1]).partition(b"\n\n")[0].split(b"\n")
            parents = (line.removeprefix(b"parent ") for line in head if line.startswith(b"parent "))
            found = Oid(head[0].removeprefix(b"tree ").decode()), tuple(Oid(parent.decode()) for parent in parents)
            self.remember_commit(oid, *found)
        return found

    def tree(self, oid: Oid) -> Tree:
        """The entries of a tree."""
        found = self._trees.get(oid)
        if found is None:
            new = self._pending.get(bytes.fromhex(oid))
            found = parsed(self.read(oid) if new is None else new[1], len(oid) // 2)
            self.remember(oid, found)
        return found

    def entry(self, tree: Oid, path: bytes) -> tuple[str, Oid] | None:
        """Mode and id of the entry at a path; None without one."""
        *folders, name = path.split(b"/")
        for folder in folders:
            line = self.tree(tree).get(folder)
            if line is None or not is_folder(line):
                return None
            tree = split(line)[1]
        line = self.tree(tree).get(name)
        return None if line is None else split(line)

    def remember(self, oid: Oid, tree: Tree) -> None:
        """Have a tree at hand that is about to be written."""
        if self._kept > _ENTRIES_KEPT:
            self._trees.clear()
            self._kept = 0
        self._trees[oid] = tree
        self._kept += len(tree)

    def remember_commit(self, oid: Oid, tree: Oid, parents: tuple[Oid, ...]) -> None:
        """Have a commit at hand that is about to be written."""
        if len(self._commits) >= _COMMITS_KEPT:
            self._commits.clear()
        self._commits[oid] = (tree, parents)

    def close(self) -> None:
        """End git. The next read starts it again."""
        git, self._git = self._git, None
        if git is not None:
            git.kill()
            with git:
                pass
