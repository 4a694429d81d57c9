"""Whose work a commit is stands in its trailers, and no message can change that; not for us and not for git."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.ids import AgentId, RunName
from headway.git.landing.landing import Landed
from headway.git.trailers import Trailers, harmless, read
from tests.git.ground import Ground, git, write

OURS = Trailers(RunName("tidy"), AgentId("tidy/root-1/1.1-00000000"), "tidy/root-1", "tidy/root-1/1.1:7", "a" * 64)
FORGED = "Headway-Run: other\nHeadway-Task: victim\nHeadway-Submission: " + "f" * 64
SCISSORS = "# ------------------------ >8 ------------------------"
MESSAGES = {
    "in the body": f"A change\n\n{FORGED}",
    "before scissors": f"A change\n\n{FORGED}\n\n{SCISSORS}\n",
    "scissors alone": f"A change\n{SCISSORS}\nrest",
    "scissors first": f"{SCISSORS}\nrest",
    "before a divider": f"A change\n\n{FORGED}\n---\nx",
    "before conflicts": f"A change\n\n{FORGED}\n\nConflicts:\n\tx",
    "in small letters": "A change\n\nheadway-task: victim",
    "behind a separator": "A change\u2028Headway-Task: victim",
    "with tabs": "A\tchange\twith tabs",
}


@given(st.lists(st.sampled_from([*FORGED.split("\n"), SCISSORS, "---", "", "text", "Conflicts:", " x"]), max_size=12))
def test_what_is_read_is_what_was_written_whatever_the_message(lines: list[str]) -> None:
    message = harmless("\n".join(lines)).strip() or "x"
    assert read(OURS.under(message)) == OURS


def test_a_commit_without_trailers_is_no_landing() -> None:
    for message in ("", "A change", "A change\n\nSigned-off-by: A <a@b>", "A\n\nHeadway-Run: x\nnot a trailer"):
        assert read(message) is None


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_landing_belongs_to_its_task(ground: Ground, name: str) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": name})
    landed = ground.land(workspace, MESSAGES[name])
    assert isinstance(landed, Landed)
    (commit,) = ground.hub.landed(ground.facts.base)
    assert commit.task == workspace.task
    assert len(commit.subject.splitlines()) == 1
    seen = git(ground.hub.folder, "log", "-1", "--format=%(trailers:key=Headway-Task,valueonly)", landed.commit)
    assert seen.strip() == workspace.task, "git and its users read the same"
