"""Random histories of workspaces, through a backend of ours and through plain git in a fresh clone as the judge.

`python -m tests.git.histories --rung overlay --seed 1 --count 2000` plays them and prints how many were; a history that
comes out otherwise than the judge says ends it, with the batch to play again (`--batch N`). `--namespace` plays it in a
user namespace of its own, where overlays have other attributes. Batches share a hub, whose trunk moves on from
history to history, so that most workspaces stand on a commit that their layers do not.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import get_args

from headway.domain.errors import ToolError
from headway.git.changes import shown
from headway.git.landing.landing import Conflicted, Landed, LandingOutcome, LandingRefused, NothingToLand
from headway.git.workspace import overlay
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.edits import NAMES, change_first_line, edit, random_path, seed_files
from tests.git.ground import Ground, allowed
from tests.git.judge import GITLINK, MARKER, Judge, Merge, Seen, ask, file_at, text_of

BATCH = 25
CONFLICT = b"<<<<<<< trunk"


class Differs(AssertionError):
    """A workspace and plain git do not agree."""


def _same(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        raise Differs(f"{what}\nours:   {ours!r}\njudged: {theirs!r}")


@dataclass
class Batch:
    """Histories on one hub."""

    place: Path
    rung: WorkspaceBackend
    rng: Random
    done: Counter[str] = field(default_factory=Counter)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = self.place / "source"
        source.mkdir()
        ask(source, "init", "--quiet", "--initial-branch=main")
        seed_files(source)
        ask(source, "add", "--force", "--all", ".")
        gone = "c0ffee" + "0" * 34
        ask(source, "update-index", "--add", "--cacheinfo", f"{GITLINK},{gone},sub")
        ask(source, "commit", "--quiet", "--message=First")
        self.ground = Ground.prepare(self.place / "state", source, self.rung)
        self.judge = Judge(self.place / "clone", self.ground.hub.folder)
        self.seed = self.ground.hub.tip()

    def play(self, histories: int) -> None:
        """Play some, each in a workspace of its own."""
        for number in range(histories):
            self.steps = []
            History(self, number).play()
            self.done["histories"] += 1

    def somebody_lands(self, rng: Random) -> None:
        """The trunk moves, by a commit of plain git."""
        tip = self.ground.hub.tip()
        self.judge.check_out(self.seed if rng.random() < 0.1 else tip)
        for _ in range(rng.randint(1, 4)):
            edit(rng, self.judge.folder, nested=False)
        self._push(tip)

    def somebody_changes(self, path: str, line: bytes) -> None:
        """The trunk moves by a change of the first line of one file, where it is there."""
        tip = self.ground.hub.tip()
        self.judge.check_out(tip)
        if change_first_line(self.judge.folder / path, line):
            self._push(tip)

    def _push(self, tip: str) -> None:
        ask(self.judge.folder, "add", "--all", ".")
        tree = text_of(ask(self.judge.folder, "write-tree"))
        if tree != self.judge.tree_of(tip):
            commit = self.judge.commit(tree, tip)
            ask(self.judge.folder, "push", "--quiet", "origin", f"{commit}:refs/heads/main")
            self.done["landings by others"] += 1


class History:
    """One workspace, from its first edit to its end."""

    def __init__(self, batch: Batch, number: int) -> None:
        self.batch, self.rng, self.judge, self.ground = batch, batch.rng, batch.judge, batch.ground
        self.number, self.lease = number, 1
        self.touched: set[str] = set()
        self.conflicted: set[str] = set()
        for _ in range(self.rng.randint(0, 2)):
            batch.somebody_lands(self.rng)
        self.workspace = self.ground.open(number)

    def play(self) -> None:
        """Random steps, and a look at the end."""
        steps = {
            self.edits: 10,
            self.look: 1,
            self.differences: 1,
            self.land: 4,
            self.clash: 1,
            self.keep: 1,
            self.others: 3,
            self.reopen: 1,
            self.own_git: 1,
        }
        for _ in range(self.rng.randint(3, 9)):
            step = self.rng.choices(list(steps), list(steps.values()))[0]
            self.batch.steps.append(step.__name__)
            step()
            self.batch.done[step.__name__] += 1
        self.look()
        self.ground.workspaces.discard(self.workspace)

    def edits(self) -> None:
        """What an agent's commands do."""
        for _ in range(self.rng.randint(1, 4)):
            said = edit(self.rng, self.workspace.path, nested=True)
            self.batch.steps.append(ascii(said))
            self.touched |= set(said[1:])

    def others(self) -> None:
        """The trunk moves."""
        self.batch.somebody_lands(self.rng)

    def clash(self) -> None:
        """Another one changes the same line; half of the times the agent lands the markers, or tries to."""
        known = ask(self.judge.folder, "ls-tree", "-r", "-z", "--name-only", self.workspace.base).split(b"\0")
        odd = [name for name in known[:-1] if shown(os.fsdecode(name)) != os.fsdecode(name)]
        path = os.fsdecode(self.rng.choice(odd if odd and self.rng.random() < 0.3 else known[:-1]))
        self.batch.steps.append(ascii(path))
        if change_first_line(self.workspace.path / path, b"of the agent"):
            self.touched.add(path)
            self.batch.somebody_changes(path, b"of another")
            self.land()
            if self.rng.random() < 0.5:
                self.land()

    def reopen(self) -> None:
        """The process died, and with a container its mounts."""
        if self.batch.rung == "overlay" and self.rng.random() < 0.5:
            overlay.unmount(self.workspace.path)
        self.lease += 1
        self.workspace = self.ground.open(self.number, lease=self.lease)

    def own_git(self) -> None:
        """The agent's own git, whose index and commits are nobody's business."""
        some = (("add", "--all"), ("commit", "--quiet", "--all", "--message=own"), ("stash",), ("reset", "--hard"))
        command = self.rng.choice(some)
        self.touched |= set(NAMES) if command[0] in {"stash", "reset"} else set()
        with suppress(AssertionError):
            ask(self.workspace.path, *command)
        (self.workspace.path / ".git/index.lock").unlink(missing_ok=True)

    def look(self) -> Seen:
        """Our scan and the judge's, of the same files."""
        workspace = self.workspace
        seen = self.judge.look(workspace.base, workspace.path)
        with workspace.held():
            found = workspace.scan()
        self._same_tree("files", found.files, seen.tree)
        _same("agent's tree", found.tree, seen.tree)
        _same("nested", found.nested, tuple(map(shown, seen.nested)))
        _same("unreadable", found.unreadable, ())
        self._untouched(seen)
        return seen

    def differences(self) -> None:
        """What an agent is told that it changed."""
        seen, changes = self.look(), self.workspace.changes()
        by = {"A": changes.added, "M": changes.modified, "D": changes.deleted}
        for status, paths in by.items():
            _same(f"changes {status}", sorted(paths), sorted(shown(p) for p, s in seen.changes.items() if s == status))

    def _same_tree(self, what: str, ours: str, theirs: str) -> None:
        if ours != theirs:
            _same(what, self._told(ours), self._told(theirs))

    def _told(self, tree: str) -> dict[str, list[str]]:
        return {path: facts for path, (_, facts) in self.judge.differing(self.workspace.base, tree).items()}

    def _untouched(self, seen: Seen) -> None:
        """Files that nobody touched here are as a fresh clone has them."""
        if any(path.endswith(".gitattributes") for path in seen.changes):
            return
        for path, before in seen.pristine.items():
            if path not in seen.changes and not any(self._covers(name, path) for name in self.touched):
                _same(f"bytes of {path}", file_at(self.workspace.path / path), before)

    def _covers(self, name: str, path: str) -> bool:
        return path == name or path.startswith(f"{name}/")

    def keep(self) -> None:
        """A snapshot holds what a fresh clone would commit."""
        seen = self.look()
        kept = snapshot(self.ground.hub, self.workspace, self.workspace.task, allowed)
        clean = seen.tree == self.judge.tree_of(seen.base)
        _same("snapshot", None if kept is None else kept.tree, None if clean else seen.tree)

    def land(self) -> None:
        """Our landing, and what plain git makes of the same change."""
        seen = self.look()
        paths = self._paths(seen) if self.rng.random() < 0.3 else None
        named = paths if paths is None else tuple(self.rng.choice((path, shown(path))) for path in paths)
        base, tip = self.judge.tree_of(seen.base), self.judge.tree_of(self.ground.hub.tip())
        lands = seen.tree if paths is None else self.judge.below(base, seen.tree, paths)
        try:
            outcome: LandingOutcome | ToolError = self.ground.land(self.workspace, paths=named, accept_doubtful=True)
        except ToolError as error:
            outcome = error
        self.batch.done[type(outcome).__name__] += 1
        if seen.nested and (paths is None or self._near(paths, seen.nested)):
            _same("landing", type(outcome), LandingRefused)
            return
        if any(self._is_nothing(seen, path) for path in paths or ()):
            _same("landing", type(outcome), ToolError)
            return
        marked = self._marked(lands)
        if marked:
            _same(
                "markers", outcome.paths if isinstance(outcome, LandingRefused) else outcome, tuple(map(shown, marked))
            )
            return
        if lands == base:
            _same("landing", outcome, NothingToLand(seen.base))  # type: ignore[arg-type]
            return
        self._merged(seen, outcome, lands, self.judge.merge(base, tip, lands), (base, tip))

    def _merged(self, seen: Seen, outcome: object, lands: str, merge: Merge, trees: tuple[str, str]) -> None:
        base, tip = trees
        if merge.tree is None:
            if not isinstance(outcome, Conflicted):
                raise Differs(f"landed, and git merge conflicts in {sorted(merge.conflicts)}: {outcome}")
            whole = self.judge.merge(base, tip, seen.tree)
            _same("conflicts", _plain(outcome.paths), _plain(map(shown, merge.conflicts)))
            self._arrived(whole, seen.tree)
            self.conflicted |= {self._own_name(path) for path in (*whole.conflicts, *merge.conflicts)}
        else:
            if merge.tree == tip:
                _same("landing", outcome, NothingToLand(self.ground.hub.tip()))
            elif not isinstance(outcome, Landed):
                raise Differs(f"git merge is clean: {outcome}")
            now = self.judge.tree_of(self.ground.hub.tip())
            self._same_tree("trunk", now, merge.tree)
            rest = self.judge.merge(lands, now, seen.tree)
            self._arrived(rest, seen.tree)
            self.conflicted |= {self._own_name(path) for path in rest.conflicts}

    def _moved(self, before: str, name: str) -> bool:
        """Whether a file of this name differs between the files then and the commit now."""
        return any(path.endswith(name) for path in self.judge.differing(before, self.workspace.base))

    def _arrived(self, merge: Merge, before: str) -> None:
        """The workspace stands on the newest trunk, and its files are what git makes of them."""
        _same("base", self.workspace.base, self.ground.hub.tip())
        seen = self.look()
        if merge.tree is not None:
            if seen.tree != merge.tree:
                self._same_but_for_rules(before, self._told(seen.tree), self._told(merge.tree))
            return
        for path, there in merge.conflicts.items():
            if there is not None and CONFLICT in there[1]:
                _same(f"markers in {path}", file_at(self.workspace.path / self._own_name(path)), there)

    def _own_name(self, path: str) -> str:
        """The name here of a path that conflicts.

        Git names a file that it moves aside by a commit, and the judge's commit is another one.
        """
        name, aside, _ = path.partition("~")
        folder, _, last = name.rpartition("/")
        place = self.workspace.path / folder
        found = [each for each in place.iterdir() if each.name.startswith(f"{last}~")] if aside else []
        return str(found[0].relative_to(self.workspace.path)) if len(found) == 1 else path

    def _same_but_for_rules(self, before: str, now: dict[str, list[str]], then: dict[str, list[str]]) -> None:
        keys = now.keys() | then.keys()
        if self._moved(before, ".gitignore"):
            # What was ignored before may be seen now, and the other way round.
            keys -= {path for path in now.keys() ^ then.keys() if (now | then)[path][-1] == "A"}
        # So may be what lies in the folder of a submodule that is none any more.
        links = [line.split(b"\t")[1] for line in self._listed(before) if line.startswith(GITLINK.encode())]
        keys -= {
            path for path in now.keys() - then.keys() if any(self._covers(os.fsdecode(each), path) for each in links)
        }
        # New rules give a file that was not landed another form; the look itself was judged.
        facts = slice(None) if not self._moved(before, ".gitattributes") else slice(-1, None)
        ours, theirs = (
            [(key, found[key][facts] if key in found else None) for key in sorted(keys)] for found in (now, then)
        )
        _same("files after", ours, theirs)

    def _listed(self, tree: str) -> list[bytes]:
        return ask(self.judge.folder, "ls-tree", "-r", "-z", tree).split(b"\0")

    def _marked(self, tree: str) -> list[str]:
        """Paths that conflicted before and hold markers in what is to land."""
        found = []
        for path in sorted(self.conflicted):
            body = ask(self.judge.folder, "cat-file", "blob", f"{tree}:{path}", ok=(0, 128))
            if any(map(MARKER.fullmatch, body.splitlines())):
                found.append(path)
        return found

    def _is_nothing(self, seen: Seen, path: str) -> bool:
        """Whether a path is neither there nor changed."""
        if any(self._covers(path, changed) for changed in seen.changes):
            return False
        return ask(self.judge.folder, "ls-tree", seen.tree, "--", path) == b""

    def _paths(self, seen: Seen) -> tuple[str, ...]:
        known = list(seen.changes)
        return tuple(
            self.rng.choice(known) if known and self.rng.random() < 0.8 else random_path(self.rng) for _ in range(2)
        )

    def _near(self, paths: tuple[str, ...], nested: tuple[str, ...]) -> bool:
        return any(self._covers(a, b) or self._covers(b, a) for a in paths for b in nested)


def _plain(paths: object) -> set[str]:
    """Paths without the endings that git gives to files it moves aside."""
    return {path.partition("~")[0] for path in paths}  # type: ignore[attr-defined]


def batches(place: Path, rung: WorkspaceBackend, seed: int, count: int, first: int = 0) -> Counter[str]:
    """Play `count` histories in batches; returns what was done in all.

    Raises:
        Differs: Plain git says otherwise; the message names the batch.
    """
    done: Counter[str] = Counter()
    for number in range(first, first + -(-count // BATCH)):
        folder = Path(tempfile.mkdtemp(prefix="histories-", dir=place))
        batch = None
        try:
            batch = Batch(folder, rung, Random(f"{seed}/{number}"), done)
            batch.play(min(BATCH, count - (number - first) * BATCH))
        except AssertionError as error:
            steps = batch.steps if batch is not None else []
            raise Differs(f"{rung}, seed {seed}, batch {number}: {error}\nsteps: {steps}") from error
        finally:
            overlay.unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return done


def main() -> None:
    """Play as asked on the command line."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rung", choices=get_args(WorkspaceBackend), default="overlay")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--count", type=int, default=2_000)
    asked.add_argument("--batch", type=int, default=0)
    asked.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()))
    asked.add_argument("--namespace", action="store_true")
    given = asked.parse_args()
    if given.namespace:
        rest = [part for part in sys.argv[1:] if part != "--namespace"]
        os.execvp("unshare", ["unshare", "-Urm", sys.executable, "-m", "tests.git.histories", *rest])
    started = time.monotonic()
    done = batches(given.place, given.rung, given.seed, given.count, given.batch)
    print(f"{given.rung}: {dict(done)} in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
