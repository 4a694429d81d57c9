"""Runs as their folders show them now, for queries: figures from the logs, and the trunk."""

from collections import OrderedDict

from headway.domain.errors import HeadwayError
from headway.domain.figures import Seen
from headway.domain.ids import Incarnation, RunName
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.figures import FiguresReader
from headway.git.hub import Hub

RUNS_KEPT = 8
"""Runs of which it is remembered how far their logs were read."""


class RunFolders:
    """Reads the folders of runs. For one thread.

    Args:
        store: The logs of the runs.
    """

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._readers: OrderedDict[RunName, FiguresReader] = OrderedDict()

    def look(self, run: RunName) -> Seen | None:
        """The figures in the run's folder; None when this machine has no such folder."""
        folder = self._store.run_folder(run)
        try:
            incarnation = Incarnation((folder / "incarnation").read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        reader = self._readers.setdefault(run, FiguresReader(self._store, run))
        self._readers.move_to_end(run)
        while len(self._readers) > RUNS_KEPT:
            self._readers.popitem(last=False)
        try:
            trunk = Hub(folder / "hub.git").tip()
        except HeadwayError:
            trunk = None  # it is being prepared
        return Seen(incarnation=incarnation, figures=reader.look(), trunk=trunk)
