"""How likely each name that prose offers is an entity of its model: all evidence together, judged by trees.

Knows facts, the lexicon and the forest `names`; chooses nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.candidates import Candidates, find_candidates
from schemawire.analysis.facts import EntityName, Fact, PropertyFact, RelationFact
from schemawire.analysis.forest import Features, Rates, load_forest, rate_features
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.synonyms import find_synonyms
from schemawire.analysis.usual_things import Company, load_usual
from schemawire.analysis.weighing import entity_features

_RATHER = 4
"""The rating above which a noun rather is an entity."""
USUAL = 0.2
"""How often a name that prose mentions is an entity."""
_POOLED = (
    "mentions", "once", "fields", "two-fields", "known-field", "things", "others", "had-as-field", "had-as-thing",
    "share", "any:subject", "any:object", "any:possessor", "any:of",
)  # fmt: skip
_OF_PART = (
    "mentions", "once", "fields", "two-fields", "things", "others", "had-as-field", "had-as-thing", "mark:a",
    "mark:each", "mark:the", "any:subject", "any:object",
)  # fmt: skip
_OF_OWNER = ("mentions", "fields", "others", "mark:each")


def judge_names(facts: Sequence[Fact], lexicon: Lexicon) -> dict[EntityName, float]:
    """Return how likely each name is an entity, 0 to 1."""
    forest = load_forest(lexicon.language, "names")
    found = name_features(facts, lexicon, forest.rate)
    return dict(zip(found, forest.judge(list(found.values())), strict=True))


def name_features(facts: Sequence[Fact], lexicon: Lexicon, rates: Rates) -> dict[EntityName, Features]:
    """Return what speaks for each name that a text offers."""
    exact = entity_features(facts, lexicon)
    found = find_candidates(facts, list(exact), lexicon)
    synonyms = find_synonyms(facts, lexicon)
    kept = set(synonyms.values())
    text = _text_features(facts, found, lexicon)
    heads = Counter(name[-1] for name in exact)
    last = text["text:sentences"]
    company = Company([mentioned for mentioned in found.mentions if mentioned], load_usual(lexicon.language))
    features: dict[EntityName, Features] = {}
    for name in found.origins:
        own = features[name] = {**exact.get(name, {}), **text, "length": float(len(name))}
        own |= {f"origin:{origin}": 1.0 for origin in found.origins[name]}
        own |= _variant_features(name, found, exact)
        own |= {"siblings": float(heads[name[-1]]), "merged": float(name in synonyms), "kept": float(name in kept)}
        own["merged-longer"] = float(name in synonyms and len(synonyms[name]) > len(name))
        own |= _mention_features(name, found, last) | _act_features(name, found, lexicon)
        own |= company.name_features(name)
        own |= {**rating_features("rating:", name[-1], lexicon), **rate_features("", name[-1], rates, USUAL)}
        if len(name) > 1:
            own |= rating_features("first:", name[0], lexicon)
            own["first:rate"] = rate_features("", name[0], rates, USUAL)["rate"]
    _add_joined(features, found, exact)
    return features


def rating_features(prefix: str, noun: str, lexicon: Lexicon) -> Features:
    """Return what a noun is in domain models as features."""
    rated = lexicon.ratings.get(noun)
    if rated is None:
        return {f"{prefix}unrated": 1.0}
    return {
        f"{prefix}entity": float(rated.entity), f"{prefix}field": float(rated.field),
        f"{prefix}part": float(rated.part), f"{prefix}is-{rated.kind}": 1.0,
    }  # fmt: skip


def _text_features(facts: Sequence[Fact], found: Candidates, lexicon: Lexicon) -> Features:
    """Return what tells plain texts from dense ones."""
    names = max(1, len(found.mentions))
    sentences = max(1, len({mention.sentence for told in found.mentions.values() for mention in told}))
    return {
        "text:again": sum(len(told) > 1 for told in found.mentions.values()) / names,
        "text:properties": sum(isinstance(fact, PropertyFact) for fact in facts) / sentences,
        "text:relations": sum(isinstance(fact, RelationFact) for fact in facts) / sentences,
        "text:known": sum(nature_of(name, lexicon).known for name in found.mentions) / names,
        "text:names": float(names), "text:sentences": float(sentences),
    }  # fmt: skip


def _variant_features(name: EntityName, found: Candidates, exact: Mapping[EntityName, Features]) -> Features:
    """Return how a name stands to its longer and shorter forms."""
    longer = [other for other in found.longer[name] if other != name]
    shorter = [name[start:] for start in range(1, len(name)) if name[start:] in exact]
    own, more, less = (_count(names, found) for names in ([name], longer, shorter))
    around = [exact[other] for other in {*found.longer[name], *shorter} if other in exact]
    return {
        "own": own, "longer": more, "longer-kinds": float(len(longer)), "shorter": less,
        "own-of-longer": own / max(1, own + more), "own-of-shorter": own / max(1, own + less),
        "one-longer": float(len(longer) == 1), "head-own": _count([name[-1:]], found),
        "first-own": _count([name[:1]], found) if len(name) > 1 else 0.0,
        "first-named": float(any(name[:end] in found.mentions for end in range(1, len(name)))),
        **{f"around:{mark}": max((other.get(mark, 0.0) for other in around), default=0.0) for mark in _POOLED},
    }  # fmt: skip


def _count(names: Iterable[EntityName], found: Candidates) -> float:
    return float(sum(len(found.mentions.get(name, ())) for name in names))


def _mention_features(name: EntityName, found: Candidates, sentences: float) -> Features:
    told = found.mentions.get(name, [])
    if not told:
        return {}
    places = {mention.sentence for mention in told}
    return {
        **{f"behind:{mention.particle}": 1.0 for mention in told if mention.particle},
        "listed": float(max(mention.listed for mention in told)), "sentences": float(len(places)),
        "from": min(places) / sentences, "to": max(places) / sentences,
    }  # fmt: skip


def _act_features(name: EntityName, found: Candidates, lexicon: Lexicon) -> Features:
    """Return what speaks for a name that verbs speak of: who does it, with what, how often."""
    ways = found.acts.get(name, [])
    if not ways:
        return {}
    rated = [rating for way in ways if (rating := lexicon.ratings.get(way.first[-1])) is not None]
    return {
        "act": float(max(lexicon.nominals[way.verb].get(name[0], 0) for way in ways)), "acts": float(len(ways)),
        "act-sentences": float(len({way.sentence for way in ways})),
        "act-things": float(len({way.first for way in ways})),
        "act-entity": float(max((rating.entity for rating in rated), default=0)),
        "act-entities": float(sum(rating.entity > _RATHER for rating in rated)),
        **{f"act:{way.path}": 1.0 for way in ways},
    }  # fmt: skip


def _add_joined(features: dict[EntityName, Features], found: Candidates, exact: Mapping[EntityName, Features]) -> None:
    """Add what is known of the two names that a name was joined from."""
    joined = [name for name, origins in found.origins.items() if origins & {"of", "had", "near"}]
    rivals = Counter(name[-1] for name in joined if name not in exact)
    for name in joined:
        part, owner = exact.get(name[-1:], {}), exact.get(name[:-1], {})
        features[name] |= {f"part:{mark}": part.get(mark, 0.0) for mark in _OF_PART}
        features[name] |= {f"owner:{mark}": owner.get(mark, 0.0) for mark in _OF_OWNER}
        features[name] |= {
            "joined": float(found.joined[name]), "rivals": float(rivals[name[-1]]), "owner-named": float(bool(owner)),
        }  # fmt: skip
