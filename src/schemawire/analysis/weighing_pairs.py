"""How likely two entities of a text are related: what is said of both in one sentence, weighed.

Knows facts, the language's weights and the draft; the weights are learnt like those of `weighing`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from schemawire.analysis.drafting import LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Fact, KindFact, PathFact, PropertyFact, RelationFact
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.quantifiers import MANY, ONE
from schemawire.analysis.weighing import Features, likelihood

Pair = tuple[EntityName, EntityName]
"""Two names in alphabetical order."""

_LIKELY = 0.4
"""From here two entities are related though no statement says so: where texts not learnt from did best."""
_NEAR = 3


@dataclass(slots=True)
class _Evidence:
    paths: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    nearest: int = 99
    idle: int = 0
    places: set[int] = field(default_factory=set)
    best: PathFact | None = None


def pair_of(first: EntityName, second: EntityName) -> Pair:
    """Return two names in their order."""
    return (first, second) if first <= second else (second, first)


def pair_features(
    facts: Sequence[Fact], names: Collection[EntityName], lexicon: Lexicon
) -> dict[Pair, tuple[Features, PathFact | None]]:
    """Return what speaks for each pair of names being related, and the sentence that says most of it."""
    found: defaultdict[Pair, _Evidence] = defaultdict(_Evidence)
    kinds = {pair_of(f.child, f.parent) for f in facts if isinstance(f, KindFact)}
    for fact in facts:
        for pair, rule in _related(fact, names):
            found[pair].rules[rule] += 1
        if isinstance(fact, PathFact) and fact.first in names and fact.second in names and fact.first != fact.second:
            _gather(fact, found[pair_of(fact.first, fact.second)])
    return {
        pair: (_features(pair, evidence, lexicon), evidence.best)
        for pair, evidence in found.items() if pair not in kinds and pair[0] != pair[1]
    }  # fmt: skip


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


def weigh_links(facts: Sequence[Fact], draft: SchemaDraft) -> None:
    """Link the things that are likely to be related and that no statement relates; what is stated stands."""
    weights = draft.lexicon.weights["pair"]
    if not any(isinstance(fact, PathFact) for fact in facts):
        return
    weighed = pair_features(facts, draft.entities, draft.lexicon)
    likely = {pair: likelihood(features, weights) for pair, (features, _) in weighed.items()}
    linked = {pair_of(link.source, link.target) for link in draft.links}
    linked |= {pair_of(name, entity.parent) for name, entity in draft.entities.items() if entity.parent}
    for pair, (_, best) in weighed.items():
        if pair not in linked and likely[pair] >= _LIKELY and best is not None:
            draft.links.append(_linked(best, draft.lexicon))


def _linked(fact: PathFact, lexicon: Lexicon) -> LinkDraft:
    """Return a link for what a sentence names together: what depends on the other is the target, and many."""
    left, _, right = fact.path.partition("|")
    ends = [(fact.first, fact.first_quantity), (fact.second, fact.second_quantity)]
    many = [quantity is not None and quantity.is_many for _, quantity in ends]
    behind = right.split(" ")[0]
    acts = [_is_act(fact.first, lexicon), _is_act(fact.second, lexicon)]
    if acts[0] != acts[1] and not many[acts[0]]:
        (source, _), (target, quantity) = ends if acts[1] else ends[::-1]  # a field has many treatments
    elif not left and behind in ("of", "'s") and many[0]:
        (source, _), (target, quantity) = ends[::-1]  # "the pages of a book": the book has pages
    elif behind.islower() and behind != "x" and not many[1]:
        (source, _), (target, quantity) = ends[::-1]  # "a report on an incident", "it is held at a site"
    elif _is_person(fact.second, lexicon) and not _is_person(fact.first, lexicon):
        (source, _), (target, quantity) = ends[::-1]
    else:
        (source, _), (target, quantity) = ends
    return LinkDraft(
        source=source, target=target, verb="have", evidence=[fact.source], source_quantity=MANY if all(many) else ONE,
        target_quantity=quantity if quantity is not None and quantity.is_many else MANY,
    )  # fmt: skip


def _is_act(name: EntityName, lexicon: Lexicon) -> bool:
    """Return whether a name means what happens or is written down: it happens to one thing, again and again."""
    senses = lexicon.senses
    return (name[-1] in senses["events"] or name[-1] in senses["documents"]) and name[-1] not in senses["objects"]


def _is_person(name: EntityName, lexicon: Lexicon) -> bool:
    return name[-1] in lexicon.nouns.people or name[-1] in lexicon.senses["persons"]
