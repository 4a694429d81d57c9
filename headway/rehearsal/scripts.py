"""The scripts of a playbook, found by the asking agent."""

import difflib
import fnmatch
from itertools import islice

from headway.rehearsal.asker import ROOT, ROOT_SCOPE, Asker
from headway.rehearsal.playbook import PlannerScript, Playbook, Script, TaskScript

NAMES_COMPARED = 500
"""Titles among which the nearest one is looked for; a generated run has many thousands."""

_WILD = frozenset("*?[")


class Scripts:
    """Every script of a playbook, by number; planners come first.

    Whole titles are found at once, however many there are; patterns are tried once for each agent.
    """

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        self._all: tuple[Script, ...] = (*playbook.planners, *playbook.tasks)
        self._scopes: dict[str, int] = {}
        self._titles: dict[tuple[str, int | None], int] = {}
        self._patterns: list[tuple[int, TaskScript]] = []
        self._found: dict[Asker, int | None] = {}
        for index, script in enumerate(self._all):
            if isinstance(script, PlannerScript):
                self._scopes.setdefault(script.scope, index)
                continue
            self._titles.setdefault((script.title, script.attempt), index)
            if not _WILD.isdisjoint(script.title):
                self._patterns.append((index, script))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Script:
        return self._all[index]

    def find(self, asker: Asker) -> int | None:
        """The script that fits best: a whole title before a pattern, a named attempt before any, else the first."""
        if asker not in self._found:
            self._found[asker] = self._planner(asker) if asker.planner else self._task(asker)
        return self._found[asker]

    def nearest(self, asker: Asker) -> str | None:
        """A title that the asker's may be a misspelling of."""
        named = self._scopes if asker.planner else (title for title, _ in self._titles)
        near = difflib.get_close_matches(asker.title, list(islice(named, NAMES_COMPARED)), n=1)
        return near[0] if near else None

    def _planner(self, asker: Asker) -> int | None:
        if asker.title == ROOT_SCOPE:
            return self._scopes.get(ROOT)
        # A sub-planner whose scope happens to be called `root` is not the root planner.
        if asker.title != ROOT and asker.title in self._scopes:
            return self._scopes[asker.title]
        return next((index for scope, index in self._scopes.items() if scope != ROOT and scope in asker.title), None)

    def _task(self, asker: Asker) -> int | None:
        for attempt in (asker.attempt, None):
            if (asker.title, attempt) in self._titles:
                return self._titles[asker.title, attempt]
        fitting = [(i, s) for i, s in self._patterns if fnmatch.fnmatchcase(asker.title, s.title)]
        fitting = [(i, s) for i, s in fitting if s.attempt in {None, asker.attempt}]
        return min(fitting, key=lambda found: (found[1].attempt is None, found[0]))[0] if fitting else None
