"""Puts a worker's change on the trunk, and tells it the result in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.domain.ids import AgentId, Fence, Oid, parent_of
from headway.domain.results import LandAnswer, Result
from headway.domain.run import RunContext
from headway.eventlog.events.conversation import ToolCallBegun
from headway.eventlog.events.envelope import Event
from headway.eventlog.events.work import LandedCommit, SnapshotKept
from headway.eventlog.views.attempt import AttemptRecord
from headway.git.hub import Hub
from headway.git.landing.landing import (
    Conflicted,
    Landed,
    Landing,
    LandingOutcome,
    LandingRefused,
    NothingToLand,
    Submission,
)
from headway.git.landing.merging import WHOLE
from headway.git.landing.submission import chosen
from headway.git.workspace.snapshot import Snapshot, snapshot
from headway.git.workspace.workspace import Workspace
from headway.policy.forbidden_dependencies import Breach, breaches
from headway.system.excerpt import cut
from headway.system.threads import in_thread
from prompts.prompts import Prompts

ROUNDS = 3
"""Conflicts in a row after which a task hands off with its patch on a ref."""

PATHS_NAMED = 40
SUBJECT_CHARS = 120
"""Characters of a rival's subject: its author chose it, and others are told of it."""


@dataclass(frozen=True)
class LandTool:
    """Lands for one attempt at a task.

    Attributes:
        attempt: The attempt so far.
        holds: Tells if a lease is still the newest of its log.
        forbidden: Dependencies that no change may add.
        trunk_mb: Megabytes by which the trunk's files may grow in this run; None for any number.
    """

    context: RunContext
    task: AgentId
    hub: Hub
    workspace: Workspace
    author: str
    prompts: Prompts
    attempt: AttemptRecord
    holds: Callable[[Fence], bool]
    forbidden: tuple[str, ...] = ()
    trunk_mb: int | None = None

    async def land(
        self, conversation: Conversation, begun: Event[ToolCallBegun], message: str, paths: tuple[str, ...] | None
    ) -> ToolAnswer:
        """Land, once for each call: `begun` is its note in the log, and a repeated call finds what it did before."""
        if self.workspace.notes().rounds >= ROUNDS - 1:
            # If this conflicts too the task ends, and its kept work should not be full of markers.
            await in_thread(self.keep, conversation)
        submission = Submission(
            message=message,
            author=self.author,
            run=self.context.run,
            task=self.task,
            planner=planners_of(self.task),
            place=f"{self.task}:{begun.seq}",
            fence=conversation.log.fence(),
            paths=paths,
            accept_doubtful=self.attempt.landing is not None and self.attempt.landing.landing == "doubtful",
            trunk_mb=self.trunk_mb,
        )
        found = await in_thread(self._breaches, submission)
        if found:
            return self._forbidden(found)
        await in_thread(conversation.log.sync)
        outcome = await in_thread(
            Landing(self.hub, self.holds).land, self.workspace, submission, conversation.log.check
        )
        answer = self._told(conversation, outcome)
        left = await in_thread(self.workspace.in_submodules)
        if left:
            more = self.prompts.render("answers/in_submodules", paths=_listed(left, ", "))
            answer = replace(answer, text=f"{answer.text}\n{more}")
        if self.workspace.caches:
            more = self.prompts.render("answers/left_out", paths=_listed(self.workspace.caches, ", "))
            answer = replace(answer, text=f"{answer.text}\n{more}")
        return answer

    def _breaches(self, submission: Submission) -> list[Breach]:
        """Forbidden dependencies that the change would add."""
        if not self.forbidden:
            return []
        with self.workspace.held():
            base = self.workspace.base
            tree = chosen(self.hub.repo, base, self.workspace.scan(), submission.paths)
            return breaches(self.hub, base, tree, self.forbidden)

    def _forbidden(self, found: Sequence[Breach]) -> ToolAnswer:
        listed = [f"- {breach.name} in {breach.path}, by the rule '{breach.rule}'" for breach in found]
        text = self.prompts.render("answers/land_forbidden", found=_listed(listed, "\n"))
        named = tuple(sorted({breach.name for breach in found}))
        return ToolAnswer(text, error=True, result=LandAnswer(landing="forbidden", forbidden=named))

    def keep(self, conversation: Conversation) -> Snapshot | None:
        """Keep changes that are not on the trunk on the task's ref."""
        kept = snapshot(self.hub, self.workspace, self.task, conversation.log.check)
        if kept is not None and kept.commit != self.attempt.kept:
            conversation.note(SnapshotKept(commit=kept.commit, ref=kept.ref, base=kept.base), sync=True)
        return kept

    def _told(self, conversation: Conversation, outcome: LandingOutcome) -> ToolAnswer:
        render = self.prompts.render
        match outcome:
            case Landed(commit=commit, trunk=trunk):
                if commit not in self.attempt.claimed:
                    conversation.note(LandedCommit(commit=commit, trunk=trunk))
                others = _listed(outcome.others, ", ") or "nothing"
                if outcome.conflicted:
                    marked = _listed(outcome.conflicted, ", ")
                    before = (outcome.before or trunk)[:12]
                    named = {"commit": commit, "others": others, "conflicted": marked, "before": before}
                    text = render("answers/landed_with_conflict", **named)
                else:
                    text = render("answers/landed", commit=commit, others=others)
                return ToolAnswer(text, progress=True, result=LandAnswer(landing="landed", commit=commit))
            case NothingToLand(trunk=trunk):
                return ToolAnswer(
                    render("answers/nothing_to_land", trunk=trunk[:12]), result=LandAnswer(landing="nothing")
                )
            case LandingRefused(doubtful=doubtful):
                name = "answers/land_doubtful" if doubtful else "answers/land_refused"
                text = render(name, reason=outcome.reason, paths=_listed(outcome.paths, "\n"))
                return ToolAnswer(text, error=True, result=LandAnswer(landing="doubtful" if doubtful else "refused"))
            case Conflicted():
                return self._conflict(outcome)

    def _conflict(self, outcome: Conflicted) -> ToolAnswer:
        paths = [_conflicting(*each, outcome.before) for each in zip(outcome.paths, outcome.kinds, strict=True)]
        rivals = [f"- {rival.oid[:12]} {cut(rival.subject, SUBJECT_CHARS)}" for rival in outcome.rivals]
        text = self.prompts.render(
            "answers/conflict",
            rounds=outcome.rounds,
            most=ROUNDS,
            trunk=outcome.trunk[:12],
            paths=_listed(paths, "\n"),
            rivals=_listed(rivals, "\n") or "- none by the trunk's own commits",
        )
        result = LandAnswer(landing="conflicted", rounds=outcome.rounds, paths=outcome.paths)
        return ToolAnswer(text, error=True, progress=True, result=result)


def _conflicting(path: str, kind: str, before: Oid) -> str:
    if kind not in WHOLE:
        return f"- {path} ({kind})"
    return f"- {path} ({kind}): no markers, it is as the trunk has it; as you had it: git show {before[:12]}:{path}"


def planners_of(task: AgentId) -> tuple[str, ...]:
    """The planners above a task, from the root down."""
    chain: list[str] = []
    above = parent_of(task)
    while "/" in above:
        chain.insert(0, above)
        above = parent_of(above)
    return tuple(chain)


def conflict_rounds(results: Iterable[Result]) -> int:
    """Conflicts in a row at the newest landing; zero after any other answer."""
    landings = [result for result in results if isinstance(result, LandAnswer)]
    return landings[-1].rounds if landings and landings[-1].landing == "conflicted" else 0


def _listed(entries: Sequence[str], separator: str) -> str:
    more = [f"and {len(entries) - PATHS_NAMED} more"] if len(entries) > PATHS_NAMED else []
    return separator.join([*entries[:PATHS_NAMED], *more])
