"""A run's beginning and end: the hub and the log are made, the branch is published, the report is written."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headway.domain.errors import HeadwayError, UserError
from headway.domain.handoff import Handoff
from headway.domain.ids import AgentId, Oid, RunName
from headway.domain.limit_table import finite
from headway.domain.limits import workable
from headway.domain.progress import Progress
from headway.domain.refs import Ref
from headway.domain.run import (
    MeasureSpent,
    Note,
    PreparedRun,
    PrepareRun,
    Publish,
    Published,
    RunContext,
    RunReport,
    WriteAmendment,
    WriteReport,
    branch_of,
    outcome_of,
)
from headway.domain.spec import Commit, RunSpec, parse_spec
from headway.domain.state.budget import Amount, Bill, Ceiling, Sizes
from headway.domain.task import in_history
from headway.eventlog.events.conversation import Message, Text
from headway.eventlog.events.envelope import only
from headway.eventlog.events.life import HandedOff, RunEnd, RunStart
from headway.eventlog.events.work import Policy
from headway.eventlog.spent import spent_below
from headway.eventlog.store import LogStore
from headway.eventlog.verdicts import note_verdict
from headway.eventlog.views.figures import figures_of
from headway.eventlog.views.progress import progress_of
from headway.git.hub import Hub, HubFacts
from headway.git.workspace.setup_cache import withheld_note
from headway.models.pricing import Pricing, pricing_of
from headway.models.roles import ROLES, Chosen, ModelRole, ModelRoles
from headway.policy.sandbox_policy import check_policy
from headway.runs.report import ReportFacts, render_report
from headway.runs.trials import Trials
from headway.system.files import write_whole
from prompts.prompts import Prompts

Roles = Mapping[ModelRole, Chosen]
OUR_ATTRIBUTES = ("HeadwayRun", "HeadwayRole", "HeadwayState", "HeadwayDepth")


@dataclass(frozen=True)
class MachineFacts:
    """The facts of this machine for a run.

    Attributes:
        level: The sandbox's level.
        not_enforced: Bounds on commands that this level does not enforce.
        heartbeat_s: Heartbeat timeout of every activity.
        audit_s: Silence after which planners look for children that closed without a handoff, in seconds.
        refuses_network: Reason why no command can be given a network; empty where it can.
        private: Folders that no command may see.
    """

    level: str
    not_enforced: tuple[str, ...]
    heartbeat_s: int = 60
    audit_s: int = 600
    refuses_network: str = ""
    private: tuple[Path, ...] = ()


class FirstCalls(Protocol):
    """The sizes of the first calls of a run's agents, which know their own tools and messages."""

    def __call__(
        self, spec: RunSpec, base: Oid, hub: Hub, prompts: Prompts, *, planner: Chosen, worker: Chosen
    ) -> Sizes:
        """The sizes in a run that begins at the commit `base`."""


class RunLifecycle:
    """Prepares, publishes and reports. Everything is idempotent: an activity may be tried again at any point."""

    def __init__(
        self,
        store: LogStore,
        hubs: Callable[[RunName], Hub],
        models: ModelRoles,
        prompts: Prompts,
        *,
        machine: MachineFacts,
        preflight: Trials,
        folders: Callable[[RunName], Path],
        first_calls: FirstCalls,
    ) -> None:
        self._preflight = preflight
        self._store = store
        self._hubs = hubs
        self._models = models
        self._prompts = prompts
        self._machine = machine
        self._folders = folders
        self._first_calls = first_calls

    async def prepare(self, order: PrepareRun, attributes: tuple[str, ...], progress: Progress) -> PreparedRun:
        """Make the run's hub and log, or find them as an earlier attempt made them.

        The models are asked, and `setup` and `check` run on the base, before the run's log begins.

        Raises:
            UserError: The input, the repository, the model, `setup` or `check` needs the user.
        """
        spec = parse_spec(order.spec)
        check_policy(spec, self._machine.private)
        await asyncio.to_thread(self._store.claim, order.run, order.incarnation)
        try:
            return await self._prepared(order, spec, attributes, progress)
        except UserError:
            # Nothing has begun, so the user may start again under the same name after correcting the input.
            await asyncio.to_thread(self._store.release, order.run)
            raise

    async def _prepared(
        self, order: PrepareRun, spec: RunSpec, attributes: tuple[str, ...], progress: Progress
    ) -> PreparedRun:
        hub, begun = self._hubs(order.run), self._begun(order.run)
        progress("bringing the repository in")
        facts = await asyncio.to_thread(hub.prepare, spec.repo, spec.base)
        unpublishable = await asyncio.to_thread(hub.foresee_publishing, branch_of(order.run))
        progress("asking the models")
        probe = await (self._models.probe(spec) if begun else self._preflight.models(spec))
        chosen = {role: await self._models.choose(role, spec) for role in ROLES}
        pricing = self._pricing(chosen, spec)
        sizes = await asyncio.to_thread(self._sizes, spec, facts, hub, chosen, pricing)
        tried = None if begun else await self._preflight.commands(order.run, spec, facts.base, progress)
        # The log holds the repository's address without its password; the hub keeps the whole of it, readable by the
        # user alone.
        author = spec.commit or Commit(author=facts.author)
        resolved = spec.model_copy(update={"commit": author, "repo": facts.source})
        text, start = await asyncio.to_thread(self._begin_log, order, resolved, facts, chosen)
        if tried is not None and spec.check is not None:
            await asyncio.to_thread(note_verdict, self._store, order.run, tried.proof.verdict)
        notes = [f"commands of agents run at sandbox level '{self._machine.level}'", *self._machine.not_enforced]
        notes += pricing.notes
        notes += [self._prompts.told] if self._prompts.told else []
        notes += self._without_network(spec)
        notes += hub.rules().notes()
        notes += [f"{unpublishable}; what lands stays in {hub.folder} until then"] if unpublishable else []
        notes += probe.notes
        notes += await asyncio.to_thread(hub.not_taken)
        notes += tried.notes if tried is not None else ()
        return PreparedRun(
            context=self._context(order, resolved, facts, start, attributes=attributes, sizes=sizes, pricing=pricing),
            scope=text,
            title=in_history(spec.instructions.partition("\n")[0]),
            budget=Amount(
                tokens=finite(spec.limits.tokens),
                tasks=finite(spec.limits.tasks),
                micro_usd=pricing.usd(spec.limits.usd),
            ),
            repo=facts.source,
            level=self._machine.level,
            rehearsal=probe.rehearsal,
            notes=tuple(notes),
            unpriced=pricing.unpriced,
        )

    def _begun(self, run: RunName) -> bool:
        """True when an earlier attempt has begun the run's log. Nothing refuses the start from then on."""
        return self._store.newest(AgentId(run), RunStart) is not None

    def _without_network(self, spec: RunSpec) -> list[str]:
        why, policy = self._machine.refuses_network, spec.policy.network
        if not why or policy == "none" or (policy == "setup" and spec.setup is None):
            return []
        return [f"policy.network is '{policy}', but no command reaches out on this machine: {why}"]

    def _pricing(self, chosen: Roles, spec: RunSpec) -> Pricing:
        """The models of a run that lack a price.

        Raises:
            UserError: A limit in dollars cannot be kept.
        """
        return pricing_of({role: (each.name, each.price is not None) for role, each in chosen.items()}, spec)

    def _sizes(self, spec: RunSpec, facts: HubFacts, hub: Hub, chosen: Roles, pricing: Pricing) -> Sizes:
        """The sizes of the budget's slices.

        Raises:
            UserError: With the run's limits it cannot work.
        """
        roles = {"planner": chosen["planner"], "worker": chosen["worker"]}
        sizes = self._first_calls(spec, facts.base, hub, self._prompts, **roles)
        return workable(spec.limits, sizes if pricing.bounded else sizes.unpriced, dollars=pricing.bounded)

    def _context(
        self,
        order: PrepareRun,
        spec: RunSpec,
        facts: HubFacts,
        start: Ref,
        *,
        attributes: tuple[str, ...],
        sizes: Sizes,
        pricing: Pricing,
    ) -> RunContext:
        limits = spec.limits
        return RunContext(
            run=order.run,
            incarnation=order.incarnation,
            spec=start,
            base=facts.base,
            deadline=None if limits.hours == "none" else order.started_at + limits.hours * 3600,
            sizes=sizes,
            bounds_dollars=pricing.bounded,
            depth=limits.depth,
            open_tasks=limits.open_tasks,
            attempts=limits.attempts,
            attributes=tuple(name for name in OUR_ATTRIBUTES if name in attributes),
            has_check=spec.check is not None,
            heartbeat_s=self._machine.heartbeat_s,
            audit_s=self._machine.audit_s,
        )

    def _begin_log(self, order: PrepareRun, spec: RunSpec, facts: HubFacts, chosen: Roles) -> tuple[Ref, Ref]:
        """Refs to the instructions and to the start, which holds the spec; both written once."""
        log = self._store.open(AgentId(order.run), role="run")
        try:
            me = AgentId(order.run)
            text = self._store.newest(me, Text) or log.append(Text(instructions=spec.instructions))
            start = self._store.newest(me, RunStart)
            if start is None:
                began = RunStart(
                    spec=spec,
                    base=facts.base,
                    source=facts.source,
                    incarnation=order.incarnation,
                    level=self._machine.level,
                    models={role: each.facts for role, each in chosen.items()},
                )
                start = log.append(began, sync=True)
            return Ref(log=me, seq=text.seq), Ref(log=me, seq=start.seq)
        finally:
            log.close()

    async def publish(self, order: Publish) -> Published:
        """Push the trunk to the user's repository, and check that the branch is still there."""
        branch = branch_of(order.run)
        await asyncio.to_thread(self._store.expect, order.run)
        hub = self._hubs(order.run)
        found = await asyncio.to_thread(hub.publish, branch)
        told = "; ".join(filter(None, (found.told, await asyncio.to_thread(withheld_note, hub.folder))))
        made = await asyncio.to_thread(progress_of, self._store, order.run)
        return Published(
            trunk=found.tip, branch=branch, problem=found.problem, told=told, progress=made.number, progress_at=made.at
        )

    async def note(self, order: Note) -> Ref:
        """Write a message for a planner into the run's log."""
        return await asyncio.to_thread(self._note, order)

    def _note(self, order: Note) -> Ref:
        self._store.expect(order.run)
        handoff = self._store.said(order.about, HandedOff).handoff
        text = self._prompts.render(order.prompt, summary=handoff.report.summary)
        with self._store.open(AgentId(order.run), role="run") as log:
            return Ref(log=AgentId(order.run), seq=log.append(Message(text=text), sync=True).seq)

    async def amendment(self, order: WriteAmendment) -> Ref:
        """Write an amendment's text into the run's log, or find where this request has written it."""
        return await asyncio.to_thread(self._amendment, order)

    def _amendment(self, order: WriteAmendment) -> Ref:
        self._store.expect(order.run)
        with self._store.open(AgentId(order.run), role="run") as log:
            said = Policy(amendment=order.request, text=order.text, who=order.who, why=order.why)
            policies = only(self._store.stream(AgentId(order.run)), Policy)
            same = (event for event in policies if event.body.amendment == order.request)
            event = next(same, None) or log.append(said, sync=True)
            return Ref(log=AgentId(order.run), seq=event.seq)

    async def spent(self, order: MeasureSpent) -> Amount:
        """The sum of all agents' usage until now, from their logs."""
        await asyncio.to_thread(self._store.expect, order.run, order.incarnation)
        found = await asyncio.to_thread(figures_of, self._store, order.run)
        return found.total.spent

    async def report(self, order: WriteReport) -> RunReport:
        """Count the landed commits and write the report file. Returns its place."""
        return await asyncio.to_thread(self._report, order)

    def _report(self, order: WriteReport) -> RunReport:
        context, run = order.context, order.context.run
        self._store.expect(run, context.incarnation)
        hub = self._hubs(run)
        root = self._root(order)
        below = [handoff for handoff in self._handoffs(run) if handoff.agent != root.agent]
        counts: dict[str, int] = {}
        for handoff in below:
            counts[handoff.report.status] = counts.get(handoff.report.status, 0) + 1
        # Work of an abandoned agent may still land; the report tells of the proved and published commit.
        trunk = order.trunk or hub.tip()
        commits = hub.landed(context.base, trunk)
        problem = order.problem if commits else ""
        path = self._folders(run) / "report.md"
        report = RunReport(
            run=run,
            outcome=outcome_of(order.status, order.verdict, problem),
            summary=root.report.summary[:4000],
            branch=branch_of(run) if commits else "",
            problem=problem,
            stands=hub.published(branch_of(run)),
            hub=str(hub.folder),
            trunk=trunk,
            commits=len(commits),
            check=order.verdict,
            handoffs=counts,
            # Also what agents used up that ended without a word, or that a cancelled run did not wait for.
            spent=Bill.of(order.spent.most(spent_below(self._store, AgentId(run)))),
            granted=Ceiling.of(order.granted) if order.granted else None,
            report=str(path),
            rehearsal=order.rehearsal,
        )
        facts = ReportFacts(
            report=report,
            repo=hub.facts().source,
            root=root,
            commits=tuple((commit.oid[:10], commit.subject) for commit in commits),
            unlanded=tuple(handoff for handoff in below if handoff.facts.wip),
            open=tuple(h for h in below if h.report.status != "done" or h.report.concerns),
        )
        write_whole(path, render_report(facts).encode(), synced=True)
        self._end_log(run, report)
        return report

    def _root(self, order: WriteReport) -> Handoff:
        said = self._store.event(order.root)
        if not isinstance(said.body, HandedOff):
            raise HeadwayError(f"run {order.context.run}: event {order.root.seq} of {order.root.log} is no handoff")
        return said.body.handoff

    def _handoffs(self, run: RunName) -> list[Handoff]:
        found = []
        for agent in self._store.agents(run):
            end = self._store.newest(agent, HandedOff) if agent != AgentId(run) else None
            if end is not None:
                found.append(end.body.handoff)
        return found

    def _end_log(self, run: RunName, report: RunReport) -> None:
        log = self._store.open(AgentId(run), role="run")
        try:
            if self._store.newest(AgentId(run), RunEnd) is None:
                log.append(RunEnd.of(report), sync=True)
        finally:
            log.close()
