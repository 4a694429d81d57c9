"""Text of strangers in a terminal and in Markdown: nothing of it acts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.printable import code_block, for_markdown, for_terminal, one_line, quoted

STRANGE = st.text(st.sampled_from("ab `\\*_<>[]()#|!&~\n\t\r\x1b\x07\x9b\u202e\u2028\u200b\ufeff\ud800"), max_size=60)


@given(st.text(max_size=200) | STRANGE)
def test_no_control_but_tab_and_line_feed_is_left(text: str) -> None:
    shown = for_terminal(text)
    assert len(shown) == len(text)
    odd = [each for each in shown if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not [each for each in odd if each not in "\t\n"]
    assert not [each for each in shown if unicodedata.bidirectional(each) in {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI"}]
    assert for_terminal(shown) == shown


@given(STRANGE)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert len(for_markdown(text).splitlines()) <= 1


@given(STRANGE)
def test_markdown_finds_nothing_to_act_upon(text: str) -> None:
    shown = for_markdown(text)
    assert "<" not in shown
    for mark in "`*_[]()#|!~":
        assert shown.count(mark) == shown.count(f"\\{mark}")


@given(STRANGE)
def test_a_quote_stays_a_quote(text: str) -> None:
    assert all(line.startswith(">") for line in quoted(text).split("\n"))


@pytest.mark.parametrize("text", ["x", "```", "a\n```\n## Forged\n", "`````", "~~~"])
def test_a_code_block_ends_where_it_ends(text: str) -> None:
    fence, *inner, last = code_block(text).split("\n")
    assert fence == last == "`" * len(fence)
    assert not [line for line in inner if line.strip().startswith(fence)]
