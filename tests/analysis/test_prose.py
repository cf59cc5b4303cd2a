"""Requirement texts of many domains, measured against models written by hand; each floor can fail."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from tests.analysis.scoring import (
    KINDS,
    Score,
    cardinality_accuracy,
    drafted_model,
    mean_scores,
    reference_model,
    type_accuracy,
)

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.analysis.parsing import is_installed

needs_parser = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")
FOLDER = Path(__file__).parent
Texts = Literal["prose", "prose_held_out"]


def read_cases(texts: Texts) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / texts).glob("*.json"))]


ALL = {texts: read_cases(texts) for texts in get_args(Texts)}
"""The rules and forests were made with the first; nobody reads the second, only its figures."""
CASES = {"prose": ALL["prose"][::6], "prose_held_out": ALL["prose_held_out"]}
FLOORS = {
    ("prose", "patterns"): {"class": 0.31, "attribute": 0.15, "relationship": 0.08},
    ("prose", "parser"): {"class": 0.53, "attribute": 0.27, "relationship": 0.27},
    ("prose_held_out", "parser"): {"class": 0.55, "attribute": 0.30, "relationship": 0.28},
}


@cache
def scores(texts: Texts, tier: Literal["patterns", "parser"]) -> dict[str, Score]:
    analyser, cases = OfflineAnalyser(tier=tier), CASES[texts]
    schemas = [analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema for case in cases]
    return mean_scores(
        (reference_model(case), drafted_model(schema)) for case, schema in zip(cases, schemas, strict=True)
    )


def test_there_are_texts_of_many_domains() -> None:
    """At least four hundred texts of some hundred words and more, and eighty others held out, each with its model."""
    assert len(ALL["prose"]) >= 400
    assert len(ALL["prose_held_out"]) >= 80
    every = [case for cases in ALL.values() for case in cases]
    assert all(len(case["text"].split()) >= 60 for case in every)
    assert all(case["classes"] and case["attributes"] and case["relationships"] for case in every)


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_reach_their_floor(kind: str) -> None:
    """Without any dependency the mean F1 stays above its floor."""
    assert scores("prose", "patterns")[kind].f1 >= FLOORS["prose", "patterns"][kind]


@needs_parser
@pytest.mark.parametrize("texts", get_args(Texts))
@pytest.mark.parametrize("kind", KINDS)
def test_parser_reaches_its_floor(texts: Texts, kind: str) -> None:
    """With the parser the mean F1 stays above its higher floor, on the texts held out as well."""
    assert scores(texts, "parser")[kind].f1 >= FLOORS[texts, "parser"][kind]


@needs_parser
@pytest.mark.parametrize("texts", get_args(Texts))
def test_ends_and_types_are_mostly_right(texts: Texts) -> None:
    """Of what both models have, four of five ends are rightly one or many, and as many fields of the right type."""
    analyser, cases = OfflineAnalyser(tier="parser"), CASES[texts]
    pairs = [(case, analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema) for case in cases]
    assert cardinality_accuracy(pairs).share >= 0.80
    assert type_accuracy(pairs).share >= 0.82


@needs_parser
@pytest.mark.parametrize("kind", KINDS)
def test_parser_never_scores_below_the_patterns(kind: str) -> None:
    """Joining both readings gives at least what the patterns give alone."""
    assert scores("prose", "parser")[kind].f1 >= scores("prose", "patterns")[kind].f1
