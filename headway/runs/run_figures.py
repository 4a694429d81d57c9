"""Runs as their folders show them now, for queries: figures from the logs, and the trunk."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from headway.domain.errors import HeadwayError
from headway.domain.figures import Seen
from headway.domain.ids import Incarnation, RunName
from headway.domain.results import Results
from headway.eventlog.views.figures import FiguresReader
from headway.git.hub import Hub

RUNS_KEPT = 8
"""Runs of which it is remembered how far their logs were read."""


class RunFolders:
    """Reads the folders of runs. For one thread.

    Args:
        folder: Tells the folder of a run.
        results: The model of each tool's results.
    """

    def __init__(self, folder: Callable[[RunName], Path], results: Results) -> None:
        self._folder = folder
        self._results = results
        self._readers: OrderedDict[RunName, FiguresReader] = OrderedDict()

    def look(self, run: RunName) -> Seen | None:
        """The figures in the run's folder; None when this machine has no such folder."""
        folder = self._folder(run)
        try:
            incarnation = Incarnation((folder / "incarnation").read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        reader = self._readers.setdefault(run, FiguresReader(folder / "logs", run, self._results))
        self._readers.move_to_end(run)
        while len(self._readers) > RUNS_KEPT:
            self._readers.popitem(last=False)
        try:
            trunk = Hub(folder / "hub.git").tip()
        except HeadwayError:
            trunk = None  # it is being prepared
        return Seen(incarnation=incarnation, figures=reader.look(), trunk=trunk)
