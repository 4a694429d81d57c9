"""The agent that asks the rehearsal."""

from dataclasses import dataclass

from headway.domain.headings import ROOT_HEADING, scope_of

ROOT = "root"
ROOT_SCOPE = scope_of(ROOT_HEADING)


@dataclass(frozen=True, slots=True)
class Asker:
    """The asking agent: the title of a task and its attempt, or of a scope."""

    title: str
    attempt: int = 1
    planner: bool = False

    @property
    def name(self) -> str:
        """The title as playbooks write it: the root planner's is `root`."""
        return ROOT if self.planner and self.title == ROOT_SCOPE else self.title

    @property
    def label(self) -> str:
        """Its name in messages."""
        if self.planner:
            return f"planner '{self.name}'"
        return f"task '{self.title}'" + (f" (attempt {self.attempt})" if self.attempt > 1 else "")
