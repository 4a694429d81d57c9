"""Stall detection: the time in which a run achieved nothing although its agents could have worked."""

from pydantic import BaseModel, ConfigDict

STALLED_S = 30 * 60.0
"""Active seconds without progress after which a run is shown as stalled (design, section 3)."""

PROGRESS = frozenset({"llm.response", "land", "handoff"})
"""The events of agents' logs that are progress: a model's reply, a landing, a handoff."""


class Stall(BaseModel):
    """A clock that stands still while the run is paused, parked, held, or proves its trunk.

    Attributes:
        progress: Another number than before means progress, see `Published`.
        seconds: Time since then in which agents could have worked, in seconds.
        seen_at: Time of the last look.
    """

    model_config = ConfigDict(frozen=True)

    progress: int = 0
    seconds: float = 0.0
    seen_at: float = 0.0

    def seen(self, progress: int, progress_at: float, now: float, *, active: bool) -> "Stall":
        """The clock after another look.

        Args:
            progress: See `Published`.
            progress_at: Time of the progress, by the clock of the machine that made it. That clock may have been set
                since.
            now: The workflow's time.
            active: Agents may work, as far as is known now.
        """
        passed = max(0.0, now - self.seen_at) if active and self.seen_at else 0.0
        if progress != self.progress:
            since = max(0.0, now - progress_at) if active else 0.0
            # It was made after the last look, whatever its machine's clock said.
            return Stall(progress=progress, seconds=min(since, passed) if self.seen_at else 0.0, seen_at=now)
        return self.model_copy(update={"seconds": self.seconds + passed, "seen_at": now})

    @property
    def stalled(self) -> bool:
        """True if people should look."""
        return self.seconds >= STALLED_S

    @property
    def words(self) -> str:
        """The note for people in that case."""
        minutes = int(self.seconds // 60)
        return f"stalled: no model call, landing or handoff for {minutes} active minutes; the agents' logs say more"
