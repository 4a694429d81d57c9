"""Playbooks: what is written, and what is told when it is wrong."""

from pathlib import Path

import pytest

from headway.agents.tools.catalogue import BY_AGENT
from headway.domain.errors import UserError
from headway.rehearsal.playbook import Playbook, Tokens, ToolUse
from headway.rehearsal.playbook_reader import parse_playbook, read_playbook

WHOLE = """
name: two-tasks
model: rehearsal-1
latency_ms: [5, 20]
seed: 7
tokens_out: 50
planners:
- scope: root
  calls:
  - text: I plan.
    tools:
    - spawn_tasks: {tasks: [{title: Add docs, intent: more words}]}
    - wait:
  - after_handoffs: 1
    tools: [{finish: {status: done, summary: ok}}]
tasks:
- title: "Add *"
  attempt: 2
  calls:
  - tools: [{shell: {command: "true"}}]
    repeat: 3
    tokens: {input: 1000}
    latency_ms: 1
  - stop: empty
"""


def test_a_playbook_reads_as_written() -> None:
    playbook = parse_playbook(WHOLE)
    first, second = playbook.planners[0].calls
    assert first.tools[1] == ToolUse(name="wait", args={})
    assert second.after_handoffs == 1
    task = playbook.tasks[0]
    assert task.label == "task 'Add *' (attempt 2)"
    assert task.calls[0].tokens == Tokens(input=1000)
    assert playbook.latency_ms == (5, 20)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nam: x", "p: nam: is not a field; did you mean 'name'?"),
        ("model: x", "p: name: is required"),
        (
            "{name: x, tasks: [{title: a, calls: [{txt: hm, text: a}]}]}",
            "p: tasks[0].calls[0].txt: is not a field; did you mean 'text'?",
        ),
        (
            "{name: x, tasks: [{title: a, calls: [{text: a, tokens: {zzz: 1}}]}]}",
            "p: tasks[0].calls[0].tokens.zzz: is not a field; it may be one of input, output",
        ),
        ("{name: x, tasks: [{title: a, calls: [{}]}]}", "p: tasks[0].calls[0]: says nothing"),
        ("{name: x, tasks: [{title: a, calls: [{tools: [shell]}]}]}", "one tool an entry"),
        ("{name: x, tasks: [{title: a, calls: [{tools: [{a: 1}]}]}]}", "calls[0].tools[0].args"),
        ("{name: x, tasks: [{title: a, calls: [{text: a, after_handoffs: 1}]}]}", "a task gets no handoffs"),
        ("{name: x, tasks: [{title: a, calls: [{text: '(rehearsal: hi)'}]}]}", "must not start with"),
        ("{name: x, tasks: [{title: a, calls: [{text: a, stop: sulk}]}]}", "calls[0].stop"),
        ("{name: x, tasks: [{title: a, calls: [{text: a, if_last_answer_contains: b}]}]}", "come together"),
        ("{name: x, tasks: [{title: a, calls: [{text: a, else: {text: b}}]}]}", "come together"),
        (
            "{name: x,tasks: [{title: a, calls: [{text: a, if_last_answer_contains: b, else: {text: c, repeat: 2}}]}]}",
            "are of the step, not of its 'else'",
        ),
        (
            "{name: x, tasks: [{title: a, calls: [{text: a, if_last_answer_contains: b, else: {txt: b}}]}]}",
            "calls[0].else.txt: is not a field; did you mean 'text'?",
        ),
        ("{name: x, tasks: [{title: a, values: {A: b}, calls: []}]}", "values"),
        ("{name: x, latency_ms: fast}", "latency_ms"),
        (
            "{name: x, planners: [{scope: root, calls: [{text: a}, {tools: [{spwan_tasks: {tasks: []}}]}]}]}",
            "p: planners[0].calls[1]: 'spwan_tasks' is not a tool of a planner; did you mean 'spawn_tasks'?",
        ),
        (
            "{name: x, tasks: [{title: a, calls: [{tools: [{wait: }, {grepp: }]}]}]}",
            (
                "p: tasks[0].calls[0]: 'wait' is a tool of a planner, not of a worker\n"
                "p: tasks[0].calls[0]: 'grepp' is not a tool of a worker; did you mean 'grep'?"
            ),
        ),
        (
            (
                "{name: x, tasks: [{title: a, calls: "
                "[{text: a, if_last_answer_contains: b, else: {tools: [{browse: {url: x}}]}}]}]}"
            ),
            "'browse' is not a tool of a worker; it may be one of apply_patch, edit_file, ",
        ),
        ("{name: 'a\\nb'}", "name"),
        ("[1]", "p: "),
        ("a: b: c", "p: is not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_playbook(text, "p", BY_AGENT)
    assert told in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        parse_playbook("{naem: x, sed: 1}")
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_playbook(tmp_path / "none.yaml")
    (tmp_path / "some.yaml").write_text("name: some")
    assert read_playbook(tmp_path / "some.yaml") == Playbook(name="some")
