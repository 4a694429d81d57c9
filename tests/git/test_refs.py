"""A ref is found wherever git keeps it, and a lock file of it belongs to its holder as long as that lives."""

import os
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from headway.domain.errors import TransientError
from headway.domain.ids import Oid
from headway.git import refs
from headway.git.git_environment import hermetic_environment
from headway.git.hub import TRUNK
from headway.git.refs import read_ref, swap
from tests.git.ground import Ground, allowed, git
from tests.support.waiting import wait_until

_NAMES = st.text(st.sampled_from("abz-/.09é"), min_size=1, max_size=6).filter(
    lambda name: not any(part in ("", ".", "..") or part[0] == "." for part in name.split("/"))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(_NAMES, max_size=30), asked=_NAMES, ordered=st.booleans(), tags=st.sets(st.integers(0, 29)))
def test_every_packed_ref_is_found_and_no_other(
    tmp_path: Path, names: set[str], asked: str, ordered: bool, tags: set[int]
) -> None:
    listed = sorted((f"refs/x/{name}" for name in names), key=os.fsencode)
    oids = {name: Oid(f"{number:040x}") for number, name in enumerate(listed)}
    lines = ["# pack-refs with: peeled fully-peeled sorted "] if ordered else []
    for number, name in enumerate(listed if ordered else reversed(listed)):
        lines.append(f"{oids[name]} {name}")
        lines += [f"^{number:040x}"] if number in tags else []
    (tmp_path / "packed-refs").write_text("".join(f"{line}\n" for line in lines))
    for name in {*oids, f"refs/x/{asked}"}:
        assert read_ref(tmp_path, name) == oids.get(name)


def test_git_finds_the_same(ground: Ground) -> None:
    told = "".join(f"create refs/headway/wip/{number % 7}/{number} {ground.facts.base}\n" for number in range(300))
    env = hermetic_environment() | {"GIT_DIR": str(ground.hub.folder)}
    subprocess.run(["git", "update-ref", "--stdin"], input=told.encode(), env=env, check=True)
    for pack in (False, True):
        if pack:
            git(ground.hub.folder, "pack-refs", "--all")
        names = git(ground.hub.folder, "for-each-ref", "--format=%(refname)").split("\n")
        assert len(names) == 301
        assert all(read_ref(ground.hub.folder, name) == ground.facts.base for name in names)
        assert read_ref(ground.hub.folder, "refs/headway/wip/8/1") is None


def test_a_ref_that_is_not_there_costs_nothing_among_very_many(tmp_path: Path) -> None:
    lines = [f"{'0' * 40} refs/headway/wip/run/root-0a1b2c3d/1.{n:07}-{n:08x}" for n in range(300_000)]
    (tmp_path / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + "\n".join(lines) + "\n")
    began = time.thread_time()
    for number in range(100):
        assert read_ref(tmp_path, f"refs/headway/wip/run/root-0a1b2c3d/9.{number}") is None
    assert (time.thread_time() - began) / 100 < 0.005


def _commit(ground: Ground, parent: Oid, message: str) -> Oid:
    tree = ground.hub.repo.tree_of(ground.facts.base)
    return Oid(git(ground.hub.folder, "commit-tree", "-p", parent, "-m", message, tree))


def test_a_lock_that_is_empty_stays_while_a_git_that_may_hold_it_works(ground: Ground) -> None:
    """Git packs refs with an empty lock of each: who takes that away has the new ref deleted as the old one."""
    lock = ground.hub.folder / f"{TRUNK}.lock"
    new = Oid(
        git(ground.hub.folder, "commit-tree", "-p", ground.facts.base, "-m", "x", f"{ground.facts.base}^{{tree}}")
    )
    env = hermetic_environment() | {"GIT_DIR": str(ground.hub.folder)}
    git(ground.hub.folder, "pack-refs", "--all", "--no-prune")
    with subprocess.Popen(["git", "update-ref", "--stdin"], stdin=subprocess.PIPE, env=env) as packing:
        assert packing.stdin is not None
        # As pack-refs does when it prunes: what is deleted is locked with a lock that says nothing.
        packing.stdin.write(f"start\ndelete {TRUNK} {ground.facts.base}\nprepare\n".encode())
        packing.stdin.flush()
        wait_until(lock.exists)
        assert lock.read_text() == ""
        with pytest.raises(TransientError, match=str(packing.pid)):
            swap(ground.hub.folder, TRUNK, new, ground.facts.base, left=new, check=allowed, synced=True)
        assert lock.exists()
        packing.kill()
    assert swap(ground.hub.folder, TRUNK, new, ground.facts.base, left=new, check=allowed, synced=True)
    assert ground.hub.tip() == new


def test_refs_are_packed_and_the_trunk_moved_all_the_time(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by holders that take an earlier one for dead in the middle of a move."""
    monkeypatch.setattr(refs, "_STALE_S", 0.05)
    over = threading.Event()

    def pack() -> None:
        while not over.is_set():
            git(ground.hub.folder, "pack-refs", "--all", check=False)

    packer = threading.Thread(target=pack)
    packer.start()
    tip = ground.facts.base
    try:
        for number in range(60):
            new = _commit(ground, tip, f"{number}")
            wait_until(partial(_swapped, ground, new, tip))
            tip = new
            for _ in range(20):
                assert read_ref(ground.hub.folder, TRUNK) == tip
    finally:
        over.set()
        packer.join()
    assert ground.hub.tip() == tip


def _swapped(ground: Ground, new: Oid, tip: Oid) -> bool:
    try:
        return swap(ground.hub.folder, TRUNK, new, tip, left=new, check=allowed, synced=False)
    except TransientError:
        return False
