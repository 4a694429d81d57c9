"""Events of an agent's work and of its resources: files, landings, notes, waits, limits."""

from typing import Any, ClassVar, Literal, Self

from pydantic import field_serializer

from headway.domain.check import CheckVerdict
from headway.domain.ids import Oid
from headway.domain.retention import Keep
from headway.domain.state.budget import Amount
from headway.eventlog.events.envelope import Body


class Edit(Body):
    """A file was changed by a tool. `how`: the way in which the place was found."""

    type: ClassVar[str] = "edit"
    keep: ClassVar[Keep] = Keep.DROP

    path: str
    call_id: str
    kind: Literal["write", "edit", "patch"]
    how: str | None = None


class LandedCommit(Body):
    """A commit of the agent is on the trunk."""

    type: ClassVar[str] = "land"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("trunk",)

    commit: Oid
    trunk: Oid = Oid("")


class SnapshotKept(Body):
    """Changes that are not landed are kept on a ref."""

    type: ClassVar[str] = "snapshot"
    keep: ClassVar[Keep] = Keep.FULL

    commit: Oid
    ref: str
    base: Oid


class Check(Body, CheckVerdict):
    """The user's check said something of a commit of the trunk."""

    type: ClassVar[str] = "check"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = tuple(CheckVerdict.model_fields)

    @classmethod
    def of(cls, verdict: CheckVerdict) -> Self:
        """The event that tells of a verdict."""
        return cls(**dict(verdict))

    @property
    def verdict(self) -> CheckVerdict:
        """The verdict alone."""
        return CheckVerdict(**dict(self))


class Scratchpad(Body):
    """The agent rewrote its notes."""

    type: ClassVar[str] = "scratchpad"
    keep: ClassVar[Keep] = Keep.FULL

    content: str


class Compaction(Body):
    """An epoch was closed. `how`: with a `note` of the model, or by the `rules` alone; `opening` is the next one's."""

    type: ClassVar[str] = "compaction"
    keep: ClassVar[Keep] = Keep.DROP

    how: Literal["note", "rules"]
    from_tokens: int
    from_bytes: int
    from_epoch: int
    to_tokens: int
    to_bytes: int
    opening: str


class ResourceKill(Body):
    """A command was killed for its use of a resource."""

    type: ClassVar[str] = "resource.kill"
    keep: ClassVar[Keep] = Keep.DROP

    call_id: str
    why: str
    seconds: float


class ResourceWait(Body):
    """A model call begins to wait for `resource`, or that wait is over."""

    type: ClassVar[str] = "resource.wait"
    keep: ClassVar[Keep] = Keep.DROP

    resource: str | None = None
    why: str | None = None
    over: bool = False


class BudgetAsked(Body):
    """A worker gave up its slot until its budget is raised by this much."""

    type: ClassVar[str] = "budget"
    keep: ClassVar[Keep] = Keep.FULL

    needs: Amount

    @field_serializer("needs")
    def _needs(self, needs: Amount) -> dict[str, Any]:
        return needs.model_dump(exclude_defaults=True)


class Policy(Body):
    """The user added something to the run. `amendment`: the request that did."""

    type: ClassVar[str] = "policy"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("who", "why")

    amendment: str
    text: str
    who: str = ""
    why: str = ""
