"""Numbers and sentences that people read are right for one, for none and for many."""

import re
from pathlib import Path

import pytest

from headway.domain.diagnostic import Diagnostic
from headway.domain.model_outage import ModelOutage
from headway.domain.words import counted, limit_words, sentence

ROOT = Path(__file__).resolve().parents[2]
UNCOUNTED = re.compile(r"\{len\([^}]*\)[^}]*\} [a-z]+s\b")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (counted(1, "commit"), "1 commit"),
        (counted(0, "task"), "0 tasks"),
        (counted(2300, "entry", "entries"), "2,300 entries"),
        (limit_words("none", "token"), "any number of tokens"),
        (limit_words(1, "task"), "1 task"),
        (sentence("No key"), "No key."),
        (sentence("Incorrect API key provided: sk-abc."), "Incorrect API key provided: sk-abc."),
        (sentence('it said "no."'), 'it said "no."'),
    ],
)
def test_words_of_one_and_of_many(said: str, words: str) -> None:
    assert said == words


@pytest.mark.parametrize("why", ["Incorrect API key provided: sk-abc.", "no key", "What?"])
def test_no_two_full_stops_stand_beside_each_other(why: str) -> None:
    """Servers end their sentences, and remedies follow."""
    finding = Diagnostic(topic="model", state="broken", says=why, remedy="Set OPENAI_API_KEY.")
    parking = ModelOutage(
        endpoint="u", model="m", generation=1, parked=True, since=0.0, until=1.0, why=why, remedy="Wait."
    )
    for words in (finding.words, parking.words):
        assert re.search(re.escape(why.rstrip(".?")) + r"[.?] (Set|Wait)", words), words
        assert ".." not in words


def test_every_number_of_the_command_line_has_the_right_noun() -> None:
    sources = [*(ROOT / "headway" / "cli").glob("*.py"), *(ROOT / "headway" / "domain").glob("*.py")]
    found = [f"{source.name}: {match[0]}" for source in sources for match in UNCOUNTED.finditer(source.read_text())]
    assert found == []
