"""Learn how much each piece of evidence speaks for an entity or a relationship, from the project's own texts.

    python benchmarks/analysis_weights.py [--write]

Reads the texts of `tests/analysis/prose` (never those held out), fits a logistic regression by Newton's method with a
quadratic penalty, prints what a five-fold cross-validation gives, and with `--write` writes `english/weights.toml`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.analysis.scoring import folded  # noqa: E402  # path set above

from schemawire.analysis import AnalysisOptions, weighing, weighing_fields, weighing_pairs  # noqa: E402  # path set above
from schemawire.analysis.drafting import SchemaDraft  # noqa: E402  # path set above
from schemawire.analysis.facts import Fact  # noqa: E402  # path set above
from schemawire.analysis.lexicon import load_lexicon  # noqa: E402  # path set above
from schemawire.analysis.naming import pascal_case  # noqa: E402  # path set above
from schemawire.analysis.parser import read_with_parser  # noqa: E402  # path set above
from schemawire.analysis.selection import select_entities  # noqa: E402  # path set above
from schemawire.analysis.synonyms import merge_synonyms  # noqa: E402  # path set above

WEIGHTS = ROOT / "src/schemawire/analysis/english/weights.toml"
FOLDS, PENALTY, ROUNDS, RAREST = 6, 5.0, 30, 4

Row = tuple[int, Mapping[str, float], bool]
"""A candidate: the number of its text, its features, and whether the reference has it."""


def entity_rows(number: int, case: Mapping[str, Any], facts: Sequence[Fact]) -> list[Row]:
    """Return the names of a text as rows; a name of an enum is neither right nor wrong."""
    classes, enums = ({folded(name) for name in case[kind]} for kind in ("classes", "enums"))
    found = weighing.entity_features(facts, load_lexicon())
    names = {name: folded(pascal_case(name)) for name in found}
    return [(number, found[name], key in classes) for name, key in names.items() if key not in enums]


def pair_rows(number: int, case: Mapping[str, Any], facts: Sequence[Fact]) -> list[Row]:
    """Return the pairs of entities that the analyser finds in a text as rows."""
    lexicon = load_lexicon()
    draft = SchemaDraft(lexicon, AnalysisOptions.literal())
    select_entities(facts, draft)
    related = {frozenset((folded(a), folded(b))) for a, b, *_ in case["relationships"]}
    known = {folded(name) for name in case["classes"]}
    found = weighing_pairs.pair_features(facts, draft.entities, lexicon)
    keys = {pair: frozenset(folded(pascal_case(name)) for name in pair) for pair in found}
    return [(number, found[pair][0], key in related) for pair, key in keys.items() if key <= known]


def field_rows(number: int, case: Mapping[str, Any], facts: Sequence[Fact]) -> list[Row]:
    """Return what the analyser finds that entities of the reference have, as rows."""
    draft = SchemaDraft(load_lexicon(), AnalysisOptions.literal())
    select_entities(facts, draft)
    known = {folded(name) for name in case["classes"]}
    wanted = {(folded(owner), folded(name)) for owner, name, *_ in case["attributes"]}
    found = weighing_fields.field_features(facts, draft)
    keys = {owned: (folded(pascal_case(owned[0])), folded(pascal_case(owned[1]))) for owned in found}
    return [(number, found[owned], key in wanted) for owned, key in keys.items() if key[0] in known]


def fit(rows: Sequence[Row], penalty: float) -> dict[str, float]:
    """Return the weights of features that occur often enough, with the bias."""
    counts: dict[str, int] = {}
    for _, features, _ in rows:
        for name, value in features.items():
            counts[name] = counts.get(name, 0) + bool(value)
    names = sorted(name for name, count in counts.items() if count >= RAREST)
    table = np.array([[1.0, *(features.get(name, 0.0) for name in names)] for _, features, _ in rows])
    wanted = np.array([float(right) for *_, right in rows])
    weights, scale = np.zeros(len(names) + 1), np.array([0.01, *([penalty] * len(names))])
    for _ in range(ROUNDS):
        likely = 1 / (1 + np.exp(-table @ weights))
        slope = table.T @ (wanted - likely) - scale * weights
        curve = (table * (likely * (1 - likely))[:, None]).T @ table + np.diag(scale)
        weights = weights + np.linalg.solve(curve, slope)
    return {"bias": float(weights[0]), **{n: float(w) for n, w in zip(names, weights[1:], strict=True)}}


def cross_validate(rows: Sequence[Row], penalty: float, missed: Mapping[int, int]) -> list[tuple[float, float]]:
    """Return the mean F1 over texts for several thresholds, each text judged by weights learnt from others."""
    judged: dict[int, list[tuple[float, bool]]] = {}
    for fold in range(FOLDS):
        weights = fit([row for row in rows if row[0] % FOLDS != fold], penalty)
        for number, features, right in rows:
            if number % FOLDS == fold:
                judged.setdefault(number, []).append((weighing.likelihood(features, weights), right))
    figures = []
    for threshold in (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6):
        scores = []
        for number, found in judged.items():
            taken = [right for value, right in found if value >= threshold]
            there = sum(right for _, right in found) + missed.get(number, 0)
            scores.append(2 * sum(taken) / max(len(taken) + there, 1))
        figures.append((threshold, sum(scores) / len(scores)))
    return figures


def learn(name: str, rows: Sequence[Row], missed: Mapping[int, int]) -> dict[str, float]:
    """Print how well one kind of weights does, and return them."""
    print(
        f"{name}: {len(rows)} candidates, {sum(right for *_, right in rows)} right, {sum(missed.values())} never found"
    )
    for penalty in (1.0, PENALTY, 5.0, 10.0):
        figures = "  ".join(f"{t:.2f}: {f1:.3f}" for t, f1 in cross_validate(rows, penalty, missed))
        print(f"  penalty {penalty:4}: F1 by threshold  {figures}")
    return fit(rows, PENALTY)


def read_cases() -> list[tuple[Mapping[str, Any], list[Fact]]]:
    """Return the texts to learn from, read once."""
    lexicon = load_lexicon()
    cases = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "tests/analysis/prose").glob("*.json"))]
    return [(case, merge_synonyms(read_with_parser(case["text"], lexicon).facts, lexicon)) for case in cases]


def collect(
    cases: Sequence[tuple[Mapping[str, Any], list[Fact]]],
    rows_of: Callable[[int, Mapping[str, Any], Sequence[Fact]], list[Row]],
    wanted: Callable[[Mapping[str, Any]], int],
) -> tuple[list[Row], dict[int, int]]:
    """Return all rows, and how many of each text's reference no candidate stands for."""
    rows: list[Row] = []
    missed: dict[int, int] = {}
    for number, (case, facts) in enumerate(cases):
        own = rows_of(number, case, facts)
        rows += own
        missed[number] = max(0, wanted(case) - sum(right for *_, right in own))
    return rows, missed


def written(tables: Mapping[str, Mapping[str, float]]) -> str:
    """Return weights as a TOML document."""
    lines = [
        "# How much each piece of evidence speaks for (or, negative, against) a name being an entity.",
        "# Learnt from the project's own texts by `python benchmarks/analysis_weights.py --write`; not edited by hand.",
    ]
    for title, table in tables.items():
        lines += ["", f"[{title}]", *(f'"{name}" = {value:.2f}' for name, value in table.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Learn all weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the weights")
    write = parser.parse_args().write
    cases = read_cases()
    rows, missed = collect(cases, entity_rows, lambda case: len(case["classes"]))
    tables = {"entity": learn("entity", rows, missed)}
    keep(tables, write=write)
    rows, missed = collect(cases, field_rows, lambda case: len(case["attributes"]))
    tables["field"] = learn("field", rows, missed)
    rows, missed = collect(cases, pair_rows, lambda case: len(case["relationships"]))
    tables["pair"] = learn("pair", rows, missed)
    keep(tables, write=write)


def keep(tables: Mapping[str, Mapping[str, float]], *, write: bool) -> None:
    """Write weights, so that those that build on them are learnt with them; what is not learnt yet decides nothing."""
    if write:
        later = {name: {"bias": 0.0} for name in ("field", "pair") if name not in tables}
        WEIGHTS.write_text(written({**tables, **later}), "utf-8")
        load_lexicon.cache_clear()


if __name__ == "__main__":
    main()
