"""What a room of the house has found out about this machine, for one screen: `headway doctor`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from headway.domain.words import sentence

FindingState = Literal["good", "lacking", "broken"]
"""As it should be; works, but less well or less safely than it could; does not work until somebody acts."""


class Finding(BaseModel):
    """One thing that was looked at.

    Attributes:
        topic: One or two words: what it is about.
        says: What was found, in one sentence.
        remedy: The one command or step that makes it better; empty where there is none.
    """

    model_config = ConfigDict(frozen=True)

    topic: str
    state: FindingState
    says: str
    remedy: str = ""

    @property
    def words(self) -> str:
        """What was found and what to do about it, in one line."""
        return f"{sentence(self.says)} {self.remedy}".rstrip()
