"""The number of files and connections that a process may hold open. Shells start programs with 1,024 at first."""

import resource
from collections.abc import Iterator

from headway.domain.diagnostic import Diagnostic

ENOUGH = 65_536
AN_AGENT = 8
"""The most descriptors of one agent: log, locks, a connection to its model, pipes and handles of its command."""

OTHERS = 200
"""Descriptors of the process itself."""


def allow() -> int:
    """Allow this process and its children as many as they may have. Returns the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def findings(agents: int) -> Iterator[Diagnostic]:
    """The finding on the number of descriptors, for so many agents in one process."""
    allowed = allow()
    room = max(0, allowed - OTHERS) // AN_AGENT
    says = f"{allowed:,} in a process, room for {room:,} agents"
    state = "good" if room >= agents else "lacking"
    remedy = "raise the hard limit: ulimit -Hn, LimitNOFILE= of the service, or /etc/security/limits.conf"
    yield Diagnostic(topic="open files", state=state, says=says, remedy="" if state == "good" else remedy)
