"""Names of immutable text in the log store, so that Temporal's history carries refs and never bodies."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.ids import AgentId


class Ref(BaseModel):
    """An event of an agent log, and with it the immutable prefix of the log that ends there.

    `item` picks one entry where the event holds a list, such as one task of a spawn.
    """

    model_config = ConfigDict(frozen=True)

    log: AgentId
    seq: Annotated[int, Field(ge=0)]
    item: int | None = None
