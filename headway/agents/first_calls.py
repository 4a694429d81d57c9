"""Sizes of the first model calls of a run's agents; their slices of the budget begin with them.

An agent reserves the same for its first call. Texts that are not known yet, such as a task's, count with a usual size:
an agent with a longer request asks for more at once.
"""

from headway.agents.loop.context import head_bytes
from headway.agents.loop.tool import Toolset
from headway.agents.tools.catalogue import PLANNER_TOOLS, WORKER_TOOLS
from headway.domain.ids import Oid
from headway.domain.spec import RunSpec
from headway.domain.state.budget import Amount, Sizes
from headway.git.hub import Hub
from headway.models.meter import Meter
from headway.models.roles import Chosen
from headway.policy.guidance import guidance
from headway.policy.policy_text import policy_text
from prompts.prompts import Prompts

ASKED_BYTES = 8 * 1024
"""The text of a task or a scope, with the message around it."""
FACTS_BYTES = 4 * 1024
"""The facts that open a planner's turn."""


def sizes_of(spec: RunSpec, base: Oid, hub: Hub, prompts: Prompts, *, planner: Chosen, worker: Chosen) -> Sizes:
    """The sizes of first calls in a run that begins at the commit `base`. Without a limit for tasks."""
    policy = len(policy_text(spec, prompts).encode())
    guided = len(guidance(hub, base, (), prompts).top.encode())
    asked, told = ASKED_BYTES + policy, FACTS_BYTES + policy + len(spec.instructions.encode())
    return Sizes(
        task_call=_call(worker, prompts, "worker", WORKER_TOOLS[worker.edit], asked + guided),
        planner_call=_call(planner, prompts, "planner_sub", PLANNER_TOOLS, asked + FACTS_BYTES),
        root_call=_call(planner, prompts, "planner_root", PLANNER_TOOLS, told),
        task=Amount(),
    )


def _call(chosen: Chosen, prompts: Prompts, name: str, tools: Toolset, nbytes: int) -> Amount:
    made = chosen.model.endpoint.max_output
    given = chosen.model.worst_call(head_bytes(tools.system(prompts, name), tools.schemas) + nbytes, chosen.name) - made
    return Meter(chosen.price).reserve(given, made).model_copy(update={"unpriced": 0})
