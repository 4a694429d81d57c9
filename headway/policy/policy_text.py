"""The policy of a run in words, the same for all agents."""

from headway.domain.spec import RunSpec
from prompts.prompts import Prompts

NONE = "none"


def policy_text(spec: RunSpec, prompts: Prompts) -> str:
    """The rules that every agent of the run is told and held to.

    A user who names only forbidden dependencies means that all others are allowed.
    """
    policy, limits = spec.policy, spec.limits
    names = ", ".join(policy.forbidden_dependencies)
    unsaid = prompts.render("messages/dependencies_some" if names else "messages/dependencies_none")
    return prompts.render(
        "messages/policy",
        dependencies=policy.dependencies or unsaid,
        forbidden=prompts.render("messages/policy_forbidden", names=names) if names else NONE,
        performance=policy.performance or NONE,
        network=prompts.render(f"messages/network_{policy.network}"),
        command_seconds=limits.command_seconds,
        memory_mb=limits.agent_memory_mb,
    )
