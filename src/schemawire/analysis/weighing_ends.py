"""How likely an end of a relationship is many: what is said of both entities, and what they are.

Knows facts, links, the lexicon and the forest `ends`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemawire.analysis.drafting import End, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Fact, MentionFact, PathFact
from schemawire.analysis.forest import Features, load_forest
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.quantifiers import MANY, ONE, Quantity
from schemawire.analysis.weighing_names import rating_features
from schemawire.analysis.weighing_pairs import Pair, pair_of, verb_group

_EVEN, _SURE = 0.5, 0.85
"""From here an end is many against what was drafted: where nothing was said of it, and where something was."""
_SHORT = 3


@dataclass(frozen=True, slots=True)
class _Told:
    """How the facts tell of entities and of pairs of them."""

    marks: Mapping[EntityName, Counter[str]]
    ways: Mapping[Pair, Sequence[PathFact]]


def decide_ends(facts: Sequence[Fact], draft: SchemaDraft) -> None:
    """Correct the ends of links that hardly are as many as drafted; what was said in words needs more against it."""
    rows = end_features(facts, draft)
    judged = load_forest(draft.lexicon.language, "ends").judge([own for _, _, own in rows])
    for (link, end, _), value in zip(rows, judged, strict=True):
        drafted = _quantity(link, end)
        likely = value if drafted is not None and not drafted.is_many else 1 - value
        needed = _SURE if drafted is not None and drafted.word else _EVEN
        if likely > needed:
            changed = ONE if drafted is None or drafted.is_many else MANY
            link.source_quantity, link.target_quantity = (
                (changed, link.target_quantity) if end == "source" else (link.source_quantity, changed)
            )


def end_features(facts: Sequence[Fact], draft: SchemaDraft) -> list[tuple[LinkDraft, End, Features]]:
    """Return what speaks for each end of each link between two entities being many."""
    told = _gather(facts)
    ends: tuple[End, End] = ("source", "target")
    return [
        (link, end, _features(link, end, told, draft.lexicon))
        for link in draft.links
        if link.source != link.target
        for end in ends
    ]


def _gather(facts: Sequence[Fact]) -> _Told:
    marks: defaultdict[EntityName, Counter[str]] = defaultdict(Counter)
    ways: defaultdict[Pair, list[PathFact]] = defaultdict(list)
    for fact in facts:
        if isinstance(fact, MentionFact):
            marks[fact.words].update(("told", "plural" if fact.plural else "single", f"by {fact.determiner}"))
        elif isinstance(fact, PathFact):
            ways[pair_of(fact.first, fact.second)].append(fact)
    return _Told(marks, ways)


def _quantity(link: LinkDraft, end: End) -> Quantity | None:
    return link.source_quantity if end == "source" else link.target_quantity


def _features(link: LinkDraft, end: End, told: _Told, lexicon: Lexicon) -> Features:
    own, other = (link.source, link.target) if end == "source" else (link.target, link.source)
    drafted, beyond = _quantity(link, end), _quantity(link, "target" if end == "source" else "source")
    features: Features = {
        "target": float(end == "target"), "plain": float(link.is_plain), "passive": float(link.passive),
        "whole": float(link.kind != "association"), "role": float(bool(link.role)),
        **_quantity_features("", drafted), **_quantity_features("other:", beyond),
        **_entity_features("", own, told, lexicon), **_entity_features("other:", other, told, lexicon),
        f"{end}:{verb_group(link.verb, lexicon)}": 1.0, f"{end}:{link.verb} {link.particle}": 1.0,
        "in-other": float(own == other[: len(own)]), "other-in": float(other == own[: len(other)]),
        **{f"{end}:{source.rule}": 1.0 for source in link.evidence},
    }  # fmt: skip
    rated, facing = lexicon.ratings.get(own[-1]), lexicon.ratings.get(other[-1])
    if rated is not None and facing is not None:
        features[f"kinds:{rated.kind}-{facing.kind}"] = 1.0
        features["rather"] = float(rated.entity - facing.entity)
    for way in told.ways.get(pair_of(own, other), ()):
        counts = (way.first_quantity, way.second_quantity)
        mine, theirs = counts if way.first == own else counts[::-1]
        for side, count in (("", mine), ("other:", theirs)):
            if count is not None:
                mark = f"{side}{'many' if count.is_many else 'one'}-near"
                features[mark] = features.get(mark, 0.0) + 1
        if way.distance <= _SHORT:
            path = way.path if way.first == own else "|".join(reversed(way.path.split("|")))
            features[f"path:{path}"] = 1.0
    return features


def _quantity_features(side: str, quantity: Quantity | None) -> Features:
    if quantity is None:
        return {}
    return {
        f"{side}many": float(quantity.is_many), f"{side}said": float(bool(quantity.word)),
        f"{side}said:{quantity.word}": 1.0, f"{side}least": float(min(quantity.low, 2)),
        f"{side}limited": float(quantity.is_many and quantity.high is not None),
    }  # fmt: skip


def _entity_features(side: str, name: EntityName, told: _Told, lexicon: Lexicon) -> Features:
    marks = told.marks.get(name, Counter())
    count = max(1, marks["told"])
    return {
        f"{side}told": float(marks["told"]), f"{side}plural": marks["plural"] / count,
        **{f"{side}{mark}": number / count for mark, number in marks.items() if mark.startswith("by ")},
        **rating_features(side, name[-1], lexicon),
    }  # fmt: skip
