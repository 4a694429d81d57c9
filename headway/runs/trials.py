"""Trials before a run begins: its models, and `setup` and `check` on its base. A refusal costs nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, Oid, RunName
from headway.domain.progress import Progress
from headway.domain.spec import RunSpec
from headway.git.workspace.overlay import unmount_below
from headway.git.workspace.workspaces import Workspaces
from headway.models.failures import Refused
from headway.models.probe import Probe
from headway.models.roles import ModelRoles
from headway.runs.check import Checker, Proof

TRIES = 3
AGAIN_S = 2.0
"""Seconds between two tries of a model's server, which may be starting."""


@dataclass(frozen=True)
class Tried:
    """Results of `setup` and `check` on the base of a run that may begin."""

    proof: Proof
    notes: tuple[str, ...] = ()


class Trials:
    """Refuses a run that could not work.

    Args:
        models: Those of this machine.
        checker: Runs `setup` and `check`.
        workspaces: The workspaces of each run.
        again_s: Seconds between two tries of a server that refuses.
    """

    def __init__(
        self,
        models: ModelRoles,
        checker: Checker,
        workspaces: Callable[[RunName], Workspaces],
        *,
        again_s: float = AGAIN_S,
    ) -> None:
        self._models = models
        self._checker = checker
        self._workspaces = workspaces
        self._again_s = again_s

    async def models(self, spec: RunSpec) -> Probe:
        """Ask the run's models; returns their answers about themselves.

        Raises:
            UserError: One cannot be used before the user acts: address, key, name or tools.
        """
        for left in reversed(range(TRIES)):
            try:
                found = await self._models.probe_for(spec)
            except Refused as error:
                # A server that keeps no list names no model either.
                raise UserError(f"no model is named, and {error.why}", error.remedy) from error
            if found.refusal is None:
                return found
            if not left:
                raise UserError(found.refusal.says, found.refusal.remedy)
            await asyncio.sleep(self._again_s)
        raise AssertionError("a loop with at least one turn returns or raises")

    async def commands(self, run: RunName, spec: RunSpec, base: Oid, progress: Progress) -> Tried | None:
        """Run `setup` and `check` on the base; None where the run has neither.

        A check that fails on the base is a note and refuses nothing: the run may be there to make it pass.

        Raises:
            UserError: `setup` fails, or the check cannot be executed or does not end.
        """
        if spec.setup is None and spec.check is None:
            return None
        proof = await self._checker.prove(run, AgentId(run), spec, base, progress)
        verdict = proof.verdict
        if proof.obstacle:
            # The folders of the run are removed with the refusal, and mounts would keep them.
            await asyncio.to_thread(unmount_below, self._workspaces(run).folder.parent)
            shown = "\n".join(f"    {line}" for line in verdict.failing.splitlines())
            said = f"{proof.obstacle}, on the base {base[:12]}" + (f"\n{shown}" if shown else "")
            raise UserError(said, proof.remedy)
        if spec.check is None or verdict.passed:
            return Tried(proof)
        return Tried(proof, (f"the check does not pass on the base {base[:12]}: {verdict.why}",))
