"""A bounded cache: what is in use stays open, what is not is bounded, and each value is closed once."""

import itertools
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from headway.system.cache import BoundedCache

MOST = 3
KEYS = st.integers(0, 7)


@dataclass(eq=False)
class Held:
    """A value that tells how often it was closed."""

    key: int
    closed: int = 0
    valid: bool = True
    busy: bool = False

    def close(self) -> None:
        self.closed += 1


class Uses(RuleBasedStateMachine):
    """Any order of uses that overlap, of values given back, invalid, busy and put."""

    uses = Bundle("uses")

    def __init__(self) -> None:
        super().__init__()
        self.cache: BoundedCache[int, Held] = BoundedCache(MOST, close=Held.close, is_busy=lambda held: held.busy)
        self.made: list[Held] = []
        self.open: list[tuple[ExitStack, Held]] = []

    def _make(self, key: int) -> Held:
        self.made.append(Held(key))
        return self.made[-1]

    @rule(target=uses, key=KEYS)
    def begins(self, key: int) -> tuple[ExitStack, Held]:
        stack = ExitStack()
        held = stack.enter_context(self.cache.using(key, lambda: self._make(key), is_valid=lambda each: each.valid))
        assert (held.key, held.valid, held.closed) == (key, True, 0)
        self.open.append((stack, held))
        return stack, held

    @rule(use=consumes(uses))
    def ends(self, use: tuple[ExitStack, Held]) -> None:
        self.open.remove(use)
        use[0].close()

    @rule(key=KEYS)
    def is_given_back(self, key: int) -> None:
        self.cache.drop(key)
        assert key not in self.cache

    @rule(key=KEYS)
    def is_put(self, key: int) -> None:
        held = self._make(key)
        self.cache.put(key, held)
        assert self.cache.get(key) is held

    @rule(place=st.integers(0), busy=st.booleans())
    def changes(self, place: int, busy: bool) -> None:
        if kept := self.cache.values():
            held = kept[place % len(kept)]
            held.busy = busy
            held.valid = held.valid and place % 3 > 0
            self.cache.trim()

    @rule(key=KEYS)
    def cannot_be_made(self, key: int) -> None:
        def fails() -> Held:
            raise OSError("no descriptors")

        if key not in self.cache:
            with pytest.raises(OSError, match="no descriptors"), self.cache.using(key, fails):
                pass
            assert key not in self.cache

    @invariant()
    def nothing_in_use_is_closed(self) -> None:
        assert all(held.closed == 0 for _, held in self.open)

    @invariant()
    def the_rest_is_bounded_and_closed_once(self) -> None:
        used = {id(held) for _, held in self.open}
        unused = [held for held in self.made if not held.closed and id(held) not in used and not held.busy]
        assert len(unused) <= MOST
        assert all(held.closed <= 1 for held in self.made)
        kept = {id(held) for held in self.cache.values()}
        assert {id(held) for held in self.made if not held.closed} <= kept | used

    def teardown(self) -> None:
        self.cache.close()
        for stack, _ in self.open:
            stack.close()
        assert [held.closed for held in self.made] == [1] * len(self.made)


TestUses = Uses.TestCase


@given(keys=st.lists(KEYS, max_size=30))
def test_the_least_recently_used_one_goes(keys: list[int]) -> None:
    cache: BoundedCache[int, Held] = BoundedCache(MOST, close=Held.close)
    for key in keys:
        with cache.using(key, partial(Held, key)):
            pass
    newest = list(dict.fromkeys(reversed(keys)))[:MOST]
    assert [held.key for held in cache.values()] == newest[::-1]


def test_threads_share_a_value_and_make_it_once() -> None:
    cache: BoundedCache[int, Held] = BoundedCache(1, close=Held.close)
    made, barrier, broken = itertools.count(), threading.Barrier(8), []

    def make() -> Held:
        next(made)
        return Held(0)

    def use() -> None:
        barrier.wait()
        for number in range(200):
            with cache.using(number % 2, make) as held:
                if held.closed:
                    broken.append(held)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
    assert len(cache) == 1


def test_a_fork_forgets_without_closing() -> None:
    cache: BoundedCache[int, Held] = BoundedCache(MOST, close=Held.close)
    with cache.using(1, lambda: Held(1)) as held:
        assert cache.abandon() == [held]
    assert (held.closed, len(cache)) == (0, 0)
