"""The duration of replies: fixed, or drawn by a seed and the request's content. Pure."""

import hashlib
import math
import random
from typing import Annotated

from pydantic import Field

from headway.rehearsal.part import Count, Part, Positive


class Lognormal(Part):
    """Most replies are quick and a few take long, as those of real servers.

    Attributes:
        median: Milliseconds that half of the replies stay below.
        sigma: Width: 0.5 is narrow; with 1, one reply of twenty takes over five times the median.
        most: Milliseconds that none exceeds.
    """

    median: Positive
    sigma: Annotated[float, Field(gt=0, le=3)] = 0.8
    most: Positive = 60_000


Latency = Count | tuple[Count, Count] | Lognormal
"""Milliseconds: a number, two for a range, or a distribution."""


def latency_s(latency: Latency, seed: int, body: bytes) -> float:
    """Seconds that the answer to a request takes."""
    if isinstance(latency, int):
        return latency / 1000
    draw = random.Random(f"{seed}:{hashlib.blake2b(body, digest_size=16).hexdigest()}")  # noqa: S311
    if isinstance(latency, Lognormal):
        return min(draw.lognormvariate(math.log(latency.median), latency.sigma), latency.most) / 1000
    return draw.uniform(*latency) / 1000
