"""How likely two entities of a text are related: all that is said of both, judged by trees.

Knows facts, the lexicon and the forest `pairs`; adds nothing to a draft.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from schemawire.analysis.facts import EntityName, Fact, KindFact, MentionFact, PathFact, PropertyFact, RelationFact
from schemawire.analysis.forest import Features, load_forest
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.usual_things import Company, load_usual

Pair = tuple[EntityName, EntityName]
"""Two names in alphabetical order; the same twice for what an entity has to do with others of its kind."""

_NEAR, _DIRECT = 3, 4
_LIKELY = 0.35
_MOST_ALIKE = 40
"""Names with a word in common beyond which that word says nothing of any two of them."""
_VERB_GROUPS = ("recording", "having", "entering", "stating", "idle", "creating", "describing")


def verb_group(lemma: str, lexicon: Lexicon) -> str:
    """Return the first group of verbs that one belongs to, or `other`."""
    return next((group for group in _VERB_GROUPS if lexicon.verbs.is_in(lemma, group)), "other")


@dataclass(slots=True)
class _Evidence:
    paths: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    nearest: int = 99
    idle: int = 0
    places: set[int] = field(default_factory=set)
    ways: list[PathFact] = field(default_factory=list)
    best: PathFact | None = None


def pair_of(first: EntityName, second: EntityName) -> Pair:
    """Return two names in their order."""
    return (first, second) if first <= second else (second, first)


def judge_pairs(
    facts: Sequence[Fact], likely: Mapping[EntityName, float], lexicon: Lexicon
) -> dict[Pair, tuple[float, PathFact | None]]:
    """Return how likely each pair of entities is related, and the sentence that says most of it.

    Args:
        facts: what was read.
        likely: the entities, and how likely each of them is one.
        lexicon: the language.
    """
    features = pair_features(facts, likely, lexicon)
    values = load_forest(lexicon.language, "pairs").judge([own for own, _ in features.values()])
    return {pair: (value, best) for (pair, (_, best)), value in zip(features.items(), values, strict=True)}


def pair_features(
    facts: Sequence[Fact], likely: Mapping[EntityName, float], lexicon: Lexicon
) -> dict[Pair, tuple[Features, PathFact | None]]:
    """Return what speaks for each pair of entities being related, and the sentence that says most of it."""
    found: defaultdict[Pair, _Evidence] = defaultdict(_Evidence)
    kinds: dict[Pair, KindFact] = {}
    told: defaultdict[EntityName, list[MentionFact]] = defaultdict(list)
    for fact in facts:
        for pair, rule in _related(fact, likely):
            found[pair].rules[rule] += 1
        if isinstance(fact, PathFact) and fact.first in likely and fact.second in likely and fact.first != fact.second:
            _gather(fact, found[pair_of(fact.first, fact.second)])
        elif isinstance(fact, KindFact) and fact.child in likely and fact.parent in likely:
            kinds[pair_of(fact.child, fact.parent)] = fact
            found[pair_of(fact.child, fact.parent)].places.add(fact.source.start)
        elif isinstance(fact, MentionFact):
            told[fact.words].append(fact)
    for pair in _alike(list(likely)):
        found[pair].rules["alike"] += 1
    places = {name: {mention.sentence for mention in told[name]} for name in likely}
    everywhere = max(1, len(set().union(*places.values())))
    near: defaultdict[EntityName, set[EntityName]] = defaultdict(set)
    for (first, second), evidence in found.items():
        if evidence.ways:
            near[first].add(second)
            near[second].add(first)
    company = Company(list(likely), load_usual(lexicon.language))
    features: dict[Pair, tuple[Features, PathFact | None]] = {}
    for pair, evidence in found.items():
        own = _features(pair, evidence, lexicon) | _way_features(evidence, lexicon)
        own |= _place_features(pair, places, told, everywhere) | _neighbour_features(pair, near, likely)
        own |= _meaning_features(pair, lexicon) | company.relation_features(*pair)
        if pair in kinds:
            own |= {"kind": 1.0, f"kind:{kinds[pair].source.rule}": 1.0}
        one, other = (likely[name] for name in pair)
        own |= {"less-likely": min(one, other), "more-likely": max(one, other), "both-likely": one * other}
        features[pair] = own, evidence.best
    return features


def _alike(names: Sequence[EntityName]) -> list[Pair]:
    """Return the pairs of names that share their beginning or their last word: player and player profile."""
    groups: defaultdict[tuple[str, EntityName], list[EntityName]] = defaultdict(list)
    for name in names:
        groups["last", name[-1:]].append(name)
        for end in range(1, len(name) + 1):
            groups["first", name[:end]].append(name)
    pairs = {
        pair_of(one, other): None
        for (side, shared), members in groups.items()
        if len(members) <= _MOST_ALIKE
        for place, one in enumerate(members)
        for other in members[place + 1 :]
        if one != other and (side == "last" or shared in (one, other))
    }
    return list(pairs)


def _way_features(evidence: _Evidence, lexicon: Lexicon) -> Features:
    if not evidence.ways:
        return {}
    own: Features = {
        "distance": float(min(way.distance for way in evidence.ways)),
        "gap": float(min(way.source.end - way.source.start for way in evidence.ways)),
        "direct": float(sum(way.distance <= _DIRECT for way in evidence.ways)),
        "many": float(
            max(
                sum(count is not None and count.is_many for count in (way.first_quantity, way.second_quantity))
                for way in evidence.ways
            )
        ),
    }
    for way in evidence.ways:
        if way.verb and way.path not in ("listed", "far"):
            own[f"joined-by:{verb_group(way.verb, lexicon)}"] = own[f"verb:{way.verb}"] = 1.0
    return own


def _place_features(
    pair: Pair,
    places: Mapping[EntityName, set[int]],
    told: Mapping[EntityName, Sequence[MentionFact]],
    everywhere: int,
) -> Features:
    first, second = (places[name] for name in pair)
    both = len(first & second)
    counts = sorted(len(told.get(name, ())) for name in pair)
    return {
        "together": float(both), "together-of-fewer": both / max(1, min(len(first), len(second))),
        "lift": both * everywhere / max(1, len(first) * len(second)),
        "fewer": float(counts[0]), "more": float(counts[1]),
        "next-sentence": float(any(place + 1 in second or place - 1 in second for place in first)),
    }  # fmt: skip


def _neighbour_features(
    pair: Pair, near: Mapping[EntityName, set[EntityName]], likely: Mapping[EntityName, float]
) -> Features:
    first, second = (near.get(name, set()) for name in pair)
    shared = first & second
    return {
        "shared": float(len(shared)), "neighbours": float(len(first) + len(second)),
        "fewer-neighbours": float(min(len(first), len(second))),
        "likely-shared": float(sum(likely[name] >= _LIKELY for name in shared)),
    }  # fmt: skip


def _meaning_features(pair: Pair, lexicon: Lexicon) -> Features:
    first, second = pair
    own: Features = {
        "begins": float(first == second[: len(first)] or second == first[: len(second)]),
        "ends": float(first[-1] == second[-1]),
    }
    for sense, nouns in lexicon.senses.items():
        own[f"is:{sense}"] = float((first[-1] in nouns) + (second[-1] in nouns))
    rated = [lexicon.ratings.get(name[-1]) for name in pair]
    known = [rating for rating in rated if rating is not None]
    if len(known) == len(pair):
        entity, fields, parts = zip(*((rating.entity, rating.field, rating.part) for rating in known), strict=True)
        for mark, values in (("entity", entity), ("field", fields), ("part", parts)):
            own |= {f"rated-{mark}": float(sum(values)), f"least-{mark}": float(min(values))}
        own["kinds:" + "-".join(sorted(rating.kind for rating in known))] = 1.0
        for rating in known:
            own[f"rated:{rating.kind}"] = own.get(f"rated:{rating.kind}", 0.0) + 1
    return own


def _related(fact: Fact, names: Collection[EntityName]) -> list[tuple[Pair, str]]:
    match fact:
        case RelationFact(source_words=first, target_words=second) if first in names and second in names:
            return [(pair_of(first, second), fact.source.rule.removeprefix("parser:"))]
        case PropertyFact(owner=owner, phrase=phrase) if owner in names and phrase.words:
            words = entity_words(phrase.words)
            target = next((words[k:] for k in range(len(words)) if words[k:] in names), None)
            return [(pair_of(owner, target), f"had:{fact.source.rule.removeprefix('parser:')}")] if target else []
        case _:
            return []


def _gather(fact: PathFact, evidence: _Evidence) -> None:
    turned = fact.first > fact.second
    path = "|".join(reversed(fact.path.split("|"))) if turned and "|" in fact.path else fact.path
    evidence.paths[_canonical(path)] += 1
    evidence.places.add(fact.source.start)
    evidence.idle += fact.idle
    evidence.ways.append(fact)
    if fact.path not in ("listed", "far") and fact.distance < evidence.nearest:
        evidence.best, evidence.nearest = fact, fact.distance


def _canonical(path: str) -> str:
    """The order of two names says nothing: the sides of a path are put in a fixed order."""
    return "|".join(sorted(path.split("|"))) if "|" in path else path


def _features(pair: Pair, evidence: _Evidence, lexicon: Lexicon) -> Features:
    first, second = pair
    people = [name[-1] in lexicon.nouns.people or name[-1].endswith(("er", "or", "ist")) for name in pair]
    inner = first == second[: len(first)] or second == first[: len(second)]
    features: Features = {
        "sentences": math.log(1 + len(evidence.places)), "near": float(evidence.nearest <= _NEAR),
        "next": float(evidence.nearest <= 1), "said": float(bool(evidence.rules)),
        "said-twice": float(sum(evidence.rules.values()) > 1), "idle": float(evidence.idle > 0),
        "two-people": float(all(people)), "one-person": float(any(people)),
        "compound": float(inner and first != second), "same-head": float(first[-1] == second[-1]),
    }  # fmt: skip
    features |= {f"path:{path}": 1.0 for path in evidence.paths}
    features |= {f"shape:{_shape(path)}": 1.0 for path in evidence.paths}
    features |= {f"said:{rule}": 1.0 for rule in evidence.rules}
    return features


def _shape(path: str) -> str:
    """A path without its words: "O|to" is "O|p"."""
    return " ".join(step if not step.islower() or step == "x" or len(step) == 1 else "p" for step in _tokens(path))


def _tokens(path: str) -> list[str]:
    return path.replace("|", " | ").split()
