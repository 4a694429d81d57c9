"""The newest value for callers that must not wait."""

import threading
import time

from headway.system.latest import Latest
from tests.support.waiting import wait_until


def test_a_caller_never_waits_longer_than_it_may_and_gets_what_was_read_last() -> None:
    go, reads = threading.Event(), list[str]()

    def read(key: str) -> str:
        reads.append(key)
        go.wait()
        return f"{key} {len(reads)}"

    known = Latest(read, fresh_s=0.0, wait_s=0.05)
    began = time.monotonic()
    assert known.get("a") is None
    assert time.monotonic() - began < 5
    assert known.get("a") is None
    assert reads == ["a"], "one read of a key at a time"
    go.set()
    wait_until(lambda: known.get("a") is not None)
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
    wait_until(lambda: known.get("a") is not None)
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
