"""The newest value for callers that must not wait."""

import threading
import time

import pytest

from headway.system import latest
from headway.system.latest import Latest


def test_a_caller_never_waits_longer_than_it_may_and_gets_what_was_read_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "FRESH_S", 0.0)
    monkeypatch.setattr(latest, "WAIT_S", 0.05)
    go, reads = threading.Event(), list[str]()

    def read(key: str) -> str:
        reads.append(key)
        go.wait()
        return f"{key} {len(reads)}"

    known = Latest(read)
    began = time.monotonic()
    assert known.get("a") is None
    assert time.monotonic() - began < 5
    assert known.get("a") is None
    assert reads == ["a"], "one read of a key at a time"
    go.set()
    deadline = time.monotonic() + 30
    while known.get("a") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert str(known.get("a")).startswith("a ")


def test_a_value_that_is_prepared_is_read_once_and_there_when_it_is_asked_for() -> None:
    go, reads = threading.Event(), list[str]()

    def read(key: str) -> str:
        reads.append(key)
        go.wait()
        return key

    known = Latest(read)
    known.prepare("a")
    known.prepare("a")
    go.set()
    deadline = time.monotonic() + 30
    while known.get("a") is None and time.monotonic() < deadline:
        time.sleep(0.01)
    known.prepare("a")
    assert known.get("a") == "a"
    assert reads == ["a"]


def test_a_fresh_value_is_given_as_it_is_and_what_fails_is_read_again() -> None:
    reads = list[str]()

    def read(key: str) -> int:
        reads.append(key)
        if key == "broken":
            raise OSError("gone")
        return len(reads)

    known = Latest(read, keep=2)
    assert [known.get("a"), known.get("a")] == [1, 1]
    assert [known.get("broken"), known.get("broken")] == [None, None]
    assert reads == ["a", "broken", "broken"]
    known.get("b")
    assert known.get("a") == 5, "the one that was asked for longest ago was forgotten"
