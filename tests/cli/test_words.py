import pytest

from headway.cli.display.words import allowed, lasting, short, used_of
from headway.domain.state.budget import Bill, Ceiling


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (short(950), "950"),
        (short(12_345), "12.3k"),
        (short(999_950), "1.0M"),
        (short(20_000_000), "20.0M"),
        (short(450_000_000), "450M"),
        (lasting(42), "0:42"),
        (lasting(725.9), "12:05"),
        (lasting(12_011), "3:20:11"),
        (lasting(2 * 86_400 + 15_090), "2d 04:11"),
        (lasting(-3), "0:00"),
    ],
)
def test_numbers_are_told_with_their_units(said: str, words: str) -> None:
    assert said == words


def test_what_is_used_is_told_beside_what_is_allowed() -> None:
    some = Bill(tokens=12_300, tasks=2, usd=0.2)
    assert used_of(some, Ceiling(tokens=20_000_000, tasks=5, usd=20.0)) == "12.3k of 20.0M tokens, $0.20 of $20.00"
    assert used_of(some.model_copy(update={"usd": None}), None) == "12.3k tokens, unpriced"
    assert used_of(Bill(), Ceiling(tokens="none", tasks="none", usd="none")) == "0 tokens"
    assert allowed(Ceiling(tokens="none", tasks=1, usd="none")) == "any number of tokens, 1 task, no limit in dollars"


def test_an_unpriced_model_is_never_told_as_free() -> None:
    assert "unpriced" in used_of(Bill(tokens=1), None)
