"""Logs of agents that never lived: events of every kind that views look at, in any order, with forks and new leases."""

from hypothesis import strategies as st

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid
from headway.domain.planner_turn import ChildKind, Decision, Spawned, TurnOutcome
from headway.domain.results import Cancelled, Finished, LandAnswer, Waits
from headway.domain.state.budget import Amount
from headway.eventlog.branch import Branch
from headway.eventlog.events.conversation import Message, Reminder, ToolCallBegun
from headway.eventlog.events.envelope import AnyEvent, Body
from headway.eventlog.events.life import AgentFork, AgentLease, AgentState, TurnEnd, TurnStart
from headway.eventlog.events.work import Scratchpad, SnapshotKept
from headway.sandbox.outcome import Ran
from tests.support import events as say
from tests.support.events import event

KEYS = tuple(ChildKey(f"{turn}.{index}-{turn * 10 + index:08x}") for turn in (1, 2) for index in range(4))
TURNS = ("k1", "k2", "k3")
OIDS = tuple(Oid(digit * 40) for digit in "abc")

keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)
words = st.sampled_from(["", "Slow.", "No docs.", "z" * 5_000])
few = st.integers(0, 2)


def _child(key: ChildKey) -> Spawned:
    return Spawned(key=key, kind=ChildKind.TASK, title=key, seq=1)


def _notice(key: ChildKey) -> HandoffNotice:
    return HandoffNotice(child=key, status=HandoffStatus.DONE, seq=0)


def _message(told: list[ChildKey], text: str, steers: int, amendments: int) -> Message:
    return Message(
        text=text,
        inbox=tuple(map(_notice, told)) if told else None,
        concerns=dict.fromkeys(told[:1], ("Slow.",)),
        few=steers > 1,
        steers=tuple((AgentId("run"), n) for n in range(steers)),
        amendments=tuple(range(amendments)),
    )


def _end(key: str, decision: Decision, spawned: list[ChildKey], recovered: list[ChildKey]) -> TurnEnd:
    outcome = TurnOutcome(
        decision=decision,
        seq=0,
        own=Amount(),
        spawned=tuple(map(_child, spawned)),
        recovered=tuple(map(_child, recovered)),
    )
    return TurnEnd(key=key, outcome=outcome)


def _start(key: str, pinned: Oid, recovered: list[ChildKey]) -> TurnStart:
    return TurnStart(key=key, pinned=pinned, recovered=tuple(map(_child, recovered)))


some_keys: st.SearchStrategy[list[ChildKey]] = st.one_of(st.just([]), keys)
reports = st.builds(lambda text: say.handed_off(summary=text).handoff.report, words)
flags = st.fixed_dictionaries({}, optional=dict.fromkeys(("error", "progress", "refused"), st.booleans()))
called = st.sampled_from("abc")

PLANNING: list[st.SearchStrategy[Body]] = [
    st.builds(lambda asked: say.spawn(*asked, paths=("x",)), keys),
    st.builds(_message, some_keys, words, few, few),
    st.builds(_start, st.sampled_from(TURNS), st.sampled_from(OIDS), some_keys),
    st.builds(_end, st.sampled_from(TURNS), st.sampled_from(Decision), some_keys, some_keys),
    st.builds(lambda gone: say.answer("cancel", result=Cancelled(cancelled=tuple(gone))), keys),
    st.builds(lambda report: say.answer("finish", result=Finished(decision="finish", report=report)), reports),
    st.just(say.answer("wait", result=Waits())),
]
TALKING: list[st.SearchStrategy[Body]] = [
    st.builds(
        lambda text, calls, stop: say.reply(text, *(say.call(call_id=each) for each in calls), stop=stop),
        words,
        st.lists(called, max_size=2, unique=True),
        st.sampled_from(["tool", "text", "empty", "length", "refusal"]),
    ),
    st.builds(
        lambda key, digest, more: say.answer(key=key, digest=digest, call_id=key or "c", **more),
        st.one_of(st.none(), called),
        st.sampled_from("de"),
        flags,
    ),
    st.builds(say.request, st.one_of(st.none(), st.integers(1, 9))),
    st.builds(lambda cut_off: say.retry(cut_off=cut_off), st.booleans()),
    st.builds(
        lambda why, text: Reminder(text=text, why=why),
        st.sampled_from(["repeat", "errors", "align", "scratchpad", "last_word", "handover", "limit", "use_tool"]),
        words,
    ),
    st.builds(lambda text: Scratchpad(content=text), words),
]
WORKING: list[st.SearchStrategy[Body]] = [
    st.builds(say.started, st.integers(1, 2)),
    st.builds(lambda attempt, text: say.handed_off(summary=text, attempt=attempt), st.integers(1, 2), words),
    st.builds(say.landed, st.sampled_from(OIDS)),
    st.builds(lambda oid: SnapshotKept(commit=oid, ref="r", base=oid), st.sampled_from(OIDS)),
    st.builds(
        lambda name, text: AgentState(**{name: text}),
        st.sampled_from(["setup", "broke", "broke_at", "resumed", "passed"]),
        st.sampled_from(["a", "b"]),
    ),
    st.builds(
        lambda command, code: say.answer(result=Ran(command=command, exit_code=code, note="")),
        st.sampled_from(["make", "make test", "x" * 5_000 + "make test"]),
        few,
    ),
    st.builds(
        lambda landing, rounds: say.answer("land", result=LandAnswer(landing=landing, rounds=rounds)),
        st.sampled_from(["landed", "doubtful", "conflicted"]),
        few,
    ),
    st.builds(
        lambda call_id, withdrawn: ToolCallBegun(call_id=call_id, name="shell", arguments="{}", withdrawn=withdrawn),
        called,
        st.booleans(),
    ),
]


@st.composite
def lives(draw: st.DrawFn, *kinds: st.SearchStrategy[Body], most: int = 30) -> list[AnyEvent]:
    """Every event of a log in the order of writing. Epochs grow; a fork goes back to where the log has been."""
    made: list[AnyEvent] = []
    epoch = turn = 0
    lease = st.just(AgentLease(host="here", pid=1, boot="1"))
    for seq in range(draw(st.integers(0, most))):
        fork = st.builds(lambda to: AgentFork(to=to), st.integers(-1, max(-1, seq - 1)))
        body = draw(st.one_of(*kinds, lease, fork))
        epoch, turn = epoch + draw(st.sampled_from((0, 0, 0, 0, 0, 1))), turn + draw(st.sampled_from((0, 0, 0, 12)))
        made.append(event(body, seq, epoch=epoch, turn=turn)._replace(dur_ms=draw(st.sampled_from((None, 1.0)))))
    return made


def line_of(log: list[AnyEvent]) -> list[AnyEvent]:
    """The live line."""
    line = Branch(log)
    return [log[seq] for seq in line.seqs(line.head)]
