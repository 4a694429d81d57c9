"""What is written is what is read, whatever it holds."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.errors import TransientError, UserError
from headway.domain.ids import AgentId
from headway.domain.refs import Ref
from headway.eventlog.blobs import INLINE_CHARS
from headway.eventlog.events.conversation import LlmResponse
from headway.eventlog.events.envelope import LOG_VERSION, bodies
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import Redactor
from tests.eventlog.shown import shown
from tests.eventlog.steps import LONG, RUN, content_of, file_of, say, texts, texts_in
from tests.support.events import reply


class TestWriting:
    def test_an_event_is_read_back_as_it_was_answered(self, store: LocalStore, agent: AgentId) -> None:
        child = AgentId(f"{agent}/1.0-deadbeef")
        with store.open(child, role="worker", task=child) as log:
            said = reply(LONG, items=({"n": [1, 2.5, None, True, {"deep": "é\u2028"}]},))
            written = log.append(said, epoch=2, turn=7, dur_ms=12.5, sync=True)
        assert written._asdict() == {
            "ts": written.ts,
            "v": LOG_VERSION,
            "seq": 1,
            "lease": 1,
            "run": "demo",
            "agent": child,
            "parent": agent,
            "role": "worker",
            "task": child,
            "epoch": 2,
            "turn": 7,
            "type": "llm.response",
            "dur_ms": 12.5,
            "body": said,
        }
        assert abs(written.ts - time.time()) < 60
        assert store.read(child) == [written]
        assert store.event(Ref(log=child, seq=1)) == written

    def test_each_line_of_the_file_is_one_json_object_with_the_whole_envelope(
        self, store: LocalStore, agent: AgentId
    ) -> None:
        with store.open(agent, role="planner") as log:
            say(log, "a\nb")
        lines = [json.loads(line) for line in file_of(store, agent).read_text().splitlines()]
        assert [(line["seq"], line["type"], line["lease"]) for line in lines] == [(0, "agent.lease", 1), (1, "text", 1)]
        assert lines[1]["data"] == {"text": "a\nb"}
        assert set(lines[1]) == {
            *("v", "ts", "seq", "lease", "run", "agent", "parent", "role", "task", "epoch", "turn", "type"),
            *("dur_ms", "data"),
        }

    def test_long_strings_lie_beside_the_log_once(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, LONG)
            log.append(reply("x" * INLINE_CHARS, items=({"content": LONG},)))
        assert LONG not in file_of(store, agent).read_text()
        assert "x" * INLINE_CHARS in file_of(store, agent).read_text()
        blobs = [path for path in (store.run_folder(RUN) / "blobs").rglob("*") if path.is_file()]
        assert [content_of(path).decode() for path in blobs] == [LONG]
        assert sum(path.stat().st_size for path in blobs) < len(LONG) / 10
        assert [said.items for said in bodies(store.read(agent), LlmResponse)] == [({"content": LONG},)]

    def test_a_missing_blob_is_named(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            say(log, LONG)
        (blob,) = [path for path in (store.run_folder(RUN) / "blobs").rglob("*") if path.is_file()]
        blob.unlink()
        with pytest.raises(UserError, match=blob.name):
            store.read(agent)

    def test_every_string_is_redacted_also_in_the_line_in_hand(self, tmp_path: Path, agent: AgentId) -> None:
        store = LocalStore(tmp_path, redact=Redactor(("secret-1",)))
        with store.open(agent, role="planner") as log:
            log.append(reply("secret-1" + LONG, items=({"a": ["secret-1", {"secret-1": "a secret-1"}]},)))
            assert list(log.replay(log.epoch)) == store.read(agent)
        assert not any(b"secret-1" in content_of(path) for path in tmp_path.rglob("*") if path.is_file())
        assert [said.items for said in bodies(store.read(agent), LlmResponse)] == [
            ({"a": ["[redacted]", {"[redacted]": "a [redacted]"}]},)
        ]

    @pytest.mark.parametrize("value", [b"bytes", object(), {1: 2}, {"a": {3}}])
    def test_what_is_no_json_is_a_bug_of_the_caller(self, store: LocalStore, agent: AgentId, value: Any) -> None:
        with store.open(agent, role="planner") as log:
            with pytest.raises(TypeError):
                log.append(reply(items=({"value": value},)))
            assert shown(log) == store.read(agent) == []

    def test_the_log_of_a_newer_version_is_left_alone(self, store: LocalStore, agent: AgentId) -> None:
        store.open(agent, role="planner").close()
        path = file_of(store, agent)
        path.write_text(path.read_text().replace(f'"v":{LOG_VERSION}', f'"v":{LOG_VERSION + 1}'))
        before = path.read_bytes()
        with pytest.raises(UserError, match="newer version"):
            store.open(agent, role="planner")
        assert path.read_bytes() == before

    def test_a_full_disk_leaves_the_log_whole(self, store: LocalStore, agent: AgentId) -> None:
        script = """
import resource, signal, sys
from pathlib import Path
from headway.eventlog.local_store import LocalStore
from headway.eventlog.local_store import LocalStore
from headway.eventlog.redaction import Redactor
from headway.eventlog.events.conversation import Text
log = LocalStore(Path(sys.argv[1])).open(sys.argv[2], role="planner")
log.append(Text(text="fits"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        log.append(Text(text="x" * 2000))
    except OSError as error:
        print(error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append(Text(text="goes on"))
"""
        home = store.run_folder(RUN).parent.parent
        ran = subprocess.run([sys.executable, "-c", script, home, agent], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines() == ["File too large"] * 2
        assert texts(store, agent) == ["fits", "goes on"]

    def test_a_full_disk_is_tried_again_later(
        self, store: LocalStore, agent: AgentId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with store.open(agent, role="planner") as log:
            monkeypatch.setattr(log, "_fd", os.open("/dev/full", os.O_RDWR))
            monkeypatch.setattr(log, "_end", 0)
            monkeypatch.setattr(os, "ftruncate", lambda fd, end: None)
            with pytest.raises(TransientError, match="disk is full"):
                say(log, "x")

    @pytest.mark.parametrize("call", ["flock", "write", "fstat", "pread"])
    @pytest.mark.parametrize("at", range(3))
    def test_an_event_is_written_or_refused_whichever_call_fails(
        self, store: LocalStore, agent: AgentId, monkeypatch: pytest.MonkeyPatch, call: str, at: int
    ) -> None:
        """A caller appends a refused event again. One that was there already would be in the log twice, a paid reply
        for instance.
        """
        module = fcntl if call == "flock" else os
        real, left = getattr(module, call), [at]

        def fails(*args: object) -> object:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
            return real(*args)

        with store.open(agent, role="planner") as log:
            with monkeypatch.context() as patch:
                patch.setattr(module, call, fails)
                try:
                    say(log, "x")
                except TransientError:
                    say(log, "x")
            say(log, "y")
        assert texts(store, agent) == ["x", "y"]
        with store.open(agent, role="planner") as log:
            say(log, "z")

    def test_a_log_may_be_used_from_many_threads_in_turn(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log:
            for number in range(8):
                thread = threading.Thread(target=say, args=(log, str(number)))
                thread.start()
                thread.join()
        assert texts(store, agent) == [str(number) for number in range(8)]

    def test_threads_that_write_one_log_at_once_do_not_mix(self, store: LocalStore, agent: AgentId) -> None:
        with store.open(agent, role="planner") as log, ThreadPoolExecutor(8) as pool:
            seqs = list(pool.map(lambda number: say(log, f"{number}"), range(200)))
        assert sorted(seqs) == list(range(1, 201))
        assert texts_in(store.read(agent)) == [str(number) for _, number in sorted(zip(seqs, range(200), strict=True))]

    def test_a_store_may_be_used_by_many_threads_at_once(self, store: LocalStore, agent: AgentId) -> None:
        def work(number: int) -> None:
            with store.open(AgentId(f"{agent}/1.{number}-deadbeef"), role="worker") as log:
                for step in range(20):
                    say(log, f"{LONG}{step}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        for number in range(8):
            assert texts(store, AgentId(f"{agent}/1.{number}-deadbeef")) == [f"{LONG}{step}" for step in range(20)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.just(LONG),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "$blob", "value", "chars", "ü"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(data=st.dictionaries(st.sampled_from(["a", "$blob", "text"]), JSON, max_size=3))
def test_any_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    store, agent = LocalStore(tmp_path_factory.mktemp("home")), AgentId("demo/root-0a1b2c3d")
    with store.open(agent, role="planner") as log:
        written = log.append(reply(items=(data,)))
    assert written.body.items == (data,)
    assert store.read(agent) == [written]


@pytest.mark.parametrize(
    ("value", "kept"), [("\ud800x", "?x"), (2**70, str(2**70)), (float("nan"), None), (("a", "b"), ["a", "b"])]
)
def test_what_json_cannot_hold_is_kept_as_near_as_it_can(
    store: LocalStore, agent: AgentId, value: Any, kept: Any
) -> None:
    with store.open(agent, role="planner") as log:
        assert log.append(reply(items=({"value": value},))).body.items == ({"value": kept},)
        assert store.read(agent) == shown(log)
