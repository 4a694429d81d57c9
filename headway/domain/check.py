"""The user's check: one command that proves a commit green."""

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import AgentId, Incarnation, Oid, RunName
from headway.domain.refs import Ref

WHY_CHARS = 2_000


class RunCheck(BaseModel):
    """Argument of the activity that runs the check on one commit; None means the trunk as it stands."""

    model_config = ConfigDict(frozen=True)

    run: RunName
    incarnation: Incarnation
    spec: Ref
    asked_by: AgentId
    commit: Oid | None = None


class CheckVerdict(BaseModel):
    """Verdict of the check on a commit.

    Attributes:
        ran: False where the check could not be run. It says nothing of the commit then: the trunk as last seen.
        why: In words: 'passed', 'exit code 1', 'timed out after 120 s', 'could not be run: ...'.
        failing: The first lines that look like the failure, at most 2,000 characters.
        at: Time of its end, in seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True)

    commit: Oid
    passed: bool
    why: str
    ran: bool = True
    seconds: float = 0.0
    failing: str = ""
    at: float = 0.0

    @classmethod
    def could_not_run(cls, commit: Oid, why: str, now: float) -> "CheckVerdict":
        """The verdict where the check itself failed for good, and proves nothing about the commit."""
        return cls(commit=commit, passed=False, ran=False, why=f"could not be run: {why}"[:WHY_CHARS], at=now)
