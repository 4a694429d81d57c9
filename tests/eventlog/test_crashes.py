"""What a crash leaves of a log: everything that was acknowledged, and nothing by halves."""

import signal
import subprocess
import sys

import pytest

from headway.domain.ids import AgentId
from headway.eventlog.local_store import LocalStore
from tests.eventlog.shown import shown
from tests.eventlog.steps import RUN, file_of, say, texts, texts_in


class TestCrashes:
    @pytest.mark.parametrize(
        "torn",
        [b"{", b'{"v":1,"seq":2,"lease":1}', b"\0" * 4096, b"\n", b"garbage\n", b'{"seq":9,"lease":1}\n', b"[]\n{}\n"],
    )
    def test_what_was_never_wholly_written_is_cut(self, store: LocalStore, agent: AgentId, torn: bytes) -> None:
        with store.open(agent, role="planner") as log:
            say(log, "kept")
        whole = file_of(store, agent).read_bytes()
        with file_of(store, agent).open("ab") as file:
            file.write(torn)
        with store.open(agent, role="planner") as log:
            assert texts_in(shown(log)) == ["kept"]
            assert log.lease == 2
            say(log, "more")
        assert file_of(store, agent).read_bytes().startswith(whole + b"{")
        assert texts(store, agent) == ["kept", "more"]
        assert store.agents(RUN) == [agent]

    def test_whole_lines_behind_a_hole_are_kept_aside(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, "kept")
            before = file_of(store, agent).stat().st_size
            say(log, "lost in the crash")
            say(log, "written, but behind the hole")
        content = bytearray(file_of(store, agent).read_bytes())
        content[before + 3 : before + 9] = b"\0" * 6
        file_of(store, agent).write_bytes(content)
        with store.open(agent, role="planner") as log:
            assert texts_in(shown(log)) == ["kept"]
        assert b"behind the hole" in file_of(store, agent).with_suffix(".torn").read_bytes()

    def test_every_acknowledged_event_outlives_a_kill(self, store: LocalStore, agent: AgentId) -> None:
        script = """
import sys
from pathlib import Path
from headway.eventlog.events.conversation import Text
from headway.eventlog.local_store import LocalStore
from headway.eventlog.local_store import LocalStore
log = LocalStore(Path(sys.argv[1])).open(sys.argv[2], role="worker")
number = 0
while True:
    event = log.append(Text(text="x" * (number % 7) * 900), sync=True)
    print(event.seq, flush=True)
    number += 1
"""
        home = store.run_folder(RUN).parent.parent
        last = 0
        for _ in range(5):
            with subprocess.Popen([sys.executable, "-c", script, home, agent], stdout=subprocess.PIPE) as writer:
                assert writer.stdout is not None
                lines = [writer.stdout.readline() for _ in range(20)]
                writer.send_signal(signal.SIGKILL)
                lines += writer.stdout.readlines()
            acknowledged = [int(line) for line in lines if line.endswith(b"\n")]
            events = store.all_events(agent)
            assert [event.seq for event in events] == list(range(len(events)))
            assert {event.seq for event in events if event.type == "text"} >= set(acknowledged)
            assert acknowledged[0] > last
            last = acknowledged[-1]
        store.open(agent, role="worker").close()
