"""What a process remembers of blobs is bounded, and a forgotten one is found all the same."""

from pathlib import Path

import pytest

from headway.eventlog import blobs
from headway.eventlog.blobs import Blobs


def test_names_of_blobs_are_forgotten_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "NAMES_KEPT", 5)
    store = Blobs(tmp_path / "blobs")
    names = [store.put(f"{number}" * 100) for number in range(23)]
    assert len(store._synced) <= 5
    assert [store.put(f"{number}" * 100) for number in range(23)] == names
    assert [store.get(name) for name in names] == [f"{number}" * 100 for number in range(23)]
