"""Checks that a run's limits in dollars can be kept: each of its models needs a price for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headway.domain.errors import UserError
from headway.domain.limit_table import DOLLARS
from headway.domain.limits import micro
from headway.domain.spec import RunSpec
from headway.domain.state.budget import UNLIMITED


@dataclass(frozen=True)
class Pricing:
    """The models of a run that lack a price.

    Attributes:
        bounded: Each of them has one, so that limits in dollars can be kept.
        unpriced: The fields of the input that would set the missing prices.
        notes: Notes on it for a reader of the run.
    """

    bounded: bool
    unpriced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def usd(self, limit: float | Literal["none"]) -> int:
        """A limit in micro-dollars, where it can be kept."""
        return micro(limit) if self.bounded else UNLIMITED


def pricing_of(models: Mapping[str, tuple[str, bool]], spec: RunSpec) -> Pricing:
    """Check that the limits in dollars of a run can be kept.

    Args:
        models: For each role, the name of its model, and True where that has a price.
        spec: The run's input.

    Raises:
        UserError: A limit in dollars was set, and a model has no price.
    """
    missing = {role: name for role, (name, priced) in models.items() if not priced}
    if not missing:
        return Pricing(bounded=True)
    fields = tuple(f"models.{role}.price" for role in missing)
    asked = [
        f"limits.{name}"
        for name in DOLLARS
        if name in spec.limits.model_fields_set and getattr(spec.limits, name) != "none"
    ]
    names = ", ".join(dict.fromkeys(f"'{name}'" for name in missing.values()))
    if asked:
        raise UserError(
            f"{', '.join(asked)}: the price of the model {names} is not known, so no limit in dollars can be kept.",
            f"Set {' and '.join(fields)}, or name the model in the file of HEADWAY_PRICES; or limit the tokens alone.",
        )
    note = f"the model {names} has no known price: the run is bounded by its tokens and not in dollars"
    return Pricing(bounded=False, unpriced=fields, notes=(note,))
