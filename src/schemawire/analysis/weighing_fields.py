"""How likely each thing that is named near an entity is a field of it: how it is said, where, and what its noun means.

Knows facts, the lexicon and the forest `fields`; adds nothing to a draft.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from schemawire.analysis.attributes import is_known_field, nature_of
from schemawire.analysis.facts import EntityName, Fact, MentionFact, PathFact, PropertyFact
from schemawire.analysis.forest import Features, Rates, load_forest, rate_features
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.things import is_thing
from schemawire.analysis.usual_things import Company, load_usual
from schemawire.analysis.weighing_names import rating_features
from schemawire.analysis.weighing_pairs import verb_group

Owned = tuple[EntityName, EntityName]
"""An entity and the words of what it has."""

USUAL = 0.15
"""How often what is named near an entity is a field of it."""
USUAL_FIELDS = (
    "name", "date", "number", "status", "amount", "title", "time", "address", "description", "text", "start date",
    "type", "price", "kind",
)  # fmt: skip
"""The names that fields of models have most often; a text need not say that a customer has a name."""
_POSSIBLE, _LIKELY, _OWN = 0.1, 0.4, 0.6
"""How likely an entity an owner must be at all, to be preferred, and from which a name is rather a thing of its own."""
_TURNED = 40
"""Characters that an owner named behind its field counts as further away."""


@dataclass(slots=True)
class Saying:
    """Where a text brings an owner and a field together: statements, ways in a tree, the subject before."""

    properties: list[PropertyFact] = field(default_factory=list)
    paths: list[tuple[PathFact, bool]] = field(default_factory=list)
    """With each way, whether the owner stands first."""
    before: list[MentionFact] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """What fields are judged from: the facts of one text, its entities, and how likely each name is one."""

    facts: Sequence[Fact]
    entities: Collection[EntityName]
    likely: Mapping[EntityName, float]
    lexicon: Lexicon

    @cached_property
    def company(self) -> Company:
        """The entities, as they fit each other."""
        return Company(self.entities, load_usual(self.lexicon.language))

    @cached_property
    def subjects(self) -> Mapping[int, Sequence[EntityName]]:
        """The possible owners that are subjects of each sentence, in order."""
        mentions = (fact for fact in self.facts if isinstance(fact, MentionFact))
        subjects: defaultdict[int, list[EntityName]] = defaultdict(list)
        for mention in sorted(mentions, key=lambda mention: mention.source.start):
            if mention.role in ("subject", "undergoer") and _is_owner(mention.words, self):
                subjects[mention.sentence].append(mention.words)
        return dict(subjects)


def judge_fields(text: Text, *, usual: bool) -> dict[Owned, tuple[float, Saying]]:
    """Return how likely each pair is an entity and its field, and where it is said.

    Args:
        text: what was read.
        usual: whether to judge fields that are not said too.
    """
    forest = load_forest(text.lexicon.language, "fields")
    found = find_sayings(text)
    features = field_features(text, found, forest.rate, usual=usual)
    judged = forest.judge(list(features.values()))
    return {owned: (value, found.get(owned) or Saying()) for owned, value in zip(features, judged, strict=True)}


def find_sayings(text: Text) -> dict[Owned, Saying]:
    """Return where a text brings each possible owner together with what may be a field."""
    found: defaultdict[Owned, Saying] = defaultdict(Saying)
    for fact in text.facts:
        if isinstance(fact, PropertyFact) and _is_owner(fact.owner, text) and entity_words(fact.phrase.words):
            found[fact.owner, entity_words(fact.phrase.words)].properties.append(fact)
        elif isinstance(fact, PathFact):
            for owned, first in _ends(fact, text):
                found[owned].paths.append((fact, first))
    for mention, owner in _after_subjects(text):
        found[owner, mention.words].before.append(mention)
    return {owned: saying for owned, saying in found.items() if owned[0] != owned[1]}


def _ends(path: PathFact, text: Text) -> Iterator[tuple[Owned, bool]]:
    """Yield the ends of a way as a possible owner and what may be its field, with whether the owner stands first."""
    for owner, words, first in ((path.first, path.second, True), (path.second, path.first, False)):
        known = nature_of(words, text.lexicon).known
        if _is_owner(owner, text) and (known or text.likely.get(words, 0.0) < _OWN):
            yield (owner, words), first


def _is_owner(name: EntityName, text: Text) -> bool:
    return name in text.entities or text.likely.get(name, 0.0) >= _POSSIBLE


def _after_subjects(text: Text) -> Iterator[tuple[MentionFact, EntityName]]:
    """Yield what may be a field with the first subject of the sentence before."""
    for fact in text.facts:
        if isinstance(fact, MentionFact):
            owned = nature_of(fact.words, text.lexicon).known and not _is_owner(fact.words, text)
            before = text.subjects.get(fact.sentence - 1)
            if before and (owned or text.likely.get(fact.words, 0.0) < _LIKELY):
                yield fact, before[0]


def field_features(
    text: Text, found: Mapping[Owned, Saying], rates: Rates, *, usual: bool = True
) -> dict[Owned, Features]:
    """Return what speaks for each entity having each field."""
    told: defaultdict[EntityName, list[MentionFact]] = defaultdict(list)
    company: Counter[int] = Counter()
    for fact in text.facts:
        if isinstance(fact, MentionFact):
            told[fact.words].append(fact)
            company[fact.sentence] += nature_of(fact.words, text.lexicon).known
    near = _nearness(found)
    sizes = Counter(owner for (owner, _), saying in found.items() if saying.properties)
    whole = _text_features(text)
    features: dict[Owned, Features] = {}
    alone: dict[EntityName, Features] = {}
    for (owner, words), saying in found.items():
        if owner not in text.entities:
            continue
        own = features[owner, words] = _name_features(owner, words, text, rates) | whole
        own |= _said(saying.properties, words, text.lexicon) if saying.properties else {}
        own |= _path_features(owner, words, saying, text, near=near[words])
        if words not in alone:
            alone[words] = _told_features(told.get(words, []), text.lexicon)
            alone[words]["company"] = float(max((company[fact.sentence] for fact in told.get(words, ())), default=0))
        own |= alone[words]
        own["together"] = len({fact.sentence for fact, _ in saying.paths}) / max(1.0, own["told-in"])
        own |= {"size": float(sizes[owner]), "before": float(len(saying.before)), "owner-told": float(len(told[owner]))}
    if usual:
        _add_usual(features, text, rates, sizes=sizes, told=told, whole=whole)
    return features


def _text_features(text: Text) -> Features:
    sentences = max(1, len({fact.sentence for fact in text.facts if isinstance(fact, MentionFact)}))
    properties = sum(isinstance(fact, PropertyFact) for fact in text.facts)
    return {
        "text:properties": properties / sentences, "text:sentences": float(sentences),
        "text:entities": float(len(text.entities)),
    }  # fmt: skip


def _nearness(found: Mapping[Owned, Saying]) -> dict[EntityName, dict[EntityName, int]]:
    """Return how near each owner ever stands to what it may have, in characters."""
    near: defaultdict[EntityName, dict[EntityName, int]] = defaultdict(dict)
    for (owner, words), saying in found.items():
        for path, first in saying.paths:
            gap = abs(path.source.end - path.source.start) + (0 if first else _TURNED)
            near[words][owner] = min(gap, near[words].get(owner, gap))
    return near


def _name_features(owner: EntityName, words: EntityName, text: Text, rates: Rates) -> Features:
    nature = nature_of(words, text.lexicon)
    senses = text.lexicon.senses.items()
    return {
        "known": float(nature.known), f"type:{nature.type}": float(nature.known),
        "owner": text.likely.get(owner, 0.0), "thing": text.likely.get(words, 0.0), "length": float(len(words)),
        "shared": float(bool({*owner} & {*words})),
        **{f"owner-is:{sense}": 1.0 for sense, nouns in senses if owner[-1] in nouns},
        **{f"is:{sense}": 1.0 for sense, nouns in senses if words[-1] in nouns},
        **rating_features("owner:", owner[-1], text.lexicon), **rating_features("noun:", words[-1], text.lexicon),
        **(rating_features("first:", words[0], text.lexicon) if len(words) > 1 else {}),
        **rate_features("", " ".join(words), rates, USUAL),
        "last:rate": rate_features("", words[-1], rates, USUAL)["rate"],
        **text.company.field_features(owner, words),
    }  # fmt: skip


def _path_features(
    owner: EntityName,
    words: EntityName,
    saying: Saying,
    text: Text,
    *,
    near: Mapping[EntityName, int],
) -> Features:
    if not saying.paths:
        return {}
    own: Features = {"first": float(sum(first for _, first in saying.paths)), "ways": float(len(saying.paths))}
    for fact, first in saying.paths:
        path = fact.path if first else "|".join(reversed(fact.path.split("|")))
        own[f"path:{path}"] = 1.0
        if fact.verb:
            own[f"joined-by:{verb_group(fact.verb, text.lexicon)}"] = 1.0
    order = sorted(near, key=lambda name: (near[name], name))
    likely = [name for name in order if name == owner or text.likely.get(name, 0.0) >= _LIKELY]
    paths = [fact for fact, _ in saying.paths]
    return own | {
        "distance": float(min(fact.distance for fact in paths)),
        "gap": float(min(fact.source.end - fact.source.start for fact in paths)),
        "rank": float(order.index(owner)), "owners": float(len(order)), "likely-rank": float(likely.index(owner)),
        "subject": float(any(owner in text.subjects.get(fact.sentence, ()) for fact in paths)),
        "first-subject": float(any(text.subjects.get(fact.sentence, ())[:1] == [owner] for fact in paths)),
    }  # fmt: skip


def _told_features(told: Sequence[MentionFact], lexicon: Lexicon) -> Features:
    """Return how a name is told of, whosever it is; `told-in` counts its sentences."""
    own: Features = {
        "told": float(len(told)), "told-in": float(len({mention.sentence for mention in told})),
        "listed": float(max((mention.listed for mention in told), default=0)),
        "told-plural": float(any(mention.plural for mention in told)),
    }  # fmt: skip
    for mention in told:
        own[f"role:{mention.role}"] = own[f"introduced:{mention.determiner}"] = 1.0
        own[f"under:{verb_group(mention.verb, lexicon)}"] = 1.0
        if mention.particle:
            own[f"behind:{mention.particle}"] = 1.0
    return own


def _said(said: Sequence[PropertyFact], words: EntityName, lexicon: Lexicon) -> Features:
    first, nouns = said[0], lexicon.nouns
    exact = " ".join(words) in nouns.types or " ".join(first.phrase.words) in nouns.types
    known = any(is_known_field(fact.phrase, lexicon) for fact in said)
    features: Features = {
        "stated": float(len(said)), "exact": float(exact), "tail": float(known and not exact),
        "hint": float(any(fact.phrase.hint for fact in said)), "plural": float(first.phrase.plural),
        "certain": float(any(fact.certain for fact in said)), "words": math.log(len(first.phrase.words)),
        "composed": float(any(fact.kind == "composition" for fact in said)),
        "as-thing": float(any(is_thing(fact, lexicon) for fact in said)),
        "counted": float(first.phrase.quantity is not None and first.phrase.quantity.is_many),
        "valued": float(any(fact.values or fact.phrase.values or fact.phrase.bracket for fact in said)),
        "limited": float(any(bool(fact.phrase.tail) for fact in said)), "optional": float(first.optional),
        "the": float(first.phrase.determiner == "the"), "a": float(first.phrase.determiner in ("a", "an")),
    }  # fmt: skip
    return features | {f"rule:{fact.source.rule}": 1.0 for fact in said}


def _add_usual(
    features: dict[Owned, Features],
    text: Text,
    rates: Rates,
    *,
    sizes: Mapping[EntityName, int],
    told: Mapping[EntityName, Sequence[MentionFact]],
    whole: Features,
) -> None:
    """Add the fields that entities usually have and that the text does not bring together with them."""
    elsewhere = {words for _, words in features}
    named = {owner for owner, words in features if words[-1] in ("name", "title")}
    for owner in text.entities:
        for usual in USUAL_FIELDS:
            words = tuple(usual.split())
            if (owner, words) in features:
                continue
            features[owner, words] = _name_features(owner, words, text, rates) | whole | {
                "usual": 1.0, f"usual:{usual}": 1.0, "elsewhere": float(words in elsewhere),
                "named": float(owner in named), "size": float(sizes.get(owner, 0)),
                "owner-told": float(len(told.get(owner, ()))), "owner-length": float(len(owner)),
            }  # fmt: skip
