"""What a run's user is told to do with its result works as it stands."""

import shlex
import subprocess
from pathlib import Path

import pytest

from headway.cli.display.result import result_lines
from headway.domain.ids import Oid
from headway.domain.run import Outcome, RunReport
from headway.git.workspace.snapshot import snapshot
from tests.git.ground import RUN, Ground, allowed, changed, git, make_repository, write


@pytest.fixture
def ground(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    source = make_repository(tmp_path / "my repository", {"README.md": "hello\n"})
    return Ground.prepare(home / "runs" / RUN, source)


def report_of(ground: Ground, **more: object) -> RunReport:
    branch = f"headway/{RUN}/main"
    told = {
        "run": RUN,
        "outcome": Outcome.DONE,
        "summary": "",
        "branch": branch,
        "trunk": ground.hub.tip(),
        "commits": 2,
    }
    return RunReport.model_validate({**told, "trunk": ground.hub.tip(), "hub": str(ground.hub.folder), **more})


def commands(lines: list[str]) -> dict[str, list[str]]:
    found = {line.split()[0]: line.partition("git ")[2] for line in lines if " git " in line}
    return {label: ["git", *shlex.split(rest)] for label, rest in found.items()}


def test_the_commands_of_a_result_review_merge_and_fetch(home: Path, tmp_path: Path, ground: Ground) -> None:
    for number in (1, 2):
        ground.land(changed(ground, number))
    left = ground.open(3)
    write(left.path, {"half.txt": "half\n"})
    snapshot(ground.hub, left, left.task, allowed)
    assert not ground.hub.publish(f"headway/{RUN}/main").problem
    lines = result_lines(home, report_of(ground))
    assert lines[0].startswith("landed    2 commits by 2 tasks: 2 files changed")
    assert any(line.startswith("          1.1: ") for line in lines)
    told = commands(lines)
    repository = tmp_path / "my repository"
    shown = subprocess.run(told["review"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout.count("\nAuthor:") == 2
    subprocess.run(told["merge"], capture_output=True, check=True, cwd=tmp_path)
    assert (repository / "own" / "2.txt").is_file()
    subprocess.run(told["unlanded"], capture_output=True, check=True, cwd=repository)
    assert git(repository, "show", "wip/1.3:half.txt") == "half"


def test_the_result_in_a_bare_repository_is_merged_in_a_checkout_of_it(
    home: Path, tmp_path: Path, ground: Ground
) -> None:
    checkout, bare = tmp_path / "my repository", tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(checkout), str(bare))
    served = Ground.prepare(home / "runs" / "served", bare)
    served.land(changed(served, 1))
    assert not served.hub.publish("headway/served/main").problem
    told = commands(result_lines(home, report_of(served, run="served", branch="headway/served/main")))
    for label in ("fetch", "review", "merge"):
        subprocess.run(told[label], capture_output=True, check=True, cwd=checkout)
    assert (checkout / "own" / "1.txt").is_file()


def test_what_is_not_published_is_fetched_first(home: Path, tmp_path: Path, ground: Ground) -> None:
    ground.land(changed(ground, 1))
    told = commands(result_lines(home, report_of(ground, problem="no pushes on Friday")))
    repository = tmp_path / "my repository"
    for label in ("fetch", "review", "merge"):
        subprocess.run(told[label], capture_output=True, check=True, cwd=repository)
    assert (repository / "own" / "1.txt").is_file()


def test_a_run_whose_hub_is_elsewhere_has_a_result_without_commands(home: Path) -> None:
    report = RunReport(
        run=RUN, outcome=Outcome.DONE, summary="", branch="headway/x/main", trunk=Oid("a" * 40), commits=1
    )
    assert result_lines(home, report) == []
