"""Where in a playbook a request stands. Pure: the same request always finds the same place."""

import difflib
import fnmatch
import re
from dataclasses import dataclass

from headway.domain.headings import ROOT_HEADING, handoffs_in, scope_of, task_of
from headway.rehearsal.conversation import Conversation
from headway.rehearsal.playbook import OWN_WORDS, PlannerScript, Playbook, Step, TaskScript

ROOT_SCOPE = scope_of(ROOT_HEADING)
_SO_FAR = re.compile(r"\(rehearsal: (?P<steps>\d+) calls so far(?:; handoffs (?P<keys>[^)]*))?\)")


class NoPlaceError(Exception):
    """The playbook does not say how to answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands.

    Attributes:
        who: The agent, as messages call it.
        script: Index of its script in `Playbook.scripts`.
        step: Calls of the script that were answered before, since the agent's first epoch.
        turns: Replies of any kind in this conversation; with `step` it tells two requests of one agent apart.
        handoffs: Keys of the handoffs that the agent was told of.
    """

    who: str
    script: int
    step: int
    turns: int
    handoffs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the title of a task and its attempt, or of a scope."""

    title: str
    attempt: int = 1
    planner: bool = False

    @property
    def label(self) -> str:
        """How messages call it."""
        if self.planner:
            return f"planner '{'root' if self.title == ROOT_SCOPE else self.title}'"
        return f"task '{self.title}'" + (f" (attempt {self.attempt})" if self.attempt > 1 else "")


def asker_of(talk: Conversation) -> Asker:
    """Who asks, by the first line of its first message.

    Raises:
        NoPlaceError: That line names nobody.
    """
    first = talk.users[0] if talk.users else ""
    if task := task_of(first):
        return Asker(task[0], task[1])
    if (scope := scope_of(first)) is not None:
        return Asker(scope, planner=True)
    raise NoPlaceError(f"the first message names no task and no scope: '{first.partition(chr(10))[0][:80]}'")


def place_of(playbook: Playbook, talk: Conversation) -> Place:
    """Where the request of this conversation stands.

    Raises:
        NoPlaceError: Nobody's script fits.
    """
    asker = asker_of(talk)
    script = _script_of(playbook, asker)
    if script is None:
        raise NoPlaceError(f"no script fits {asker.label}{_nearest(playbook, asker)}")
    before, told = _before(talk)
    own = sum(turn.startswith(OWN_WORDS) for turn in talk.turns)
    return Place(
        who=asker.label,
        script=script,
        step=before + len(talk.turns) - own,
        turns=len(talk.turns),
        handoffs=told if asker.planner else frozenset(),
    )


def step_at(playbook: Playbook, place: Place) -> Step:
    """The step that answers at this place.

    Raises:
        NoPlaceError: The script is at its end.
    """
    left = place.step
    steps = playbook.scripts[place.script].calls
    for step in steps:
        if left < step.repeat:
            return step
        left -= step.repeat
    raise NoPlaceError(f"{place.who} has no call {place.step + 1} (it has {sum(step.repeat for step in steps)})")


def so_far(place: Place) -> str:
    """What the rehearsal answers when it is asked for a summary: enough to find the place in the next epoch."""
    handoffs = f"; handoffs {' '.join(sorted(place.handoffs))}" if place.handoffs else ""
    return f"{OWN_WORDS}{place.step} calls so far{handoffs})"


def _before(talk: Conversation) -> tuple[int, frozenset[str]]:
    steps = 0
    keys: set[str] = set()
    for text in talk.users:
        keys.update(key for key, _, _ in handoffs_in(text))
        for found in _SO_FAR.finditer(text) if OWN_WORDS in text else ():
            steps = max(steps, int(found["steps"]))
            keys.update((found["keys"] or "").split())
    return steps, frozenset(keys)


def _script_of(playbook: Playbook, asker: Asker) -> int | None:
    found = [index for index, script in enumerate(playbook.scripts) if _fits(script, asker)]
    return min(found, key=lambda index: (_looseness(playbook.scripts[index], asker), index), default=None)


def _fits(script: PlannerScript | TaskScript, asker: Asker) -> bool:
    match script:
        case PlannerScript(scope="root"):
            return asker.planner and asker.title == ROOT_SCOPE
        case PlannerScript():
            return asker.planner and asker.title != ROOT_SCOPE and script.scope in asker.title
        case TaskScript():
            named = script.title == asker.title or fnmatch.fnmatchcase(asker.title, script.title)
            return not asker.planner and named and script.attempt in {None, asker.attempt}


def _looseness(script: PlannerScript | TaskScript, asker: Asker) -> tuple[bool, bool]:
    if isinstance(script, PlannerScript):
        return (script.scope != asker.title, False)
    return (script.title != asker.title, script.attempt is None)


def _nearest(playbook: Playbook, asker: Asker) -> str:
    named = [s.scope for s in playbook.planners] if asker.planner else [s.title for s in playbook.tasks]
    near = difflib.get_close_matches(asker.title, named, n=1)
    return f"; the nearest is '{near[0]}'" if near else ""
