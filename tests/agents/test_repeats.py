"""What an agent's conversation tells for prompt caches: who shares its beginning, how much of it, and its pauses."""

from headway.agents.loop.shared_prefix import AGENTS_PER_GROUP, SharedPrefix, group_of
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import AnyEvent, Body
from headway.models.adapter import MAX_CACHE_KEY
from tests.support.events import answer, event, reply

ROOT = AgentId("run/root-00000000")


def at(time: float, body: Body) -> AnyEvent:
    return event(body, agent=ROOT)._replace(ts=time)


def child(turn: int, index: int, parent: AgentId = ROOT) -> AgentId:
    return child_id(parent, ChildKey(f"{turn}.{index}-{index:08x}"))


def test_few_tasks_of_a_round_share_a_key_with_those_of_later_rounds() -> None:
    rounds = [[group_of(child(turn, index), "worker") for index in range(10)] for turn in (1, 2, 30)]
    assert rounds[0] == rounds[1] == rounds[2]
    assert [rounds[0].count(group) for group in dict.fromkeys(rounds[0])] == [AGENTS_PER_GROUP, AGENTS_PER_GROUP, 2]


def test_other_planners_runs_and_roles_have_keys_of_their_own() -> None:
    other = AgentId("other/root-00000000")
    agents = [(child(1, 0), "worker"), (child(1, 0), "planner"), (ROOT, "planner"), (child(1, 0, other), "worker")]
    agents += [(child(1, 0, child(1, 0)), "worker")]
    assert len({group_of(*agent) for agent in agents}) == len(agents)
    assert all(len(group_of(*agent)) <= MAX_CACHE_KEY for agent in agents)


def test_the_shared_part_counts_where_the_first_message_begins_with_it() -> None:
    repeats = SharedPrefix(ROOT, "worker", "For all. ")
    assert repeats.noted(Message(text="For one."), str).shared == 0
    first = repeats.noted(Message(text="For all. For one."), str)
    repeats.take(at(1, first))
    assert repeats.reuse.shared == first.shared == len("For all. ")
    later = repeats.noted(Message(text="For all. Again."), str)
    repeats.take(at(2, later))
    assert later.shared == 0, "the first message of an epoch alone"
    assert repeats.reuse.shared == len("For all. ")
    repeats.begin()
    assert repeats.reuse.shared == 0


def test_a_message_that_was_sent_keeps_its_parts_when_limits_change() -> None:
    later = SharedPrefix(ROOT, "worker", "For all, by newer limits. ")
    later.take(at(1, Message(text="For all. For one.", shared=len("For all. "))))
    assert later.reuse.shared == len("For all. ")


def test_a_pause_is_counted_from_a_reply_to_the_next_one_or_until_now() -> None:
    repeats = SharedPrefix(ROOT)
    for time, body in ((0, Message(text="")), (100, reply()), (130, answer()), (140, reply())):
        repeats.take(at(time, body))
    assert repeats.reuse.pause_s == 30 + 10
    repeats.take(at(5_000, Message(text="")))
    assert repeats.reuse.pause_s == 4_860
