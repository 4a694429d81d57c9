"""The user's `setup` as a step of an attempt: it runs where it has not run yet, and its result is in the log."""

from headway.agents.worker.attempt import Attempt
from headway.domain.progress import Progress
from headway.eventlog.events.life import AgentState
from headway.runs.setup_runner import set_up_files
from headway.runs.workspace_lock import alone, while_held
from headway.sandbox.runner import Sandbox
from headway.system.threads import in_thread

LEFT_NAMED = 100
"""Most paths left by `setup` that a worker is told by name."""


async def set_up(attempt: Attempt, sandbox: Sandbox, progress: Progress) -> None:
    """Run the user's `setup` in a worker's files unless it has run there, and note the result in the log."""
    command = attempt.spec.setup
    if command is None or attempt.setup is not None:
        return
    done = await in_thread(attempt.workspace.setup_done, command)
    if done is None:
        progress("runs setup")
        async with alone(attempt.workspace, attempt.conversation.log):
            running = set_up_files(sandbox, attempt.order.me, attempt.workspace, attempt.spec, command)
            done = await while_held(attempt.conversation.log, running)
    made = await in_thread(attempt.workspace.made)
    ran = AgentState(
        setup=attempt.setup_name,
        command=command,
        exit_code=done.exit_code,
        ended=done.ended,
        output=done.output,
        withheld=done.withheld,
        left=tuple(made.names(attempt.workspace.hub.repo)[:LEFT_NAMED]) if made is not None else (),
    )
    attempt.conversation.note(ran, dur_ms=done.seconds * 1000)
