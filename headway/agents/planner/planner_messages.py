"""The messages that open a planner's turn: its scope, the facts, handoffs, messages of the user."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headway.agents.planner.concerns import Concern, merged, points_of, sameness
from headway.agents.planner.handoff_text import brief
from headway.agents.planner.path_index import overlap
from headway.domain.check import CheckVerdict
from headway.domain.errors import HeadwayError
from headway.domain.handoff import Handoff, HandoffNotice, HandoffStatus
from headway.domain.headings import ROOT_HEADING, handoff_heading, mark_of, scope_heading
from headway.domain.ids import AgentId, ChildKey, Oid, parent_of
from headway.domain.limit_table import finite
from headway.domain.planner_turn import SPAWNS_PER_TURN, PlanTurn, Spawned
from headway.domain.refs import Ref
from headway.domain.spec import RunSpec
from headway.domain.state.budget import MICRO, UNLIMITED, Amount
from headway.domain.task import Scope
from headway.eventlog.events.conversation import Message, Text
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import HandedOff
from headway.eventlog.request_text import scope_at
from headway.eventlog.store import LogStore
from headway.eventlog.verdicts import newest_verdict
from headway.eventlog.views.children import Asked, Children
from headway.git.changes import shown
from headway.git.hub import Hub
from headway.policy.policy_text import policy_text
from headway.system.excerpt import cut
from prompts.prompts import Prompts

HANDOFF_BYTES = 96_000
"""About 24,000 tokens of handoffs in one message; the rest is there by id."""

CONCERN_CHARS = 16_000
CONCERNS_NAMED = 100
OFTEN_NAMED = 10
FOLDERS_NAMED = 10
DONE = HandoffStatus.DONE
PATHS_NAMED = 40
OUTSTANDING_NAMED = 100
HANDED_NAMED = 100
GOAL_CHARS = 300
NONE = "none"


@dataclass(frozen=True)
class PlannerMessages:
    """Renders a turn's messages.

    Attributes:
        read: Handoffs that were read; one that does not change is read once.
    """

    order: PlanTurn
    spec: RunSpec
    store: LogStore
    hub: Hub
    prompts: Prompts
    children: Children
    now: float
    read: dict[ChildKey, Handoff] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_root(self) -> bool:
        """True if the planner owns the whole run."""
        return parent_of(self.order.me) == AgentId(self.order.context.run)

    @property
    def goal(self) -> str:
        """The request, in a line."""
        text = self.spec.instructions if self.is_root else self._scope().title
        return cut(text.strip().partition("\n")[0], GOAL_CHARS)

    @property
    def shared(self) -> str:
        """The part that each planner of the run is told alike, before its own scope: for prompt caches."""
        policy = policy_text(self.spec, self.prompts)
        return self.prompts.render("messages/planner_shared", mark=self._mark, policy=policy) + "\n\n"

    @property
    def _mark(self) -> str:
        return mark_of(self.order.context.incarnation)

    def scope(self) -> str:
        """The beginning of each epoch: the policy, then the planner's role and its scope, word for word."""
        fewest, most = self.round_range
        common = {"mark": self._mark, "fewest": fewest, "most": most}
        if self.is_root:
            instructions = self.spec.instructions
            root = self.prompts.render("messages/scope_root", heading=ROOT_HEADING, instructions=instructions, **common)
            return self.shared + root
        scope = self._scope()
        return self.shared + self.prompts.render(
            "messages/scope_sub",
            heading=scope_heading(scope.title),
            scope=scope.scope,
            intent=scope.intent,
            context=scope.context or NONE,
            constraints=scope.constraints or NONE,
            **common,
        )

    def fresh(self, notes: str) -> str:
        """The parts of earlier epochs that a new one carries over."""
        told = list(self.children.told.values())
        handed = [f"- {n.child} · {n.status} · {self._handoff(n).title}" for n in told[-HANDED_NAMED:]]
        return self.prompts.render(
            "messages/fresh",
            scratchpad=notes or NONE,
            tally=_tally(told) or NONE,
            handed="\n".join(handed) or NONE,
        )

    def facts(self, pinned: Oid, before: Oid | None, outstanding: Iterable[Asked]) -> str:
        """The facts that open every turn."""
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
            check=self._check(newest_verdict(self.store, self.order.context.run), pinned),
            tokens=_amount(balance.tokens),
            tasks=_amount(balance.tasks),
            usd=self._dollars(balance) + (self.prompts.text("messages/more_budget") if self.order.more else ""),
            spawnable=self.order.spawnable,
            delegate="yes" if self.order.may_delegate else "no",
            concerns=self._shared(merged(self.children.concerns)),
            count=len(out),
            outstanding="".join(named) or NONE,
        )

    def handoffs(self, notices: Sequence[HandoffNotice]) -> str:
        """The handoffs that came in, the oldest first; those that do not fit are named.

        A concern that others report too, now or before, is told once, below all of them.
        """
        handoffs = {notice.child: self._handoff(notice) for notice in notices}
        coming = self.concerns(notices)
        every = merged({**self.children.concerns, **coming})
        shared = {sameness(each.text) for each in every if len(each.by) > 1}
        told = [each for each in every if len(each.by) > 1 and not set(each.by).isdisjoint(coming)]
        short = {child: self._by_id(child, handoff) for child, handoff in handoffs.items()}
        below = self.prompts.render("messages/shared_concerns", concerns=_listed(told)) if told else ""
        # However long the first ones are, each is named.
        room = HANDOFF_BYTES - _size(below) - sum(_size(text) for text in short.values())
        parts = []
        for child, handoff in handoffs.items():
            text = brief(child, handoff, [point for point in coming[child] if sameness(point) not in shared])
            if (more := _size(text) - _size(short[child])) > room:
                text = short[child]
            else:
                room -= max(0, more)
            parts.append(text)
        return self.prompts.render(
            "messages/handoffs", count=len(parts), handoffs="\n\n".join(parts), shared=below and f"\n{below}"
        )

    def concerns(self, notices: Sequence[HandoffNotice]) -> dict[ChildKey, tuple[str, ...]]:
        """The concerns of each of these handoffs, for the planner's log."""
        return {notice.child: points_of(self._handoff(notice).report.concerns) for notice in notices}

    def _by_id(self, child: ChildKey, handoff: Handoff) -> str:
        heading = handoff_heading(child, handoff.report.status, handoff.title)
        return self.prompts.render("messages/handoff_by_id", heading=heading)

    def steers(self, refs: Iterable[Ref]) -> list[str]:
        """Messages of the user to this planner."""
        texts = (_text(self.store.event(ref)) for ref in refs)
        return [self.prompts.render("messages/steer", text=text) for text in texts]

    def recovered(self, found: Iterable[Spawned]) -> str:
        """Children that an abandoned past asked for."""
        named = ", ".join(f"{child.key} ({child.title})" for child in found)
        return self.prompts.render("messages/recovered", asked=named)

    def final(self, pinned: Oid) -> str:
        """The facts against a `finish` with status done, shown once."""
        verdict = self.order.final.verdict if self.order.final else None
        told = list(self.children.told.values())
        undone = [f"- {n.child} · {n.status} · {self._handoff(n).title}" for n in told if n.status != DONE]
        every = merged(self.children.concerns)
        return self.prompts.render(
            "messages/final",
            verdict=self._check(verdict, pinned),
            tally=_tally(told) or NONE,
            undone="\n".join(undone[-HANDED_NAMED:]) or NONE,
            concerns=_listed(every[:CONCERNS_NAMED]) or NONE,
            asked=self.spec.instructions if self.is_root else f"{self._scope().scope}\n\n{self._scope().intent}",
        )

    def few(self, asked: int) -> str:
        """The message to a planner whose first round is far smaller than its range, sent once."""
        fewest, most = self.round_range
        return self.prompts.render("messages/few_tasks", asked=asked, fewest=fewest, most=most)

    @property
    def round_range(self) -> tuple[int, int]:
        """Least and most tasks for a round: the policy's range, as far as the limits let it."""
        policy, limits = self.spec.policy, self.spec.limits
        fewest, most = policy.root_tasks_per_round if self.is_root else policy.tasks_per_round
        most = min(most, limits.open_tasks, finite(limits.tasks), SPAWNS_PER_TURN)
        return min(fewest, most), most

    def _check(self, verdict: CheckVerdict | None, pinned: Oid) -> str:
        if verdict is None:
            return self.prompts.render("messages/check_not_run" if self.spec.check else "messages/check_none")
        moved = self.prompts.render("messages/check_moved") if pinned != verdict.commit else ""
        common = {"commit": verdict.commit[:12], "age": _age(self.now - verdict.at), "moved": moved}
        if not verdict.ran:
            return verdict.why
        if verdict.passed:
            return self.prompts.render("messages/check_green", **common)
        return self.prompts.render("messages/check_red", why=verdict.why, failing=verdict.failing, **common)

    def _shared(self, every: Sequence[Concern]) -> str:
        often = [concern for concern in every if len(concern.by) > 1][:OFTEN_NAMED]
        return "".join(f"\n  - {concern}" for concern in often) or NONE

    def _dollars(self, balance: Amount) -> str:
        bounded = self.order.context.bounds_dollars and balance.micro_usd < UNLIMITED // 2
        return f", {balance.micro_usd / MICRO:,.2f} dollars" if bounded else ""

    def _scope(self) -> Scope:
        return scope_at(self.store, self.order.scope)

    def _handoff(self, notice: HandoffNotice) -> Handoff:
        if notice.child not in self.read:
            self.read[notice.child] = self.store.said(notice.ref(self.order.me), HandedOff).handoff
        return self.read[notice.child]

    def _changed(self, before: Oid, after: Oid) -> str:
        """Paths that changed, those first where tasks of this planner work; many others by their folder."""
        paths = [] if before == after else self.hub.changed_paths(before, after)
        ours = [path for asked in self.children.asked.values() for path in asked.paths]
        near = set(overlap(paths, ours))
        ordered = sorted(paths, key=lambda path: path not in near)
        rest = Counter(path.partition("/")[0] for path in ordered[PATHS_NAMED:])
        named = [shown(path) for path in ordered[:PATHS_NAMED]]
        more = [f"{count} more below {shown(top)}" for top, count in rest.most_common(FOLDERS_NAMED)]
        left = sum(count for _, count in rest.most_common()[FOLDERS_NAMED:])
        return ", ".join([*named, *more, *([f"{left} elsewhere"] if left else [])]) or "nothing"


def _tally(told: Iterable[HandoffNotice]) -> str:
    counts = Counter(str(notice.status) for notice in told)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _text(event: AnyEvent) -> str:
    """The words of a message for a planner: of the user, or of the run."""
    match event.body:
        case Text(text=text) | Message(text=text):
            return text
        case _:
            raise HeadwayError(f"event {event.seq} of {event.agent} is no message")


def _listed(concerns: Iterable[Concern]) -> str:
    return cut("\n".join(f"- {concern}" for concern in concerns), CONCERN_CHARS)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _age(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004


def _amount(number: int) -> str:
    return "any number of" if number >= UNLIMITED // 2 else f"{number:,}"
