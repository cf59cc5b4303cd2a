"""Requirement texts of many domains, measured against models written by hand; each floor can fail."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.analysis.scoring import KINDS, Score, drafted_model, mean_scores, reference_model

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.analysis.parsing import is_installed

needs_parser = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")
CASES: list[dict[str, Any]] = [
    json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).with_name("prose").glob("*.json"))
]
FLOORS = {
    "patterns": {"class": 0.76, "attribute": 0.77, "relationship": 0.54},
    "parser": {"class": 0.85, "attribute": 0.87, "relationship": 0.68},
}


@cache
def scores(tier: Literal["patterns", "parser"]) -> dict[str, Score]:
    analyser = OfflineAnalyser(tier=tier)
    schemas = [analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema for case in CASES]
    return mean_scores(
        (reference_model(case), drafted_model(schema)) for case, schema in zip(CASES, schemas, strict=True)
    )


def test_there_are_texts_of_many_domains() -> None:
    """At least twenty texts of a hundred words and more, each with its model."""
    assert len(CASES) >= 20
    assert all(len(case["text"].split()) >= 100 for case in CASES)
    assert all(case["classes"] and case["attributes"] and case["relationships"] for case in CASES)


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_reach_their_floor(kind: str) -> None:
    """Without any dependency the mean F1 stays above its floor."""
    assert scores("patterns")[kind].f1 >= FLOORS["patterns"][kind]


@needs_parser
@pytest.mark.parametrize("kind", KINDS)
def test_parser_reaches_its_floor(kind: str) -> None:
    """With the parser the mean F1 stays above its higher floor."""
    assert scores("parser")[kind].f1 >= FLOORS["parser"][kind]


@needs_parser
@pytest.mark.parametrize("kind", KINDS)
def test_parser_never_scores_below_the_patterns(kind: str) -> None:
    """Joining both readings gives at least what the patterns give alone."""
    assert scores("parser")[kind].f1 >= scores("patterns")[kind].f1
