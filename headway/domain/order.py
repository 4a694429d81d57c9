"""An order of a run's user: its fields, its check, and its effect on the run.

An update and a signal of the order's name give it. Each order has a module of its own in `orders`, whose `catalogue`
lists them. The workflow `Run` takes all of them by one handler.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, StringConstraints

from headway.domain.commands import Call
from headway.domain.errors import UserError
from headway.domain.ids import AgentId

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Request = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Order(BaseModel):
    """An order.

    Attributes:
        name: The name of its update and of its signal.
        waits: An activity comes first, see `first`.
        request: Names the order. The same request again gets the same answer, and is carried out once.
        who, why: Its author and its reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = ""
    waits: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type["Order"]]] = {}

    request: Request
    who: Word = ""
    why: Word = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.name:
            Order.kinds[cls.name] = cls

    def check(self, state: Any, run: str) -> None:
        """Refuse an impossible order, before any part of it counts.

        Args:
            state: The run's state.
            run: The run's name.

        Raises:
            UserError: It is about another run, comes too late, changes nothing, or cannot be kept.
        """
        raise NotImplementedError

    def first(self, state: Any) -> Call:
        """The activity whose result the order needs, once the run has been prepared."""
        raise NotImplementedError

    def apply(self, state: Any, result: Any, now: float) -> str:
        """Carry the order out. Returns the answer in words.

        Args:
            state: The run's state.
            result: That of the activity; None for an order that needs none.
            now: Seconds since the epoch.

        Raises:
            UserError: It is refused after all; the error is the answer.
        """
        raise NotImplementedError


class Aimed(Order):
    """An order about the run, or about one of its agents with everything below it."""

    target: AgentId

    def check(self, state: Any, run: str) -> None:
        """Refuse a target of another run."""
        del state
        if self.target != run and not self.target.startswith(f"{run}/"):
            raise UserError(
                f"target: '{self.target}' is not of run '{run}'", f"Give '{run}' itself or the id of an agent."
            )


def _read(value: Any) -> Order:
    if isinstance(value, Order):
        return value
    fields = dict(value)
    return Order.kinds[fields.pop("order")].model_validate(fields)


AnyOrder = Annotated[
    Order,
    PlainValidator(_read),
    PlainSerializer(lambda order: {"order": order.name} | order.model_dump(mode="json", exclude_defaults=True)),
]
"""An order in a state that is carried over."""
