"""What a run's trunk may grow by: counted as plain git counts, and a bound that no series of landings passes by far."""

import random
from dataclasses import replace

import pytest

from headway.domain.ids import Oid
from headway.git.landing import refusals
from headway.git.landing.growth import growth
from headway.git.landing.landing import Landed, LandingRefused
from tests.git.ground import Ground, allowed, git, write

KB = 1024


def size_of(ground: Ground, commit: Oid) -> int:
    """What plain git counts."""
    listed = git(ground.hub.folder, "ls-tree", "-r", "-l", commit)
    return sum(int(line.split()[3]) for line in listed.splitlines() if line.split()[1] == "blob")


def land(ground: Ground, files: dict[str, str | bytes | None], trunk_mb: int) -> Landed | LandingRefused:
    workspace = ground.open()
    write(workspace.path, files)
    asked = replace(ground.ask(workspace, accept_doubtful=True), trunk_mb=trunk_mb)
    outcome = ground.landing.land(workspace, asked, allowed)
    assert isinstance(outcome, Landed | LandingRefused)
    return outcome


@pytest.mark.parametrize("seed", range(3))
def test_growth_is_what_plain_git_counts(ground: Ground, seed: int) -> None:
    drawn, there = random.Random(seed), ["README.md"]
    for number in range(12):
        files: dict[str, str | bytes | None] = {f"f{number}": drawn.randbytes(drawn.randrange(1, 60 * KB)).hex()}
        if drawn.random() < 0.5:
            files[drawn.choice(there)] = drawn.choice(["short\n", "long\n" * 9_000, None])
        outcome = land(ground, files, trunk_mb=100)
        if isinstance(outcome, Landed) and drawn.random() < 0.4:
            assert growth(ground.hub) == size_of(ground, outcome.commit) - size_of(ground, ground.facts.base)
        there = git(ground.hub.folder, "ls-tree", "-r", "--name-only", "main").splitlines()
    (ground.hub.folder / "growth.json").write_text("")  # as a crash of the machine may leave it
    tip = ground.hub.tip()
    assert growth(ground.hub) == size_of(ground, tip) - size_of(ground, ground.facts.base)


def test_a_landing_beyond_the_bound_is_refused_until_there_is_room(ground: Ground) -> None:
    for number in range(4):
        assert isinstance(land(ground, {f"z{number}": f"{number}" * 480 * KB}, trunk_mb=2), Landed)
    refused = land(ground, {"z9": "9" * 480 * KB}, trunk_mb=2)
    assert isinstance(refused, LandingRefused)
    assert refused.reason == (
        "the run's files may grow by 2 MB (limits.trunk_mb) and have grown by 1.9 MB; this change adds 0.5 MB"
    )
    assert not refused.doubtful
    assert isinstance(land(ground, {"z9": None, "z0": None}, trunk_mb=2), Landed), "what makes room lands"
    assert isinstance(land(ground, {"z9": "9" * 480 * KB}, trunk_mb=2), Landed)


def test_many_small_landings_meet_the_bound_too(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_MB", 100)
    workspace = ground.open()
    outcomes = []
    for number in range(80):
        write(workspace.path, {f"small/{number}": f"{number:04d}" * 4})
        asked = replace(ground.ask(workspace, accept_doubtful=True), trunk_mb=2)
        outcomes.append(ground.landing.land(workspace, asked, allowed))
        if isinstance(outcomes[-1], LandingRefused):
            break
    assert isinstance(outcomes[-1], LandingRefused)
