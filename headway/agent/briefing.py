"""What a planner is told when a turn opens: its scope, the facts, handoffs, messages of the user."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headway.agent.children import Asked, recovered_in, told_in
from headway.agent.conversation import newest_scratchpad
from headway.agent.excerpt import cut
from headway.agent.handoff_text import brief, words
from headway.agent.policy import policy_text
from headway.agent.prompts import Prompts
from headway.domain.budget import UNLIMITED
from headway.domain.events import Event
from headway.domain.handoff import Handoff, HandoffNotice
from headway.domain.headings import ROOT_HEADING, handoff_heading, scope_heading
from headway.domain.ids import AgentId, ChildKey, Oid, parent_of
from headway.domain.refs import Ref
from headway.domain.spec import RunSpec
from headway.domain.task import Scope
from headway.domain.turn import PlanTurn
from headway.git.hub import Hub
from headway.trace.log_store import LogStore

HANDOFF_CHARS = 96_000
"""About 24,000 tokens of handoffs in one message; the rest is there by id."""

CONCERN_CHARS = 24_000
PATHS_NAMED = 40
OUTSTANDING_NAMED = 100
HANDED_NAMED = 100
GOAL_CHARS = 300
NONE = "none"


@dataclass(frozen=True)
class Briefing:
    """Renders a turn's messages."""

    order: PlanTurn
    spec: RunSpec
    store: LogStore
    hub: Hub
    prompts: Prompts
    now: float

    @property
    def is_root(self) -> bool:
        """Whether the planner owns the whole run."""
        return parent_of(self.order.me) == AgentId(self.order.context.run)

    @property
    def goal(self) -> str:
        """What was asked, in a line."""
        text = self.spec.instructions if self.is_root else self._scope().title
        return cut(text.strip().partition("\n")[0], GOAL_CHARS)

    def scope(self) -> str:
        """What opens every epoch: who the planner is and what was asked, word for word."""
        policy = self.spec.policy
        fewest, most = policy.root_tasks_per_round if self.is_root else policy.tasks_per_round
        common = {
            "policy": policy_text(self.spec, self.prompts),
            "fewest": fewest,
            "most": most,
        }
        if self.is_root:
            instructions = self.spec.instructions
            return self.prompts.render("messages/scope_root", heading=ROOT_HEADING, instructions=instructions, **common)
        scope = self._scope()
        return self.prompts.render(
            "messages/scope_sub",
            heading=scope_heading(scope.title),
            scope=scope.scope,
            intent=scope.intent,
            context=scope.context or NONE,
            constraints=scope.constraints or NONE,
            **common,
        )

    def fresh(self, line: Sequence[Event]) -> str:
        """What a new epoch carries over from the ones before."""
        told = list(told_in(line).values())
        tally: dict[str, int] = {}
        for notice in told:
            tally[notice.status] = tally.get(notice.status, 0) + 1
        handed = [f"- {n.child} · {n.status} · {self._handoff(n).title}" for n in told[-HANDED_NAMED:]]
        return self.prompts.render(
            "messages/fresh",
            scratchpad=newest_scratchpad(line) or NONE,
            tally=", ".join(f"{count} {status}" for status, count in sorted(tally.items())) or NONE,
            handed="\n".join(handed) or NONE,
        )

    def facts(self, pinned: Oid, before: Oid | None, outstanding: Iterable[Asked]) -> str:
        """What is so, in every turn."""
        out = list(outstanding)
        named = [
            f"\n  - {a.spawned.key} · {cut(' '.join(a.title.split()), 120)} · asked {_age(self.now - a.at)} ago"
            for a in out[:OUTSTANDING_NAMED]
        ]
        balance = self.order.balance
        return self.prompts.render(
            "messages/turn_facts",
            turn=self.order.turn,
            pinned=pinned[:12],
            since="since your last look" if before else "since the run began",
            changed=self._changed(before or self.order.context.base, pinned),
            tokens=_amount(balance.tokens),
            tasks=_amount(balance.tasks),
            spawnable=self.order.spawnable,
            delegate="yes" if self.order.may_delegate else "no",
            count=len(out),
            outstanding="".join(named) or NONE,
        )

    def handoffs(self, notices: Sequence[HandoffNotice]) -> str:
        """The handoffs that came in, the oldest first; those that do not fit are named."""
        room, parts = HANDOFF_CHARS, []
        for notice in notices:
            handoff = self._handoff(notice)
            text = brief(notice.child, handoff)
            if len(text) > room:
                heading = handoff_heading(notice.child, handoff.report.status, handoff.title)
                text = self.prompts.render("messages/handoff_by_id", heading=heading)
            room -= len(text)
            parts.append(text)
        return self.prompts.render("messages/handoffs", count=len(parts), handoffs="\n\n".join(parts))

    def steers(self, refs: Iterable[Ref]) -> list[str]:
        """Messages of the user to this planner."""
        texts = (str(self.store.event(ref).data["text"]) for ref in refs)
        return [self.prompts.render("messages/steer", text=text) for text in texts]

    def recovered(self, line: Sequence[Event], keys: Iterable[ChildKey]) -> str:
        """Children that an abandoned past asked for."""
        known = recovered_in(line)
        named = ", ".join(f"{key} ({known[key].title})" for key in keys)
        return self.prompts.render("messages/recovered", asked=named)

    def final(self, line: Sequence[Event]) -> str:
        """What speaks against a `finish` with status done, once."""
        verdict = self.order.final.verdict if self.order.final else None
        said = "none was given" if verdict is None else f"{verdict.why}, at commit {verdict.commit[:12]}"
        asked = self.spec.instructions if self.is_root else f"{self._scope().scope}\n\n{self._scope().intent}"
        return self.prompts.render(
            "messages/final",
            verdict=said,
            failing="" if verdict is None or verdict.passed else verdict.failing,
            concerns=self._concerns(line) or NONE,
            asked=asked,
        )

    def _scope(self) -> Scope:
        ref = self.order.scope
        return Scope.model_validate(self.store.event(ref).data["items"][ref.item or 0])

    def _handoff(self, notice: HandoffNotice) -> Handoff:
        return Handoff.model_validate(self.store.event(notice.ref(self.order.me)).data["handoff"])

    def _concerns(self, line: Sequence[Event]) -> str:
        by: dict[str, list[ChildKey]] = {}
        for notice in told_in(line).values():
            text = self._handoff(notice).report.concerns
            if text:
                by.setdefault(" ".join(text.split()), []).append(notice.child)
        lines = [f"- {cut(words(text), 1_000)} ({', '.join(keys[:5])})" for text, keys in by.items()]
        return cut("\n".join(lines), CONCERN_CHARS)

    def _changed(self, before: Oid, after: Oid) -> str:
        paths = [] if before == after else self.hub.changed_paths(before, after)
        more = f" and {len(paths) - PATHS_NAMED} more" if len(paths) > PATHS_NAMED else ""
        return (", ".join(paths[:PATHS_NAMED]) + more) or "nothing"


def _age(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004


def _amount(number: int) -> str:
    return "any number of" if number >= UNLIMITED // 2 else f"{number:,}"
