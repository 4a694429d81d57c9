"""Any interleaving of holders, forks, crashes and readers, against a model that keeps every line it ever saw."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headway.domain.errors import LeaseLost
from headway.domain.ids import AgentId, RunName
from headway.domain.refs import Ref
from headway.eventlog.blobs import INLINE_CHARS
from headway.eventlog.events.conversation import Text
from headway.eventlog.events.envelope import AnyEvent, only
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import AgentLog
from tests.eventlog.shown import shown

AGENT = AgentId("demo/root-0a1b2c3d")
TEXTS = st.text("ab\n", max_size=3) | st.just("long" * INLINE_CHARS)


def _told(events: Iterable[AnyEvent]) -> list[tuple[int, str]]:
    return [(event.seq, event.body.text) for event in only(events, Text)]


class LogMachine(RuleBasedStateMachine):
    """The model: for each event ever written, the live line after it. Nothing is folded; lines are copied."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.store = LocalStore(self.home)
        self.file = self.store.run_folder(RunName("demo")) / "logs" / "root-0a1b2c3d.jsonl"
        self.holders: list[AgentLog] = []
        self.leases = 0
        self.lines: list[list[tuple[int, str]]] = []

    def teardown(self) -> None:
        for holder in self.holders:
            holder.close()
        shutil.rmtree(self.home)

    @property
    def live(self) -> list[tuple[int, str]]:
        return self.lines[-1] if self.lines else []

    @initialize()
    def begin(self) -> None:
        self.open()

    @rule()
    def open(self) -> None:
        self.leases += 1
        self.holders.append(LocalStore(self.home).open(AGENT, role="planner"))
        self.lines.append(self.live)
        assert self.holders[-1].lease == self.leases

    @rule(text=TEXTS, sync=st.booleans())
    def append(self, text: str, sync: bool) -> None:
        event = self.holders[-1].append(Text(text=text), sync=sync)
        assert event.seq == len(self.lines)
        self.lines.append([*self.live, (event.seq, text)])

    @rule(data=st.data())
    def fork(self, data: Any) -> None:
        to = data.draw(st.integers(-1, len(self.lines) - 1))
        target = self.lines[to] if to >= 0 else []
        self.holders[-1].fork(to)
        if target != self.live:
            self.lines.append(target)

    @precondition(lambda self: len(self.holders) > 1)
    @rule(data=st.data(), text=TEXTS)
    def an_older_holder_writes(self, data: Any, text: str) -> None:
        holder = self.holders[data.draw(st.integers(0, len(self.holders) - 2))]
        before = self.file.read_bytes()
        for attempt in (holder.check, lambda: holder.append(Text(text=text)), lambda: holder.fork(-1)):
            with pytest.raises(LeaseLost):
                attempt()
        assert self.file.read_bytes() == before

    @rule(torn=st.sampled_from([b"{", b'{"v":1,"ts":', b"\0" * 64]))
    def crash_while_opening(self, torn: bytes) -> None:
        """Half a line, by one who died with it; the holder goes on, or the next one opens."""
        with self.file.open("ab") as file:
            file.write(torn)

    @rule()
    def restart(self) -> None:
        """Every process is gone; somebody begins again."""
        for holder in self.holders:
            holder.close()
        self.holders.clear()
        self.open()

    @rule(data=st.data())
    def read_a_prefix(self, data: Any) -> None:
        upto = data.draw(st.integers(0, len(self.lines) - 1))
        assert _told(self.store.read(AGENT, upto)) == self.lines[upto]
        assert self.store.event(Ref(log=AGENT, seq=upto)) == self.store.all_events(AGENT)[upto]

    @invariant()
    def the_line_is_the_models(self) -> None:
        if not self.holders:
            return
        line = self.store.read(AGENT)
        assert _told(line) == self.live
        assert shown(self.holders[-1]) == line

    @invariant()
    def seqs_have_no_gaps_and_leases_never_fall(self) -> None:
        events = self.store.all_events(AGENT)
        assert [event.seq for event in events] == list(range(len(self.lines)))
        leases = [event.lease for event in events]
        assert leases == sorted(leases)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
