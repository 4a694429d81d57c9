"""Handles faults of the harness in an agent's work, so that none is retried without end.

A fault that waiting cures is waited for. Any other one counts. A call that broke gets an answer; one that broke twice
is not made again; an attempt that breaks three times at the same place hands off.
"""

from collections.abc import Collection
from contextlib import suppress

from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.domain.errors import HeadwayError, Shortage, ToolError
from headway.eventlog.events.life import AgentState
from headway.eventlog.store import AgentLog
from headway.eventlog.views.interrupted import Interrupted
from headway.git.git_process import GitError
from headway.models.turn import ToolCall
from headway.system.excerpt import cut
from headway.system.shortage import lacking, lacking_in
from prompts.prompts import Prompts

BREAKS = 2
"""Times that one call may break."""

ENDS = 3
"""Times in a row that an attempt may break at one place."""

GIT_ENDS = 20
"""The same where git failed, which may have passed at the next try: a minute of tries."""

WHY_CHARS = 300


def passes(error: BaseException) -> bool:
    """True if an error is no fault of the attempt's actions: it has a meaning of its own, or it passes by waiting."""
    return isinstance(error, HeadwayError) or lacking(error) is not None


def why(error: BaseException) -> str:
    """An error in a line."""
    return cut(f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": "), WHY_CHARS)


def answer_to(error: Exception, prompts: Prompts) -> ToolAnswer:
    """The answer to a call that raised `error`; raises it again where that is no fault of the call."""
    if isinstance(error, ToolError):
        return ToolAnswer(text=str(error), error=True)
    if passes(error):
        raise error
    reason = why(error)
    return ToolAnswer(prompts.render("answers/broke", why=reason), error=True, broke=reason)


def broken_before(
    conversation: Conversation, call: ToolCall, prompts: Prompts, *, resumes: bool = False
) -> ToolAnswer | None:
    """The answer to a call that is not made again, because it broke too often.

    `resumes`: its tool finds out by itself what a call that was cut off has done.
    """
    cut_off = 0 if resumes else conversation.interrupted.resumed(call.id)
    if max(conversation.seen.broke[conversation.key_of(call)], cut_off) < BREAKS:
        return None
    return ToolAnswer(prompts.render("answers/broke_twice"), error=True, broke="not made again")


def note_resumed(conversation: Conversation, resuming: Collection[str] = ()) -> None:
    """Note which call is made again now, after the process that made it was lost or gave up.

    `resuming`: tools that find out by themselves what a call that was cut off has done.
    """
    pending = conversation.pending
    if pending and pending[0].name not in resuming:
        conversation.note(AgentState(resumed=pending[0].id))


def counted(log: AgentLog, seen: Interrupted, error: Exception) -> bool:
    """Note that an attempt broke. True if it broke at this place so often that it must end.

    `seen` follows the log.

    The place is where the log stands: an attempt that goes on writes something else than notes like this.
    """
    if isinstance(error, GitError) and not lacking_in(error.err):
        most = GIT_ENDS
    elif passes(error):
        if isinstance(error, Shortage | GitError) or lacking(error) is not None:
            with suppress(Shortage):  # then the call counts as cut off, once
                log.append(AgentState(passed=why(error)), epoch=log.epoch)
        return False
    else:
        most = ENDS
    log.append(AgentState(broke_at=why(error)), epoch=log.epoch, sync=True)
    return seen.in_a_row >= most
