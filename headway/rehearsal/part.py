"""The common base of every part of a playbook."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

OWN_WORDS = "(rehearsal: "
"""Beginning of the rehearsal's own words; such a reply is no call of a playbook."""

Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Part(BaseModel):
    """A piece of a playbook: duplicate and unknown fields are reported, and nothing changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
