import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName
from headway.runs.short_ids import matching, one_of, short_id

RUN = RunName("first")
ROOT = AgentId("first/root-9353d2be")
TITLES = {
    ROOT: "Tidy up",
    AgentId(f"{ROOT}/1.0-aaaaaaaa"): "Area 1",
    AgentId(f"{ROOT}/1.3-bbbbbbbb"): "Count  sentences",
    AgentId(f"{ROOT}/1.3-bcbcbcbc"): "Count words",
    AgentId(f"{ROOT}/1.0-aaaaaaaa/2.4-cccccccc"): "Count syllables",
    AgentId(f"{ROOT}/2.4-dddddddd"): "Read",
}


def means(word: str) -> list[str]:
    return [agent.removeprefix("first/root-9353d2be").lstrip("/") for agent in matching(word, RUN, TITLES, TITLES)]


@pytest.mark.parametrize(
    ("word", "agents"),
    [
        ("root", [""]),
        ("root-9353d2be", [""]),
        ("first/root-9353d2be", [""]),
        ("1.0", ["1.0-aaaaaaaa"]),
        ("root/1.0", ["1.0-aaaaaaaa"]),
        ("2.4", ["2.4-dddddddd"]),
        ("1.0/2.4", ["1.0-aaaaaaaa/2.4-cccccccc"]),
        ("1.3", ["1.3-bbbbbbbb", "1.3-bcbcbcbc"]),
        ("1.3-bb", ["1.3-bbbbbbbb"]),
        ("root-9353d2be/1.3-bcbcbcbc", ["1.3-bcbcbcbc"]),
        ("count sentences", ["1.3-bbbbbbbb"]),
        ("syllables", ["1.0-aaaaaaaa/2.4-cccccccc"]),
        ("count", ["1.0-aaaaaaaa/2.4-cccccccc", "1.3-bbbbbbbb", "1.3-bcbcbcbc"]),
        ("1.9", []),
        ("1", []),
        ("nobody", []),
        (" ", []),
    ],
)
def test_a_word_means_agents_by_id_short_id_or_title(word: str, agents: list[str]) -> None:
    assert means(word) == agents


def test_a_word_that_means_several_is_refused_with_ids_that_mean_one() -> None:
    found = matching("1.3", RUN, TITLES, TITLES)
    with pytest.raises(UserError, match="means 2 agents") as refused:
        one_of("1.3", RUN, found, TITLES)
    for line in refused.value.message.splitlines()[1:]:
        assert len(matching(line.split()[0], RUN, TITLES, TITLES)) == 1
    with pytest.raises(UserError, match="has no agent 'x'"):
        one_of("x", RUN, [], TITLES)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
def test_every_agent_is_meant_by_the_id_that_is_shown(parts: list[tuple[int, int, int]]) -> None:
    agent = AgentId("/".join([ROOT, *(f"{turn}.{index}-{mark:08x}" for turn, index, mark in parts)]))
    assert matching(short_id(agent), RUN, [agent], {}) == [agent]
