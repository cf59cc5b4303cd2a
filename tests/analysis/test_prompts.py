"""Short prompts of many domains become exactly the schema that `prompts.json` states beside them."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.analysis.shown import show_schema

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.schema import check

PROMPTS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("prompts.json").read_text("utf-8"))
OPTIONS = AnalysisOptions(add_timestamps=False)


@pytest.mark.parametrize("prompt", PROMPTS, ids=[prompt["text"][:50] for prompt in PROMPTS])
def test_prompt_becomes_the_stated_schema(prompt: dict[str, Any]) -> None:
    """Entities, fields with types and limits, enums and relationships with both cardinalities are exactly as stated."""
    shown = show_schema(OfflineAnalyser().analyze_text(prompt["text"], options=OPTIONS).schema)
    assert shown == {key: prompt[key] for key in ("entities", "enums", "relationships")}


def test_there_are_prompts_of_many_domains() -> None:
    """The file is not emptied by mistake, and no prompt stands in it twice."""
    assert len(PROMPTS) >= 60
    assert len({prompt["text"] for prompt in PROMPTS}) == len(PROMPTS)


def test_sentences_of_different_prompts_mix_into_valid_schemas() -> None:
    """Sentences that never stood together, contradictions included, still give schemas that pass every rule."""
    sentences = [part.strip() + "." for prompt in PROMPTS for part in prompt["text"].split(".") if part.strip()]
    chooser = Random(7)
    for _ in range(100):
        text = " ".join(chooser.sample(sentences, chooser.randint(2, 12)))
        for options in (AnalysisOptions(), AnalysisOptions.literal()):
            schema = OfflineAnalyser().analyze_text(text, options=options).schema
            assert [issue for issue in check(schema) if issue.severity == "error"] == []
