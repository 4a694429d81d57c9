"""What landings are measured on: a repository with history, and changes of it that are ready to land."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headway.domain.ids import AgentId, Fence, Oid, RunName
from headway.git.changes import Change
from headway.git.hub import Hub
from headway.git.landing.pack import Pack
from headway.git.landing.queue_files import Queued
from headway.git.landing.splice import Splice
from headway.git.landing.submission import Submission
from headway.git.objects import Reader

FILES = 7_500
LINES = 60
AUTHOR = "Bench Mark <bench@example.org>"
RUN = RunName("bench")
FENCE = Fence("held")
_PER_COMMIT = 100


def path_of(number: int) -> str:
    """The name of a file: 25 folders of 20 folders of 15 files."""
    return f"p{number % 25:02}/q{number // 25 % 20:02}/f{number:05}.py"


def text_of(number: int) -> str:
    """What a file holds at first."""
    return "".join(f"value_{line} = {number * line}\n" for line in range(LINES))


def generate(folder: Path, commits: int = FILES // _PER_COMMIT) -> Path:
    """A bare repository of 7,500 files; commits after the 75th change one file each."""
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder], check=True)
    command = ["git", f"--git-dir={folder}", "fast-import", "--quiet", "--depth=10"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as load:
        assert load.stdin is not None
        for number in range(commits):
            _commit(load.stdin, number)
    assert load.returncode == 0
    return folder


def _commit(to: IO[bytes], number: int) -> None:
    said = f"Change {number}\n".encode()
    who = f"committer {AUTHOR} {1_600_000_000 + number} +0000\n".encode()
    to.write(b"commit refs/heads/main\n" + who + b"data %d\n" % len(said) + said)
    first = number * _PER_COMMIT
    changed = range(first, first + _PER_COMMIT) if first < FILES else [number % FILES]
    for each in changed:
        body = text_of(each).encode() if first < FILES else b"value = %d\n" % number
        to.write(b"M 100644 inline %s\ndata %d\n" % (path_of(each).encode(), len(body)) + body + b"\n")
    to.write(b"\n")


@dataclass
class Ready:
    """Makes changes whose objects are in the hub already, as those of a workspace are once its files were read."""

    hub: Hub
    base: Oid

    def __post_init__(self) -> None:
        self.pack = Pack(self.hub.folder / "objects" / "pack", self.base)
        self.reader = Reader(self.hub.repo, self.pack.objects)
        self.splice = Splice(self.reader, lambda body: self.pack.add("tree", body))
        listed = self.hub.repo.run("ls-tree", "-r", "-z", self.base).out.split(b"\0")
        self.paths = [line.partition(b"\t")[2] for line in listed if line.startswith(b"100644 ")]

    def change(self, path: bytes, body: bytes, base: Oid, submitter: int, place: str) -> Queued:
        """One file set to `body`, on `base`. `flush` puts the objects into the hub."""
        tree = self._tree(base)
        change = Change(path, self.reader.entry(tree, path), ("100644", self.pack.add("blob", body)))
        changed = self.splice.into(tree, [change])
        me = AgentId(f"{RUN}/root-0a1b2c3d/1.{submitter}-{submitter:08x}")
        asked = Submission(
            f"Change {path.decode(errors='replace')}", AUTHOR, RUN, me, (f"{RUN}/root-0a1b2c3d",), place, FENCE
        )
        mark = asked.mark(base, changed)
        return Queued("", "", FENCE, me, mark, base, changed, AUTHOR, asked.text(mark), (change,))

    def _tree(self, commit: Oid) -> Oid:
        return Oid(self.reader.read(commit)[5 : 5 + len(commit)].decode())

    def blob(self, commit: Oid, path: bytes) -> bytes:
        """A file of a commit."""
        found = self.reader.entry(self._tree(commit), path)
        assert found is not None
        return self.reader.read(found[1])

    def flush(self) -> None:
        """Put the objects into the hub."""
        self.pack.write(synced=False)

    def disjoint(self, first: int, step: int) -> Iterator[Queued]:
        """Changes of one file each, which nobody else changes; the first path is left out, and past the last: new."""
        number = first + 1
        while True:
            known = number < len(self.paths)
            path = self.paths[number] if known else path_of(number + FILES).encode()
            yield self.change(path, f"{text_of(number)}# by {first}\n".encode(), self.base, first, f"bench:{number}")
            number += step
