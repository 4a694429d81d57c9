"""The user's check: one command that proves a commit green."""

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import AgentId, Incarnation, Oid, RunName
from headway.domain.refs import Ref


class RunCheck(BaseModel):
    """Argument of the activity that runs the check on one commit; None means the trunk as it stands."""

    model_config = ConfigDict(frozen=True)

    run: RunName
    incarnation: Incarnation
    spec: Ref
    asked_by: AgentId
    commit: Oid | None = None


class CheckVerdict(BaseModel):
    """What the check said of a commit.

    Attributes:
        why: In words: 'passed', 'exit code 1', 'timed out after 120 s'.
        failing: The first lines that look like the failure, at most 2,000 characters.
        at: When it ended, in seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True)

    commit: Oid
    passed: bool
    why: str
    seconds: float = 0.0
    failing: str = ""
    at: float = 0.0
