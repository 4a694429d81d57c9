"""Files of any size are looked at within bounds of memory, here and in git."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.ids import Oid
from headway.git.landing import merging
from headway.git.landing.landing import Conflicted, Landed, LandingRefused
from headway.git.landing.merging import LARGE, WHOLE, marked
from headway.git.objects import MissingObject, Reader
from tests.git.ground import Ground, git, own_mb, write
from tests.git.judge import MARKER

APP = "src/app.py"
MARKS = ("<<<<<<< trunk", "||||||| before both", ">>>>>>> your change")
PARTS = st.lists(
    st.sampled_from(
        [*MARKS, "<<<<<<<< trunk", "<", "\n", "\r", "\r\n", "x", " ", "<<<<<<< trunk!", "=======", "y" * 40]
    )
)


@given(PARTS, st.lists(st.integers(0, 400)))
def test_a_marker_is_found_wherever_the_text_is_cut_into_pieces(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts).encode()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert merging._has_marker(pieces) == any(map(MARKER.fullmatch, text.splitlines()))


def _blob(ground: Ground, path: str, content: bytes) -> Oid:
    """A tree with one file."""
    (ground.hub.folder / "content").write_bytes(content)
    blob = git(ground.hub.folder, "hash-object", "-w", "--", str(ground.hub.folder / "content"))
    made = ground.hub.repo.run("mktree", stdin=f"100644 blob {blob}\t{path}\n".encode())
    return made.oid


def test_markers_are_looked_for_in_a_file_of_any_size(ground: Ground) -> None:
    line = b"x" * 99 + b"\n"
    clean = _blob(ground, "a", line * 400_000)
    dirty = _blob(ground, "a", line * 400_000 + b">>>>>>> your change")
    tracemalloc.start()
    assert marked(ground.hub.repo, clean, ("a", "gone")) == []
    assert marked(ground.hub.repo, dirty, ("a", "gone")) == ["a"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_reader_whose_caller_has_seen_enough_reads_the_next_object(ground: Ground) -> None:
    tree = _blob(ground, "a", b"x" * 1_000_000)
    reader = Reader(ground.hub.repo, {})
    entry = reader.entry(tree, b"a")
    assert entry is not None
    pieces = reader.chunks(entry[1])
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # an iterator of a generator
    assert reader.tree(ground.hub.repo.tree_of(ground.hub.tip()))
    with pytest.raises(MissingObject):
        list(reader.chunks(Oid("0" * 40)))
    assert b"".join(reader.chunks(entry[1])) == b"x" * 1_000_000
    reader.close()


def test_a_file_too_large_for_markers_conflicts_as_a_whole(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "LARGEST_LABELLED", 500)
    first, second = ground.open(1), ground.open(2)
    write(first.path, {APP: "first\n" * 200, "small": "1\n"})
    write(second.path, {APP: "second\n" * 200, "small": "2\n"})
    assert isinstance(ground.land(first), Landed)
    outcome = ground.land(second)
    assert isinstance(outcome, Conflicted)
    assert dict(zip(outcome.paths, outcome.kinds, strict=True)) == {APP: LARGE, "small": "add/add"}
    assert LARGE in WHOLE
    assert (second.path / APP).read_text() == "first\n" * 200
    assert ground.hub.read_file(outcome.before, APP) == b"second\n" * 200
    assert "<<<<<<< trunk" in (second.path / "small").read_text()
    assert isinstance(ground.land(second), LandingRefused)
    write(second.path, {APP: "both\n" * 200, "small": "12\n"})
    assert isinstance(ground.land(second), Landed)


def test_git_counts_no_lines_of_a_large_new_file(ground: Ground, peaks: list[int]) -> None:
    workspace = ground.open()
    write(workspace.path, {"lines": b"\n" * (8 << 20), "binary": b"\0\n", "text": "x\n"})
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert refused.doubtful
    assert set(refused.paths) == {"lines", "binary"}
    assert max(peaks) < own_mb() + 60
