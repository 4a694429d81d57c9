"""What the chaos suite shares: an environment of its own, a small repository, and restarts that do not wait long."""

import pytest

from headway.host.child_watch import Timing
from tests.end_to_end.conftest import small_repository
from tests.support import site
from tests.support.environment import home, own_environment

__all__ = ["home", "own_environment", "small_repository"]


@pytest.fixture(autouse=True)
def quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed over and over is started again after two seconds, not after half a minute."""
    monkeypatch.setattr(site, "TIMING", Timing(longest_wait_s=2.0))
