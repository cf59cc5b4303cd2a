"""Requirement texts of many domains, measured against models written by hand; each floor can fail."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from tests.analysis.scoring import KINDS, Score, drafted_model, mean_scores, reference_model

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.analysis.parsing import is_installed

needs_parser = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")
FOLDER = Path(__file__).parent
Texts = Literal["prose", "prose_held_out"]


def read_cases(texts: Texts) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / texts).glob("*.json"))]


CASES = {texts: read_cases(texts) for texts in get_args(Texts)}
"""The rules and weights were made with the first; nobody reads the second, only its figures."""
FLOORS = {
    ("prose", "patterns"): {"class": 0.62, "attribute": 0.58, "relationship": 0.36},
    ("prose", "parser"): {"class": 0.78, "attribute": 0.68, "relationship": 0.54},
    ("prose_held_out", "parser"): {"class": 0.66, "attribute": 0.52, "relationship": 0.42},
}


@cache
def scores(texts: Texts, tier: Literal["patterns", "parser"]) -> dict[str, Score]:
    analyser, cases = OfflineAnalyser(tier=tier), CASES[texts]
    schemas = [analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema for case in cases]
    return mean_scores(
        (reference_model(case), drafted_model(schema)) for case, schema in zip(cases, schemas, strict=True)
    )


def test_there_are_texts_of_many_domains() -> None:
    """At least forty texts of a hundred words and more, and fifteen others held out, each with its model."""
    assert len(CASES["prose"]) >= 40
    assert len(CASES["prose_held_out"]) >= 15
    every = [case for cases in CASES.values() for case in cases]
    assert all(len(case["text"].split()) >= 100 for case in every)
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
@pytest.mark.parametrize("kind", KINDS)
def test_parser_never_scores_below_the_patterns(kind: str) -> None:
    """Joining both readings gives at least what the patterns give alone."""
    assert scores("prose", "parser")[kind].f1 >= scores("prose", "patterns")[kind].f1
