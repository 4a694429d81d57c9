"""A thousand kills, at any moment of an agent's life, lose nothing: the short form of it, and the whole."""

from pathlib import Path

import pytest

from tests.git.ground import Ground
from tests.git.kill_storm import Storm


def test_thirty_kills_lose_nothing(ground: Ground, tmp_path: Path) -> None:
    storm = Storm.gather(ground, tmp_path / "journals", 3, seed=11)
    storm.rage(30, check_every=15)
    assert storm.phases["land"] + storm.phases["snapshot"] + storm.phases["remove"] > 0


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_nothing(ground: Ground, tmp_path: Path) -> None:
    storm = Storm.gather(ground, tmp_path / "journals", 4, seed=12)
    storm.rage(1_000, check_every=50)
    print(dict(storm.phases), "landings:", ground.landings())
    assert min(storm.phases[phase] for phase in ("open", "edit", "snapshot", "commit", "land", "remove")) > 0
