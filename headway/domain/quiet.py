"""How long nothing was achieved in a run while its agents could have worked."""

from pydantic import BaseModel, ConfigDict

STALLED_S = 30 * 60.0
"""Active seconds without progress after which a run is shown as stalled (design, section 3)."""

PROGRESS = frozenset({"llm.response", "land", "handoff"})
"""The events of agents' logs that are progress: a model's reply, a landing, a handoff."""


class Quiet(BaseModel):
    """A clock that stands still while the run is paused, parked, held, or proves its trunk.

    Attributes:
        progress_at: When the newest progress was made, in seconds since the epoch; 0 before the first.
        seconds: How long agents could have worked since, and nothing came of it.
        seen_at: When this was last looked at.
    """

    model_config = ConfigDict(frozen=True)

    progress_at: float = 0.0
    seconds: float = 0.0
    seen_at: float = 0.0

    def seen(self, progress_at: float, now: float, *, active: bool) -> "Quiet":
        """The clock after another look; `active`: agents may work, as far as is known now."""
        if progress_at > self.progress_at:
            return Quiet(progress_at=progress_at, seconds=max(0.0, now - progress_at) if active else 0.0, seen_at=now)
        passed = max(0.0, now - self.seen_at) if active and self.seen_at else 0.0
        return self.model_copy(update={"seconds": self.seconds + passed, "seen_at": now})

    @property
    def stalled(self) -> bool:
        """Whether people should look."""
        return self.seconds >= STALLED_S

    @property
    def words(self) -> str:
        """What is told then."""
        minutes = int(self.seconds // 60)
        return f"stalled: no model call, landing or handoff for {minutes} active minutes; the agents' logs say more"
