"""A model reads a command's output without what a terminal would have hidden, and never too much of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.sandbox.process.output import LINE_CHARS, SHOWN_CHARS, Capture, readable

FITS = 2 * SHOWN_CHARS + 200


def text_of(*chunks: bytes) -> tuple[str, bool]:
    capture = Capture()
    for chunk in chunks:
        capture.feed(chunk)
    return capture.text()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"", ""),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"10%\r20%\r30%\n", "30%\n"),
        (b"10%\r20%\r", "20%"),
        (b"\x1b[1;31mred\x1b[0m \x1b[2Kline\x1b[?25l", "red line"),
        (b"\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
        (b"\x1b(Bplain\x1b=", "plain"),
        (b"\x1b]never ended\nnext", "\nnext"),
        (b"\xff\xfe \xc3\xa9", "\ufffd\ufffd é"),
        (b"a\x00b\x07c\x08d\te", "abcd\te"),
        (b"\x1b", ""),
    ],
)
def test_what_a_terminal_hides_is_left_out(raw: bytes, shown: str) -> None:
    assert readable(raw) == (shown, False)


def test_long_lines_are_cut_and_say_so() -> None:
    shown, cut = text_of(b"before\n" + b"x" * 5000 + b"\nafter\n")
    assert cut
    assert shown == f"before\n{'x' * LINE_CHARS} [... 3000 more characters]\nafter\n"


def test_a_flood_of_progress_leaves_room_for_what_matters() -> None:
    progress = b"".join(b"\rdownloading %d of 5000" % number for number in range(5000))
    shown, cut = text_of(b"start\n", progress, b"\nerror: no such file\n")
    assert (shown, cut) == ("start\ndownloading 4999 of 5000\nerror: no such file\n", False)


def test_head_and_tail_are_whole_lines_and_the_gap_is_named() -> None:
    lines = [f"line {number}" for number in range(200_000)]
    shown, cut = text_of(*("\n".join(lines[at : at + 1000]).encode() + b"\n" for at in range(0, 200_000, 1000)))
    assert cut
    assert len(shown) <= FITS
    kept = [line for line in shown.splitlines() if "left out" not in line]
    assert set(kept) <= set(lines)
    assert (kept[0], kept[-1]) == (lines[0], lines[-1])
    assert shown.count("left out") == 1


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_how_the_bytes_come_in_does_not_matter(chunks: list[bytes]) -> None:
    assert text_of(*chunks) == text_of(b"".join(chunks))


@given(st.binary(max_size=60), st.integers(1, 9000), st.integers(1, 70_000))
def test_nothing_grows_over_what_fits(unit: bytes, times: int, piece: int) -> None:
    raw = unit * times
    shown, cut = text_of(*(raw[at : at + piece] for at in range(0, len(raw), piece)))
    assert len(shown) <= FITS
    assert cut or shown == readable(raw)[0]
    assert "\x1b" not in shown
    assert "\r" not in shown
