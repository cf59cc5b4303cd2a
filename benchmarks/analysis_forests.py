"""Learn what makes a name in prose an entity, a noun near it a field, and two entities related.

    python benchmarks/analysis_forests.py [--write] [--folds N]

Reads the texts of `tests/analysis/prose` (never those held out) and fits gradient-boosted trees with LightGBM (Ke et
al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NIPS 2017). Fields and pairs are learnt from
entities as they are chosen by trees that did not see their text, as it will be for any new text. Prints what a
cross-validation gives by threshold, and with `--write` writes `english/forests/*.json`.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.analysis.scoring import folded  # noqa: E402  # path set above

from schemawire.analysis import (  # noqa: E402  # path set above
    AnalysisOptions,
    deciding,
    weighing_ends,
    weighing_fields,
    weighing_names,
    weighing_pairs,
)
from schemawire.analysis.build import draft_statements  # noqa: E402  # path set above
from schemawire.analysis.candidates import read_acts  # noqa: E402  # path set above
from schemawire.analysis.facts import EntityName, Fact, PathFact  # noqa: E402  # path set above
from schemawire.analysis.forest import Features, Rates, load_forest  # noqa: E402  # path set above
from schemawire.analysis.lexicon import load_lexicon  # noqa: E402  # path set above
from schemawire.analysis.naming import pascal_case  # noqa: E402  # path set above
from schemawire.analysis.parser import read_with_parser  # noqa: E402  # path set above

FORESTS = ROOT / "src/schemawire/analysis/english/forests"
THRESHOLDS = (0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3, 0.35, 0.4)
RAREST = 8
SHAPES = {
    "names": {"num_iterations": 300, "num_leaves": 15, "learning_rate": 0.04, "feature_fraction": 0.2},
    "fields": {"num_iterations": 220, "num_leaves": 24, "learning_rate": 0.05, "feature_fraction": 0.25},
    "ends": {"num_iterations": 150, "num_leaves": 12, "learning_rate": 0.05, "feature_fraction": 0.3},
    "pairs": {"num_iterations": 220, "num_leaves": 24, "learning_rate": 0.05, "feature_fraction": 0.25},
}
"""Trees, their size, how much each corrects, and the share of features that each may ask for."""
FIXED = {
    "objective": "binary", "min_data_in_leaf": 20, "bagging_fraction": 0.8, "bagging_freq": 1, "seed": 1,
    "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbosity": -1,
}  # fmt: skip


@dataclass
class Row:
    """A candidate of a text: its key, its features, and whether the reference has it; `None` if that says nothing."""

    text: int
    key: Any
    features: Features
    right: bool | None


@dataclass
class Learnt:
    """Trees with the features they know, and how often words were right."""

    booster: lightgbm.Booster
    names: list[str]
    rates: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def key_of(name: EntityName) -> str:
    """Return a name as references are compared."""
    return folded(pascal_case(name))


def table(rows: Sequence[Row], names: Sequence[str]) -> Any:
    """Return features as a matrix."""
    columns = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(rows), len(names)))
    for line, row in enumerate(rows):
        for name, value in row.features.items():
            if name in columns:
                matrix[line, columns[name]] = value
    return matrix


def fit(rows: Sequence[Row], kind: str) -> Learnt:
    """Return trees fitted to rows."""
    known = [row for row in rows if row.right is not None]
    counts: defaultdict[str, int] = defaultdict(int)
    for row in known:
        for name, value in row.features.items():
            counts[name] += bool(value)
    names = sorted(name for name, count in counts.items() if count >= RAREST)
    wanted = np.array([float(bool(row.right)) for row in known])
    data = lightgbm.Dataset(table(known, names), label=wanted)
    return Learnt(lightgbm.train({**FIXED, **SHAPES[kind]}, data), names)


def judge_unseen(rows: Sequence[Row], kind: str, folds: int) -> list[float]:
    """Return how likely each row is by trees that did not see its text."""
    values = np.zeros(len(rows))
    for fold in range(folds):
        learnt = fit([row for row in rows if row.text % folds != fold], kind)
        places = [place for place, row in enumerate(rows) if row.text % folds == fold]
        values[places] = learnt.booster.predict(table([rows[place] for place in places], learnt.names))
    return list(values)


def report(kind: str, rows: Sequence[Row], values: Sequence[float], wanted: Mapping[int, int]) -> None:
    """Print the mean F1 over texts by threshold."""
    found: defaultdict[int, dict[Any, tuple[float, bool]]] = defaultdict(dict)
    for row, value in zip(rows, values, strict=True):
        if row.right is not None and value > found[row.text].get(row.key, (-1.0, False))[0]:
            found[row.text][row.key] = value, row.right
    there = sum(right for judged in found.values() for _, right in judged.values())
    print(f"{kind}: {len(rows)} candidates, {there} of {sum(wanted.values())} among them")
    for least in THRESHOLDS:
        scores = []
        for text, count in wanted.items():
            taken = [right for value, right in found[text].values() if value >= least]
            scores.append(2 * sum(taken) / max(1, len(taken) + count))
        print(f"  from {least:.2f}: F1 {sum(scores) / len(scores):.3f}")


class Words:
    """In how many texts each word was a candidate, and in how many it was right.

    A text is judged with the rates of the texts outside its part of the cross-validation: were only the text itself
    left out, a word would have a lower rate where it is right, and trees would learn that instead.
    """

    def __init__(self, folds: int) -> None:
        self.folds = folds
        self.texts: defaultdict[str, dict[int, bool]] = defaultdict(dict)

    def add(self, text: int, word: str, *, right: bool) -> None:
        """Count a word for a text."""
        self.texts[word][text] = self.texts[word].get(text, False) or right

    def without(self, text: int) -> Rates:
        """Return the rates that a text is judged with."""

        def rate(word: str) -> tuple[int, int]:
            texts = self.texts.get(word, {}).items()
            others = [right for other, right in texts if other % self.folds != text % self.folds]
            return len(others), sum(others)

        return rate

    def rates(self) -> dict[str, tuple[int, int]]:
        """Return the rates that any new text is judged with."""
        return {word: (len(texts), sum(texts.values())) for word, texts in sorted(self.texts.items())}


def learn_names(
    cases: Sequence[tuple[Mapping[str, Any], Sequence[Fact]]], folds: int
) -> tuple[Learnt, list[dict[EntityName, float]]]:
    """Learn which names are entities; return the trees, and what others say of texts that they did not see."""
    lexicon, words = load_lexicon(), Words(folds)
    wanted = [{folded(name) for name in case["classes"]} for case, _ in cases]
    enums = [{folded(name) for name in case["enums"]} for case, _ in cases]
    for text, (_, facts) in enumerate(cases):
        for name, own in weighing_names.name_features(facts, lexicon, words.without(text)).items():
            if own["own"] and key_of(name) not in enums[text]:
                words.add(text, name[-1], right=key_of(name) in wanted[text])
    rows = [
        Row(text, key, own, None if key in enums[text] else key in wanted[text])
        for text, (_, facts) in enumerate(cases)
        for name, own in weighing_names.name_features(facts, lexicon, words.without(text)).items()
        for key in [key_of(name)]
    ]
    names = [
        name
        for text, (_, facts) in enumerate(cases)
        for name in weighing_names.name_features(facts, lexicon, words.without(text))
    ]
    values = judge_unseen(rows, "names", folds)
    report("names", rows, values, {text: len(keys) for text, keys in enumerate(wanted)})
    judged: list[dict[EntityName, float]] = [{} for _ in cases]
    for row, name, value in zip(rows, names, values, strict=True):
        judged[row.text][name] = value
    learnt = fit(rows, "names")
    learnt.rates = words.rates()
    return learnt, judged


def learn_fields(cases: Sequence[tuple[Mapping[str, Any], deciding.Chosen]], folds: int) -> Learnt:
    """Learn what is a field of which entity."""
    words, rows = Words(folds), list[Row]()
    wanted = [{(folded(owner), folded(name)) for owner, name, *_ in case["attributes"]} for case, _ in cases]
    found = []
    for text, (_, chosen) in enumerate(cases):
        told = weighing_fields.Text(chosen.facts, chosen.entities, chosen.likely, load_lexicon())
        sayings = weighing_fields.find_sayings(told)
        found.append((told, sayings))
        for owner, name in sayings:
            if owner in chosen.entities:
                right = (key_of(owner), key_of(name)) in wanted[text]
                for word in {" ".join(name), name[-1]}:
                    words.add(text, word, right=right)
    for text, (told, sayings) in enumerate(found):
        for (owner, name), own in weighing_fields.field_features(told, sayings, words.without(text)).items():
            key = (key_of(owner), key_of(name))
            rows.append(Row(text, key, own, key in wanted[text]))
    values = judge_unseen(rows, "fields", folds)
    counts = {text: len(keys) for text, keys in enumerate(wanted) if keys}
    report("fields", rows, values, counts)
    told_of = [place for place, row in enumerate(rows) if not row.features.get("usual")]
    report("fields told of", [rows[place] for place in told_of], [values[place] for place in told_of], counts)
    learnt = fit(rows, "fields")
    learnt.rates = {word: rate for word, rate in words.rates().items() if rate[0] > 1}
    return learnt


def learn_pairs(cases: Sequence[tuple[Mapping[str, Any], deciding.Chosen]], folds: int) -> Learnt:
    """Learn which entities are related."""
    rows = []
    wanted = [
        {tuple(sorted((folded(first), folded(second)))) for first, second, *_ in case["relationships"]}
        for case, _ in cases
    ]
    for text, (_, chosen) in enumerate(cases):
        likely = {name: chosen.likely[name] for name in chosen.entities}
        for (first, second), (own, _) in weighing_pairs.pair_features(chosen.facts, likely, load_lexicon()).items():
            key = tuple(sorted((key_of(first), key_of(second))))
            rows.append(Row(text, key, own, key in wanted[text]))
    values = judge_unseen(rows, "pairs", folds)
    report("pairs", rows, values, {text: len(keys) for text, keys in enumerate(wanted) if keys})
    return fit(rows, "pairs")


def learn_ends(cases: Sequence[tuple[Mapping[str, Any], Sequence[Fact]]], folds: int) -> Learnt:
    """Learn which ends of the relationships found are many; the other forests must be written before."""
    rows: list[Row] = []
    drafted = []
    for text, (case, facts) in enumerate(cases):
        wanted: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for first, second, kind, one, other, _ in case["relationships"]:
            for own, facing, count in ((first, second, one), (second, first, other)):
                if count is not None and kind != "inheritance":
                    wanted[folded(own), folded(facing)].append(count)
        read = [fact for fact in facts if not (isinstance(fact, PathFact) and fact.path.endswith("|act"))]
        draft, told = draft_statements(read, load_lexicon(), AnalysisOptions.literal())
        for link, end, own in weighing_ends.end_features(told, draft):
            names = (link.source, link.target) if end == "source" else (link.target, link.source)
            counts = wanted.get((key_of(names[0]), key_of(names[1])), [])
            if len(counts) == 1:
                rows.append(Row(text, len(rows), own, counts[0].split("..")[-1] not in ("0", "1")))
                drafted.append(own.get("many", 0.0) > 0)
    values = judge_unseen(rows, "ends", folds)
    before = sum(many == row.right for many, row in zip(drafted, rows, strict=True)) / len(rows)
    after = sum((value > 0.5) == row.right for value, row in zip(values, rows, strict=True)) / len(rows)
    print(f"ends: {len(rows)} ends, right as drafted {before:.3f}, as judged {after:.3f}")
    return fit(rows, "ends")


def read_cases() -> list[tuple[Mapping[str, Any], list[Fact]]]:
    """Return the texts to learn from, read once; what is too short to be parsed teaches nothing."""
    lexicon = load_lexicon()
    cases = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "tests/analysis/prose").glob("*.json"))]
    read = ((case, read_with_parser(case["text"], lexicon).facts) for case in cases)
    return [(case, [*facts, *read_acts(facts, lexicon)]) for case, facts in read if deciding.is_parsed_prose(facts)]


def flattened(learnt: Learnt) -> dict[str, Any]:
    """Return trees as the arrays that `schemawire.analysis.forest` reads; features that none asks for are left out."""
    asked: list[int] = []
    limits: list[float] = []
    left: list[int] = []
    right: list[int] = []
    values: list[float] = []

    def grow(node: Mapping[str, Any]) -> int:
        place = len(asked)
        asked.append(node.get("split_feature", 0))
        limits.append(float(f"{node.get('threshold', 0.0):.6g}"))
        values.append(round(node.get("leaf_value", 0.0), 5))
        left.append(place)
        right.append(place)
        if "split_feature" in node:
            left[place] = grow(node["left_child"])
            right[place] = grow(node["right_child"])
        return place

    roots = [grow(tree["tree_structure"]) for tree in learnt.booster.dump_model()["tree_info"]]
    used = sorted({feature for feature, one, other in zip(asked, left, right, strict=True) if one != other})
    numbers = {feature: number for number, feature in enumerate(used)}
    return {
        "features": [learnt.names[feature] for feature in used], "rates": learnt.rates,
        "asked": [numbers.get(feature, 0) for feature in asked], "limits": limits, "left": left, "right": right,
        "values": values, "roots": roots,
    }  # fmt: skip


def write(forests: Iterable[tuple[str, Learnt]]) -> None:
    """Write forests, one line for each array."""
    FORESTS.mkdir(exist_ok=True)
    for name, learnt in forests:
        rows = [f'"{key}": {json.dumps(value, separators=(",", ":"))}' for key, value in flattened(learnt).items()]
        (FORESTS / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def main() -> None:
    """Learn all forests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the forests")
    parser.add_argument("--folds", type=int, default=5, help="parts of the cross-validation")
    options = parser.parse_args()
    cases = read_cases()
    names, judged = learn_names(cases, options.folds)
    chosen = [
        (case, deciding.choose_entities(facts, likely, load_lexicon()))
        for (case, facts), likely in zip(cases, judged, strict=True)
    ]
    fields, pairs = learn_fields(chosen, options.folds), learn_pairs(chosen, options.folds)
    if options.write:
        write((("names", names), ("fields", fields), ("pairs", pairs)))
        load_forest.cache_clear()
        write((("ends", learn_ends(cases, options.folds)),))


if __name__ == "__main__":
    main()
