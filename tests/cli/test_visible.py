"""Text of unknown origin on a terminal."""

import json
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.cli.visible import to_json, visible

Category = Literal["Cc", "Cf", "Cs", "Zl", "Zp"]
HIDDEN: tuple[Category, ...] = ("Cc", "Cf", "Cs", "Zl", "Zp")
ANY_TEXT = st.text(st.characters())  # surrogates included
JSON_VALUES = st.recursive(
    ANY_TEXT | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=5,
)


@given(ANY_TEXT)
def test_nothing_invisible_reaches_the_terminal(text: str) -> None:
    """Whatever comes in, no character that moves the cursor, hides text or breaks the encoder comes out."""
    assert not [char for char in visible(text) if unicodedata.category(char) in HIDDEN]


@given(st.text(st.characters(exclude_categories=HIDDEN)))
def test_readable_text_stays_as_it_is(text: str) -> None:
    """What a person can read is not changed."""
    assert visible(text) == text


def test_prose_keeps_its_lines() -> None:
    """Line ends are line ends where lines are asked for, and escapes elsewhere."""
    assert visible("a\nb\x07", lines=True) == "a\nb\\x07"
    assert visible("a\nb") == "a\\nb"


@given(JSON_VALUES)
def test_json_without_live_controls_still_says_the_same(value: object) -> None:
    """Escaping changes the text and not the value."""
    text = to_json(value)
    assert not [char for char in text if unicodedata.category(char) in HIDDEN and char != "\n"]
    assert json.loads(text) == value


def test_json_refuses_what_json_has_no_word_for() -> None:
    """NaN is not JSON."""
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(float("nan"))
