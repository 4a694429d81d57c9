"""Gaps in the instructions that long runs suffered from. The instructions are searched for words; nothing understands
them.

The list is that of the published experience with this kind of harness: the first agent that meets an open question
decides it, and the rest builds on that.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from headway.domain.spec import RunSpec

SHORT_WORDS = 40
"""Instructions below this hardly say why; the published ones that worked filled pages."""

LIST_LINES = 5
LIST_SHARE = 0.7
PROSE_WORDS = 60
"""A list of so many points that makes up so much of a text, with less prose than this next to it, is only a list."""


@dataclass(frozen=True)
class Lack:
    """A gap in the instructions.

    Attributes:
        topic: One or two words, under which docs/instructions.md explains it.
        says: The missing part.
        remedy: The text to write.
    """

    topic: str
    says: str
    remedy: str


SEARCHED_CHARS = 50_000

_FLAGS = re.IGNORECASE
_DEPENDENCIES = re.compile(
    r"\b(dependenc\w+|librar\w+|packages?|third[- ]party|vendored?|standard library|stdlib)\b", _FLAGS
)
_MEASURE = re.compile(
    r"(?<![\w.,])\d[\d.,]*+\s*+(ms|µs|ns|s|sec|secs|seconds?|min|mins|minutes?|hours?|[kmgt]i?b|bytes|fps|hz|requests|rps|x|times)\b"
    r"|\d\s*+%|\bper second\b"
    r"|\b(latency|throughput|memory|speed|performance|fast|slow|time)\w*\b"
    r"[^.\n]{0,80}\b(than|within|under|below|at most)\b"
    r"|\b(no|not|never) (slower|longer|larger|bigger|more memory)\b",
    _FLAGS,
)
_ARCHITECTURE = re.compile(
    r"\b(architect\w+|modules?|layers?|layered|components?|interfaces?|boundar\w+|data model|schema|pipeline|monolith"
    r"|microservices?|state machine|class hierarchy|directory|folders?|recursive descent|event loop|protocol)\b"
    r"|\bAPIs?\b|\b(structured|organi[sz]ed|written|built) (as|in|on|around|from)\b|\bstays? (a|an|in|as)\b",
    _FLAGS,
)
_PRIORITIES = re.compile(
    r"\b(priorit\w+|most important\w*|more important|matters? (most|more)|above all|before (anything|everything)"
    r"|first of all|worst|prefer\w*|rather than|trade-?offs?|in doubt|wins|takes? precedence|must never|even if"
    r"|at the cost of|comes? (first|before)|nice to have|optional)\b",
    _FLAGS,
)
_DONE = re.compile(
    r"\b(done|finished|complete[d]?|ready) (when|once|if|means)\b|\bit is done\b|\b(accept\w+|success) criteri\w+"
    r"|\bdefinition of done\b|\bcounts? as (done|finished)\b|\b(tests?|suite|check|build)\b[^.\n]{0,80}\bpass(es)?\b"
    r"|\bpass(es)?\b[^.\n]{0,60}\b(tests?|suite|check)\b|\bis reached when\b|\buntil\b[^.\n]{0,80}\bholds?\b",
    _FLAGS,
)
_WHY = re.compile(
    r"\b(because|so that|in order to|why|reason|purpose|goal|since|users?|customers?|otherwise|intent\w*|matters?)\b",
    _FLAGS,
)
_VAGUE = re.compile(
    r"\b(many|lots of|a lot of|numerous|several|plenty of) (\w+ )?(tasks|workers|agents|tests)\b", _FLAGS
)
_POINT = re.compile(r"^\s*([-*+•]|\d+[.)]|\[[ x]\])\s+", _FLAGS)


def lacks(spec: RunSpec, *, whole: bool = True) -> list[Lack]:
    """Gaps in the instructions and the policy; `whole`: the rest of the input was given too."""
    found = [lack for looks, lack in _TABLE if looks(spec)]
    return found + ([_NO_CHECK] if whole and spec.check is None else [])


def _searched(spec: RunSpec) -> str:
    """The part of the instructions that is searched. The gaps of longer ones are judged by their beginning."""
    return spec.instructions[:SEARCHED_CHARS]


def _words(text: str) -> int:
    return len(text.split())


def _without(pattern: re.Pattern[str]) -> Callable[[RunSpec], bool]:
    return lambda spec: pattern.search(_searched(spec)) is None


def _no_intent(spec: RunSpec) -> bool:
    return _words(spec.instructions) < SHORT_WORDS or _WHY.search(_searched(spec)) is None


def _no_dependencies(spec: RunSpec) -> bool:
    said = spec.policy.dependencies or spec.policy.forbidden_dependencies
    return not said and _DEPENDENCIES.search(_searched(spec)) is None


def _no_performance(spec: RunSpec) -> bool:
    return not spec.policy.performance.strip() and _MEASURE.search(_searched(spec)) is None


def _only_a_list(spec: RunSpec) -> bool:
    lines = [line for line in spec.instructions.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    points = [line for line in lines if _POINT.match(line)]
    prose = sum(_words(line) for line in lines if not _POINT.match(line))
    return len(points) >= LIST_LINES and len(points) >= LIST_SHARE * len(lines) and prose < PROSE_WORDS


_TABLE: tuple[tuple[Callable[[RunSpec], bool], Lack], ...] = (
    (
        _no_intent,
        Lack(
            "intent",
            "They hardly say why.",
            "Say at length what it is for and for whom: a planner that knows why decides well where you said nothing.",
        ),
    ),
    (
        _without(_ARCHITECTURE),
        Lack(
            "architecture",
            "They say nothing of the architecture.",
            "Name the parts and their borders, or the parts that must stay: the first agent decides the rest.",
        ),
    ),
    (
        _no_dependencies,
        Lack(
            "dependencies",
            "There is no policy on dependencies, so none may be added.",
            "List allowed ones in policy.dependencies, and forbidden ones in policy.forbidden_dependencies.",
        ),
    ),
    (
        _no_performance,
        Lack(
            "performance",
            "There is no limit on time or memory.",
            "Give numbers, in the text or in policy.performance: agents do not care for speed without a measure.",
        ),
    ),
    (
        _without(_PRIORITIES),
        Lack(
            "priorities",
            "They do not say what matters more than what.",
            "Say which side wins where two wishes collide, and what would be the worst result.",
        ),
    ),
    (
        lambda spec: spec.check is None and _DONE.search(_searched(spec)) is None,
        Lack(
            "done",
            "They do not say what counts as done.",
            "Say what must hold at the end and what evidence you would believe, best as a command.",
        ),
    ),
    (
        _only_a_list,
        Lack(
            "only a list",
            "They are a check list and little else.",
            "Give the purpose of the points: agents take a point that a list lacks for unimportant.",
        ),
    ),
    (
        lambda spec: _VAGUE.search(_searched(spec)) is not None,
        Lack(
            "numbers",
            "They say 'many' or the like where a number is meant.",
            "Give a range, such as 20 to 100; 'many' gives few.",
        ),
    ),
)
_NO_CHECK = Lack(
    "check",
    "There is no check, so the run cannot end as done, only as done_unproven.",
    "Give a command that proves a commit, with --check or as 'check' in the input.",
)
