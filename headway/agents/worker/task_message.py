"""The message that opens an attempt: first the common part of all workers of the run, then the task.

A prompt cache serves only the common beginning of requests. So policy, limits and guidance come before the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from headway.domain.headings import mark_of, task_heading
from headway.domain.ids import Oid
from headway.domain.messages import WorkOrder
from headway.domain.spec import RunSpec
from headway.domain.task import TaskKind, TaskSpec
from headway.eventlog.events.life import AgentState
from headway.eventlog.views.attempt import Earlier
from headway.git.hub import Hub
from headway.policy.guidance import Guidance, guidance
from headway.policy.policy_text import policy_text
from headway.system.excerpt import cut
from prompts.prompts import Prompts

SUMMARY_CHARS = 4_000
NONE = "none"


@dataclass(frozen=True)
class TaskMessage:
    """Renders the message that opens an attempt."""

    order: WorkOrder
    task: TaskSpec
    spec: RunSpec
    hub: Hub
    prompts: Prompts

    @cached_property
    def shared(self) -> str:
        """The part that each worker of the run is told alike. Reads the repository: not for an event loop."""
        minutes = self.spec.limits.task_minutes
        shared = self.prompts.render(
            "messages/worker_shared",
            mark=self._mark,
            policy=policy_text(self.spec, self.prompts),
            task_minutes="no limit" if minutes == "none" else f"{minutes:g} minutes",
            check=self.spec.check or NONE,
            guidance=self._guidance.top or NONE,
        )
        return f"{shared}\n\n"

    def text(self, base: Oid, setup: AgentState | None, earlier: Sequence[Earlier]) -> str:
        """Everything the worker knows, its task last."""
        task, nearer = self.task, self._guidance.nearer
        kind = "kind_change" if task.kind is TaskKind.CHANGE else "kind_investigate"
        own = self.prompts.render(
            "messages/task",
            nearer=nearer and f"{nearer}\n\n",
            mark=self._mark,
            heading=task_heading(" ".join(task.title.split()), self.order.attempt),
            intent=task.intent,
            context=task.context or NONE,
            constraints=task.constraints or NONE,
            paths=", ".join(task.paths) or NONE,
            done_when=task.done_when or NONE,
            kind=self.prompts.render(f"messages/{kind}"),
            base=base[:12],
            setup=self._setup(setup),
            earlier=self._earlier(earlier),
        )
        return self.shared + own.rstrip()

    @property
    def _mark(self) -> str:
        return mark_of(self.order.context.incarnation)

    @cached_property
    def _guidance(self) -> Guidance:
        return guidance(self.hub, self.order.context.base, self.task.paths, self.prompts)

    def _setup(self, setup: AgentState | None) -> str:
        if setup is None:
            return ""
        how = {"command": setup.command, "how": setup.ended, "output": setup.output}
        if setup.exit_code == 0:
            ran = self.prompts.text("messages/setup_done")
        elif setup.withheld:
            ran = self.prompts.render("messages/setup_withheld", withheld=" and ".join(setup.withheld), **how)
        else:
            ran = self.prompts.render("messages/setup_failed", **how)
        if not setup.left:
            return ran
        left = self.prompts.render("messages/setup_left", names=", ".join(setup.left))
        return f"{ran}\n{left}"

    def _earlier(self, earlier: Sequence[Earlier]) -> str:
        told = []
        for each in earlier:
            handoff = each.said.handoff
            told.append(
                self.prompts.render(
                    "messages/earlier_attempt",
                    attempt=each.said.attempt,
                    status=handoff.report.status,
                    summary=cut(handoff.report.summary, SUMMARY_CHARS),
                    # The commit, because the workspace's own git knows the hub's objects and not its refs.
                    wip=(each.kept if handoff.facts.wip else None) or NONE,
                )
            )
        return "\n\n".join(told)
