"""The place of a request in a playbook. Pure: the same request always finds the same place."""

import re
from dataclasses import dataclass
from itertools import takewhile

from headway.domain.headings import handoffs_in, scope_of, task_of
from headway.rehearsal.asker import Asker
from headway.rehearsal.part import OWN_WORDS
from headway.rehearsal.playbook import Step
from headway.rehearsal.request_reader import RequestedConversation, WireMessage
from headway.rehearsal.scripts import Scripts

NONSENSE_WORDS = f"{OWN_WORDS}fault "
BLANK = " \u2003\u2002\u2003\n"
"""Text of a reply that is empty on purpose. A server keeps nothing, so a silent reply must still be recognised, also
with a word of its client before it."""

_SO_FAR = re.compile(r"\(rehearsal: (?P<steps>\d+) calls so far(?:; handoffs (?P<keys>[^()]*+))?\)")


class NoPlaceError(Exception):
    """The playbook does not say how to answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a request.

    Attributes:
        asker: The asking agent.
        script: Number of its script in `Scripts`.
        step: Calls of the script that were answered before, since the agent's first epoch.
        turns: Replies of any kind in this conversation; with `step` it tells two requests of one agent apart.
        nonsense: Faults of the model at the conversation's end, in a row.
        handoffs: Keys of the handoffs that the agent was told of.
    """

    asker: Asker
    script: int
    step: int
    turns: int
    nonsense: int = 0
    handoffs: frozenset[str] = frozenset()

    @property
    def who(self) -> str:
        """The agent, as messages call it."""
        return self.asker.label


def asker_of(talk: RequestedConversation) -> Asker:
    """The asking agent, by the first line of its first message.

    Raises:
        NoPlaceError: That line names no agent.
    """
    first = talk.users[0] if talk.users else ""
    if task := task_of(first):
        return Asker(task[0], task[1])
    if (scope := scope_of(first)) is not None:
        return Asker(scope, planner=True)
    raise NoPlaceError(f"the first message names no task and no scope: '{first.partition(chr(10))[0][:80]}'")


def place_of(scripts: Scripts, talk: RequestedConversation) -> Place:
    """The place of this conversation's request.

    Raises:
        NoPlaceError: No script fits.
    """
    asker = asker_of(talk)
    script = scripts.find(asker)
    if script is None:
        near = scripts.nearest(asker)
        raise NoPlaceError(f"no script fits {asker.label}" + (f"; the nearest is '{near}'" if near else ""))
    before, told = _before(talk)
    return Place(
        asker=asker,
        script=script,
        step=before + sum(1 for turn in talk.turns if not _is_own(turn)),
        turns=len(talk.turns),
        nonsense=sum(1 for _ in takewhile(_is_nonsense, reversed(talk.turns))),
        handoffs=told if asker.planner else frozenset(),
    )


def step_at(scripts: Scripts, place: Place, talk: RequestedConversation) -> Step:
    """The step that answers at this place, by its own condition where it has one.

    Raises:
        NoPlaceError: The script is at its end.
    """
    left = place.step
    steps = scripts[place.script].calls
    for step in steps:
        if left < step.repeat:
            return step if len(place.handoffs) < step.after_handoffs else _way(step, talk)
        left -= step.repeat
    raise NoPlaceError(f"{place.who} has no call {place.step + 1} (it has {sum(step.repeat for step in steps)})")


def so_far(place: Place) -> str:
    """The rehearsal's answer to a request for a summary: enough to find the place in the next epoch."""
    handoffs = f"; handoffs {' '.join(sorted(place.handoffs))}" if place.handoffs else ""
    return f"{OWN_WORDS}{place.step} calls so far{handoffs})"


def _way(step: Step, talk: RequestedConversation) -> Step:
    last = next((turn for turn in reversed(talk.turns) if not _is_own(turn)), WireMessage())
    while step.if_last_answer_contains is not None and step.otherwise is not None:
        if any(step.if_last_answer_contains in answer for answer in last.answers):
            return step
        step = step.otherwise
    return step


def _is_own(turn: WireMessage) -> bool:
    return turn.text.startswith(OWN_WORDS) or turn.text.endswith(BLANK)


def _is_nonsense(turn: WireMessage) -> bool:
    return turn.text.startswith(NONSENSE_WORDS) or turn.text.endswith(BLANK)


def _before(talk: RequestedConversation) -> tuple[int, frozenset[str]]:
    steps = 0
    keys: set[str] = set()
    for text in talk.told:
        keys.update(key for key, _, _ in handoffs_in(text))
        for found in _SO_FAR.finditer(text) if OWN_WORDS in text else ():
            steps = max(steps, int(found["steps"]))
            keys.update((found["keys"] or "").split())
    return steps, frozenset(keys)
