"""Parking: why the agents of a run wait for a model. It is part of the answer of `status`, and a signal to the run."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from headway.domain.diagnostic import Diagnostic
from headway.domain.words import sentence

MAX_WHY_CHARS = 600
KEPT = 20


class ModelOutage(BaseModel):
    """State of the way to one model on one machine; times in seconds since the epoch.

    Attributes:
        endpoint: The address, without credentials; the machine's name where `model` is empty.
        model: Its name; empty where the run itself spent all that it may spend in an hour.
        generation: Counts the refusals; a higher one is newer.
        parked: True if requests are held back.
        since: Time of the first refusal without an answer since; once it answers again: time of that answer.
        until: Time of the next try.
        why: The server's words.
        remedy: The user's remedy; empty when waiting is all.
    """

    model_config = ConfigDict(frozen=True)

    endpoint: str
    model: str
    generation: int
    parked: bool
    since: float
    until: float
    why: str = ""
    remedy: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """The way that this is about."""
        return self.endpoint, self.model

    @property
    def words(self) -> str:
        """The reason of the wait, its start, its end, and the remedy; times in UTC."""
        if not self.model:
            return f"the run {self.why} on machine {self.endpoint}, goes on at {clock_words(self.until)}"
        times = f"since {clock_words(self.since)}, next try {clock_words(self.until)}"
        return f"parked {times}: agents wait for model '{self.model}': {sentence(self.why)} {self.remedy}".rstrip()

    @property
    def finding(self) -> Diagnostic:
        """The same, for `headway doctor`."""
        says = f"model '{self.model}' at {self.endpoint} refuses calls, and agents wait: {self.why}"
        return Diagnostic(topic="model", state="lacking", says=says, remedy=self.remedy)

    def follows(self, known: "ModelOutage") -> bool:
        """True if this is news after `known`, which is about the same way."""
        return (self.generation, not self.parked) > (known.generation, not known.parked)


def with_news(known: tuple[ModelOutage, ...], news: ModelOutage) -> tuple[ModelOutage, ...]:
    """The known state of every way, after one report; the oldest are forgotten beyond `KEPT`."""
    before = next((each for each in known if each.place == news.place), None)
    if before is not None and not news.follows(before):
        return known
    return (*(each for each in known if each is not before), news)[-KEPT:]


def clock_words(at: float) -> str:
    """The time of day in UTC."""
    return f"{datetime.fromtimestamp(int(at), UTC):%H:%M:%S} UTC"


def date_words(at: float) -> str:
    """The day in UTC."""
    return f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%d}"
