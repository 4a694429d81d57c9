"""One child of a planner: asked for, at work, or closed."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import ChildKey
from headway.domain.messages import Ask, GrantVersion
from headway.domain.planner_turn import ChildKind
from headway.domain.state.budget import Amount, Compact, Sizes


class Child(BaseModel):
    """An outstanding child. On the wire its names are short and defaults are left out: a planner may hold a thousand of
    them, each in 160 bytes.

    Attributes:
        granted: The amount of this planner's account that it holds; None before it was started.
        need: The amount that it asked for beyond that, while it waits for an answer; zero asks for the same answer
            again.
        recovered: It was asked for in a past that a reset took back: it may be running, and its place may belong to
            another child now.
        grant_version: Its own, as far as is known here; see `Ask`.
        stuck_below: It is a sub-planner that waits, and all below it waits too.
        called: A sub-planner was asked to give back its unneeded budget, and has not answered.
        unsure: `granted` is the most that it may hold; its next ask tells the amount.
    """

    model_config = ConfigDict(populate_by_name=True)

    kind: ChildKind = Field(default=ChildKind.TASK, alias="k")
    title: str = Field(alias="t")
    seq: int = Field(alias="s")
    item: int = Field(default=0, alias="i")
    priority: int = Field(default=0, alias="p")
    granted: Compact | None = Field(default=None, alias="l")
    need: Compact | None = Field(default=None, alias="n")
    cancelled: bool = Field(default=False, alias="c")
    recovered: bool = Field(default=False, alias="r")
    grant_version: GrantVersion = Field(default=(0, 0), alias="v")
    stuck_below: bool = Field(default=False, alias="w")
    called: bool = Field(default=False, alias="b")
    unsure: bool = Field(default=False, alias="u")

    @property
    def stuck(self) -> bool:
        """True if it waits, and nothing below it goes on."""
        return self.need is not None and (self.kind is ChildKind.TASK or self.stuck_below)

    @model_serializer(mode="wrap")
    def _short(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        wire: dict[str, Any] = serialise(self)
        for name, field in Child.model_fields.items():
            if getattr(self, name) == field.default:
                wire.pop(field.alias or name, None)
                wire.pop(name, None)
        return wire


class EarlyAsk(BaseModel):
    """An ask of a child that this history has not asked for yet; on the wire its names are short, as those of `Child`.

    Attributes:
        granted, need, stuck, grant_version: As in `Ask`.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    granted: Compact = Field(alias="g")
    need: Compact = Field(alias="n")
    grant_version: GrantVersion = Field(alias="v")
    stuck: bool = Field(alias="w")

    @classmethod
    def of(cls, ask: Ask) -> "EarlyAsk":
        """The ask without its child, which is its key."""
        return cls(granted=ask.granted, need=ask.need, grant_version=ask.grant_version, stuck=ask.stuck)

    def by(self, child: ChildKey) -> Ask:
        """The ask again."""
        return Ask(
            child=child, granted=self.granted, need=self.need, grant_version=self.grant_version, stuck=self.stuck
        )


class Closed(BaseModel):
    """A child whose handoff was taken in."""

    key: ChildKey
    kind: ChildKind
    title: str
    status: HandoffStatus


def least_part(child: Child, sizes: Sizes) -> Amount:
    """The least part of its need with which a child goes on: for a task all, for a planner enough for one child."""
    need = child.need or Amount()
    return need if child.kind is ChildKind.TASK else need.least(sizes.next_planner)
