"""Merging: a model's draft and the offline one give a draft that is at least as good as the better of the two."""

import json
import random
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.model.recorded import GOOD, HALLUCINATED, answer_of, padded, poor, simulated_answer
from tests.analysis.scoring import KINDS, Model, drafted_model, mean_scores, reference_model
from tests.analysis.shown import show_schema

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.analysis.completion import complete
from schemawire.analysis.language_model.drafts import read_draft
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.merging import confidence_of, measure_trust, merge_drafts, without_guesses
from schemawire.analysis.naming import singular, split_words
from schemawire.analysis.voting import Jury, rules_worth
from schemawire.schema import DomainSchema, check

PROSE = Path(__file__).parent.parent / "prose"
ANSWERS = {
    "good": GOOD,
    "padded": {name: padded(notation) for name, notation in GOOD.items()},
    "poor": {name: poor(notation, seed) for seed, (name, notation) in enumerate(GOOD.items())},
    "hallucinated": dict.fromkeys(GOOD, HALLUCINATED),
    "empty": dict.fromkeys(GOOD, ""),
}
SLACK = 0.09
"""Of a mean F1 over six texts, where one text is worth more than this; see the broader test for the rule itself."""


@cache
def case_of(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((PROSE / f"{name}.json").read_text("utf-8"))
    return case


@cache
def rules_of(name: str, tier: str) -> DomainSchema:
    analyser = OfflineAnalyser(tier="patterns") if tier == "patterns" else OfflineAnalyser()
    return analyser.analyze_text(case_of(name)["text"], options=AnalysisOptions.literal()).schema


def model_of(name: str, worth: str) -> DomainSchema:
    return read_draft(answer_of(ANSWERS[worth][name]), case_of(name)["text"], "recorded")[0]


def simulated_draft(case: dict[str, Any], rng: random.Random, keep: float, noise: float) -> DomainSchema:
    return read_draft(simulated_answer(case, rng, keep, noise), case["text"], "simulated")[0]


@cache
def scored(worth: str, tier: str) -> dict[str, dict[str, float]]:
    """Mean F1 of the rules, the model and the merge, by kind."""
    rows: dict[str, list[tuple[Model, Model]]] = {"rules": [], "model": [], "merged": []}
    for name in GOOD:
        gold, rules, model = reference_model(case_of(name)), rules_of(name, tier), model_of(name, worth)
        merged = merge_drafts(rules, model).schema
        for label, schema in (("rules", rules), ("model", model), ("merged", merged)):
            rows[label].append((gold, drafted_model(schema)))
    return {label: {kind: score.f1 for kind, score in mean_scores(pairs).items()} for label, pairs in rows.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tier", ["patterns", "best"])
@pytest.mark.parametrize("worth", ANSWERS)
def test_a_merge_is_no_worse_than_either_part(worth: str, tier: str, kind: str) -> None:
    """Over the recorded drafts, good and bad, the merge scores at least what the better part scores."""
    means = scored(worth, tier)
    assert means["merged"][kind] >= max(means["rules"][kind], means["model"][kind]) - SLACK, means


def names_its_model(case: dict[str, Any]) -> bool:
    """Whether nearly all words of a reference stand in its text, as those of a model's answer nearly always do."""
    words = {singular(word) for word in re.findall(r"[a-z]+", case["text"].lower())}
    names = [*case["classes"], *(name for _, name, *_ in case["attributes"])]
    return sum({*map(singular, split_words(name))} <= words for name in names) >= 0.85 * len(names)


@cache
def simulated(keep: float, noise: float) -> dict[str, dict[str, float]]:
    """Mean F1 over all texts of drafts that keep a share of the reference and add words of the text as noise."""
    rng = random.Random(1)
    rows: dict[str, list[tuple[Model, Model]]] = {"rules": [], "model": [], "merged": []}
    for path in [path for path in sorted(PROSE.glob("*.json")) if names_its_model(case_of(path.stem))][:40]:
        case = case_of(path.stem)
        rules, model = rules_of(path.stem, "best"), simulated_draft(case, rng, keep, noise)
        for label, schema in (("rules", rules), ("model", model), ("merged", merge_drafts(rules, model).schema)):
            rows[label].append((reference_model(case), drafted_model(schema)))
    return {label: {kind: score.f1 for kind, score in mean_scores(pairs).items()} for label, pairs in rows.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("keep", "noise"), [(0.8, 0.1), (0.7, 0.2), (0.6, 0.2), (0.5, 0.3), (0.2, 0.7)])
def test_over_many_texts_a_merge_is_no_worse(keep: float, noise: float, kind: str) -> None:
    """Whether the model is good, middling or bad: over all texts the merge is at least as good as the better part."""
    means = simulated(keep, noise)
    assert means["merged"][kind] >= max(means["rules"][kind], means["model"][kind]) - 0.02, means


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_far_better_than_the_rules_is_followed(kind: str) -> None:
    """A nearly faultless model gains most: what the rules alone believe costs little of what it gets right."""
    means = simulated(0.95, 0.05)
    assert means["merged"][kind] > means["rules"][kind] + 0.5 * (means["model"][kind] - means["rules"][kind])


@pytest.mark.parametrize("kind", KINDS)
def test_merging_with_a_good_model_gains(kind: str) -> None:
    """Two readers that miss different things find more together than the better one alone."""
    means = scored("good", "patterns")
    assert means["merged"][kind] > means["rules"][kind]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("worth", ["hallucinated", "empty"])
def test_what_the_text_does_not_support_changes_nothing(name: str, worth: str) -> None:
    """A draft about something else, or none, leaves the offline draft as it was."""
    rules = rules_of(name, "best")
    merged = merge_drafts(rules, model_of(name, worth))
    assert merged.schema == rules
    assert merged.warnings


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("worth", ANSWERS)
def test_a_merge_obeys_the_rules(name: str, worth: str) -> None:
    """Whatever is merged, the result is a valid schema, the same each time."""
    rules, model = rules_of(name, "best"), model_of(name, worth)
    merged = merge_drafts(rules, model).schema
    assert not [issue for issue in check(merged) if issue.severity == "error"]
    assert merge_drafts(rules, model).schema == merged


@pytest.mark.parametrize("name", GOOD)
def test_a_draft_merged_with_itself_stays_the_same(name: str) -> None:
    """Two equal drafts agree in everything; only the confidence grows."""
    rules = rules_of(name, "best")
    merged = merge_drafts(rules, rules).schema
    assert drafted_model(merged) == drafted_model(rules)
    assert all(confidence_of(a) >= confidence_of(b) for a, b in zip(merged.entities, rules.entities, strict=True))


def test_found_by_both_is_surer_than_by_one() -> None:
    """Confidence grows where both readers agree, and both are named as evidence."""
    rules, model = rules_of("BikeSharing", "best"), model_of("BikeSharing", "good")
    merged = merge_drafts(rules, model).schema
    bike, before = merged.entity("Bike"), rules.entity("Bike")
    assert bike is not None
    assert before is not None
    assert confidence_of(bike) > confidence_of(before)
    assert {"model"} < {evidence.analyser for evidence in bike.evidence}


def pair(ours: str, theirs: str, text: str) -> DomainSchema:
    """The merge of two drafts in the notation."""
    first, second = (read_draft(answer_of(notation), text, "m")[0] for notation in (ours, theirs))
    return merge_drafts(first, second).schema


TEXT = "A customer has a name and places an order with an amount and a date. A gold customer is a customer."


def test_the_more_precise_type_wins() -> None:
    """A field that one reader took for text gets the other's type; a closed list stays one."""
    first = read_draft(answer_of("Order: amount, date\nCustomer: name"), TEXT, "m")[0]
    answer = answer_of("Order: amount, date (a | b)\nCustomer: name")
    answer["entities"][0]["fields"][0]["type"] = "money"
    second = read_draft(answer, TEXT, "m")[0]
    for merged in (merge_drafts(first, second).schema, merge_drafts(second, first).schema):
        order = merged.entity("Order")
        assert order is not None
        assert [field.type for field in order.fields] == ["money", "enum"]


def test_inheritance_never_runs_in_a_circle() -> None:
    """Two drafts that see a kind the other way round give one of the two, and a valid schema."""
    merged = pair("Customer: name\nGoldCustomer < Customer:", "Customer < GoldCustomer: name\nGoldCustomer:", TEXT)
    assert [entity.extends for entity in merged.entities] == [None, "Customer"]
    assert not [issue for issue in check(merged) if issue.severity == "error"]


def test_trust_counts_what_text_and_rules_support() -> None:
    """Grounding is the share of words in the text, overlap the share of things that the rules have too."""
    rules = read_draft(answer_of("Customer: name\nOrder: date"), TEXT, "m")[0]
    model = read_draft(answer_of("Customer: name\nDragon: wings"), TEXT, "m")[0]
    trust = measure_trust(rules, model)
    assert (trust.grounding, trust.overlap) == (0.5, 0.5)
    assert not trust.is_enough


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.floats(0.1, 4.0))
def test_more_support_never_lowers_belief(ours: int, theirs: int, shared: int, odds: float) -> None:
    """What is believed at some odds is believed at better ones, and estimates stay shares."""
    jury = Jury(rules=rules_worth("thing", 0.8), ours=ours + shared, theirs=theirs + shared, shared=shared)
    assert 0 < jury.other.precision < 1
    assert 0 < jury.other.recall < 1
    assert jury.believes_other(odds * 2) >= jury.believes_other(odds)
    assert jury.believes_rules(odds * 2) >= jury.believes_rules(odds)


def test_a_completed_draft_is_the_offline_one() -> None:
    """What a draft gets after merging is what the offline analyser adds by itself, for nearly every prompt."""
    analyser, same = OfflineAnalyser(tier="patterns"), 0
    prompts = [case["text"] for case in json.loads((PROSE.parent / "prompts.json").read_text("utf-8"))]
    for text in prompts:
        stated = analyser.analyze_text(text, options=replace(AnalysisOptions.literal(), infer=True)).schema
        completed = complete(without_guesses(stated), text, load_lexicon(), AnalysisOptions())
        assert not [issue for issue in check(completed) if issue.severity == "error"], text
        same += show_schema(completed) == show_schema(analyser.analyze_text(text).schema)
    assert same >= 0.9 * len(prompts)


@pytest.mark.parametrize("name", GOOD)
def test_a_merged_draft_is_completed_to_a_valid_schema(name: str) -> None:
    """With keys, references, timestamps and either case the result obeys the rules."""
    text = case_of(name)["text"]
    merged = merge_drafts(rules_of(name, "best"), model_of(name, "good")).schema
    for case in ("snake", "camel"):
        options = AnalysisOptions(field_case="camel" if case == "camel" else "snake")
        completed = complete(merged, text, load_lexicon(), options)
        assert not [issue for issue in check(completed) if issue.severity == "error"]
        assert {entity.name for entity in merged.entities} <= {entity.name for entity in completed.entities}
