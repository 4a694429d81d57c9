"""Faults on purpose, by probability and seed. Pure."""

import fnmatch
import hashlib
from typing import Literal, cast, get_args

from pydantic import model_validator

from headway.rehearsal.asker import Asker
from headway.rehearsal.part import Part, Positive, Seconds, Share

Outage = Literal[
    "rate_limit", "quota", "server_error", "unavailable", "hang", "truncated", "html", "dropped", "overflow"
]
"""Faults of the wire: the same request, asked again, may succeed."""

Nonsense = Literal["unknown_tool", "bad_arguments", "empty", "toolless", "refusal"]
"""Faults of the model: an answer like any other on the wire, with nothing in it that helps."""

Words = Literal["openai", "vllm", "llama.cpp"]

OUTAGES: frozenset[str] = frozenset(get_args(Outage))
OUTAGES_IN_A_ROW = 3
NONSENSE_IN_A_ROW = 1
RETRY_AFTER_S = 1.0
HANG_S = 30.0

_FIELDS = {
    "retry_after_s": ("rate_limit", "quota", "unavailable"),
    "seconds": ("hang",),
    "words": ("overflow",),
}


class Fault(Part):
    """A rule by which some requests go wrong.

    Attributes:
        share: The part of the requests that it hits; at 1 it hits each, as often as `times` allows.
        seed: Of the draws; by default the playbook's.
        only: `planners`, `tasks`, or a title with `*`, `?` or `[...]`; the root planner's title is `root`.
        times: Most faults in a row, of whatever kind, before which this rule still fires at one place; by default 3
            for the wire's and 1 for the model's.
        retry_after_s: Value of the header Retry-After; by default 1 for `rate_limit`, and no header else.
        seconds: Longest duration of a `hang`, 30 by default; then comes 504.
        words: The provider whose message an `overflow` carries; by default drawn.
    """

    kind: Outage | Nonsense
    share: Share
    seed: int | None = None
    only: str | None = None
    times: Positive | None = None
    retry_after_s: Seconds | None = None
    seconds: Seconds | None = None
    words: Words | None = None

    @model_validator(mode="after")
    def _fields_fit(self) -> "Fault":
        for field, kinds in _FIELDS.items():
            if getattr(self, field) is not None and self.kind not in kinds:
                raise ValueError(f"'{field}' is for {' and '.join(kinds)}, not for {self.kind}")
        return self

    @property
    def is_outage(self) -> bool:
        """True if it is one of the wire."""
        return self.kind in OUTAGES

    @property
    def nonsense(self) -> Nonsense | None:
        """The model's nonsense, if it is a fault of the model."""
        return None if self.is_outage else cast("Nonsense", self.kind)

    @property
    def in_a_row(self) -> int:
        """`times`, or its default."""
        return self.times or (OUTAGES_IN_A_ROW if self.is_outage else NONSENSE_IN_A_ROW)

    @property
    def retry_after(self) -> float | None:
        """`retry_after_s`, or its default."""
        return RETRY_AFTER_S if self.retry_after_s is None and self.kind == "rate_limit" else self.retry_after_s

    def concerns(self, asker: Asker) -> bool:
        """True if it may hit this agent."""
        match self.only:
            case None:
                return True
            case "planners" | "tasks":
                return asker.planner == (self.only == "planners")
            case pattern:
                return pattern == asker.name or fnmatch.fnmatchcase(asker.name, pattern)


def drawn(faults: tuple[Fault, ...], seed: int, asker: Asker, row: int, *content: object) -> Fault | None:
    """The first fault that hits this agent after so many in a row; `content` is the further input of the draw."""
    return next((f for f in faults if row < f.in_a_row and f.concerns(asker) and _hits(f, seed, asker, content)), None)


def pick(options: int, *content: object) -> int:
    """One of `options` numbers, by content alone."""
    return int(_uniform(*content) * options)


def _hits(fault: Fault, seed: int, asker: Asker, content: tuple[object, ...]) -> bool:
    own = seed if fault.seed is None else fault.seed
    return _uniform(own, fault.kind, asker.label, *content) < fault.share


def _uniform(*content: object) -> float:
    digest = hashlib.blake2b(repr(content).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
