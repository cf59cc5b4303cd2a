"""What entities usually have: the list itself, and how well names fit each other by it."""

import re

import pytest

from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.usual_things import Company, field_fit, load_usual, relation_fit

USUAL = load_usual("english")


def test_every_line_is_whole() -> None:
    """Each noun is rated, and has fields and related nouns in plain words, none twice."""
    ratings = load_lexicon().ratings
    assert len(USUAL) > 2_000
    for noun, known in USUAL.items():
        assert noun in ratings, noun
        assert len(known.fields) >= 5, noun
        assert len(known.related) >= 5, noun
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9' /&.-]*", name) for name in (*known.fields, *known.related)), noun


@pytest.mark.parametrize(
    ("owner", "field", "other"),
    [(("invoice",), ("due", "date"), ("customer",)), (("member",), ("phone", "number"), ("book",))],
)
def test_a_usual_field_fits_its_owner_best(
    owner: tuple[str, ...], field: tuple[str, ...], other: tuple[str, ...]
) -> None:
    """What one entity usually has and another has not belongs to the first."""
    assert 0 < field_fit(owner, field, USUAL) <= 1
    features = Company([owner, other], USUAL).field_features(owner, field)
    assert features["fits"] > features["fits-other"]
    assert features["fit-rank"] == 0


def test_only_the_last_word_fits_by_half() -> None:
    """A longer name than the usual one counts, but less."""
    assert 0 < field_fit(("invoice",), ("very", "special", "date"), USUAL) <= 0.5


def test_an_unknown_noun_fits_nothing() -> None:
    """What the list does not know is neither for nor against."""
    assert field_fit(("snorfle",), ("name",), USUAL) == 0
    assert relation_fit(("snorfle",), ("order",), USUAL) == 0
    assert Company([("order",)], USUAL).name_features(("snorfle",))["usual-known"] == 0


def test_names_that_are_usually_related_want_each_other() -> None:
    """An order is wanted by the customer of the same text."""
    assert relation_fit(("customer",), ("order",), USUAL) > 0
    around = [("customer",), ("order",), ("weather",)]
    assert Company(around, USUAL).name_features(("order",))["wanted-by"] >= 1
