"""Findings of Headway's rooms about this machine, for one screen: `headway doctor`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from headway.domain.words import sentence

FindingState = Literal["good", "lacking", "broken"]
"""`good`: as it should be. `lacking`: works, but less well or less safely than it could. `broken`: does not work until
the user acts."""


class Diagnostic(BaseModel):
    """Result of one check.

    Attributes:
        topic: Its subject, in one or two words.
        says: The result, in one sentence.
        remedy: The one command or step that makes it better; empty where there is none.
    """

    model_config = ConfigDict(frozen=True)

    topic: str
    state: FindingState
    says: str
    remedy: str = ""

    @property
    def words(self) -> str:
        """The result and the remedy, in one line."""
        return f"{sentence(self.says)} {self.remedy}".rstrip()
