"""What parsed prose amounts to: the likely entities, fields and relationships among all that it speaks of.

Knows facts, what is judged likely, and the draft; knows no sentence.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.candidates import read_acts
from schemawire.analysis.drafting import EntityDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    MentionFact,
    PathFact,
    PropertyFact,
    RelationFact,
    Source,
    words_of,
)
from schemawire.analysis.fields import find_entity
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.notes import FIELD_LIST, NOTED
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.prose import choose_from_prose, is_prose
from schemawire.analysis.quantifiers import MANY, ONE
from schemawire.analysis.selection import gather_sources
from schemawire.analysis.synonyms import renamed
from schemawire.analysis.things import is_thing
from schemawire.analysis.weighing_fields import Owned, Saying, Text, judge_fields
from schemawire.analysis.weighing_names import judge_names
from schemawire.analysis.weighing_pairs import Pair, judge_pairs, pair_of

_ENTITY, _FIELD, _RELATED = 0.28, 0.16, 0.13
"""From here a name is an entity, what it has a field, a pair related: where texts not learnt from did best."""
_NAMED_KIND = 0.1
"""From here what bears a name's last word is a kind of it."""
_KIN, _PART = 0.02, 0.15
"""From here a stated kind or part of an entity is one too."""
_OWNER = 0.08
"""From here what several fields are stated of is an entity."""
_STATED, _MARKED = 0.07, 0.02
"""From here what a statement says an entity has is a field; the latter if it lists fields or values or says whether."""
_RELATION_STATED, _PART_STATED = 0.09, 0.04
"""From here what a statement relates is related; the latter if one is part of the other."""
_LISTING = frozenset({FIELD_LIST, "information"})
_OF_ITS_OWN = 0.5
"""From here a name is kept beside its only longer form."""
_DECLARING = NOTED | {"user-story"}
_SURE, _GUESSED = 1.0, 0.4


def is_parsed_prose(facts: Sequence[Fact]) -> bool:
    """Return whether facts were read from the trees of a whole text."""
    return is_prose(facts) and any(isinstance(fact, MentionFact) for fact in facts)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The entities of a text in order of first mention, its facts under their names, and how likely each name is one.

    `stated` are those that lists, headings and notes declare, or that stand behind the parsed part.
    """

    entities: Mapping[EntityName, list[Source]]
    facts: Sequence[Fact]
    likely: Mapping[EntityName, float]
    stated: Collection[EntityName]


def decide(facts: Sequence[Fact], draft: SchemaDraft) -> list[Fact]:
    """Add the likely entities and their likely relationships to a draft; return the facts that go with them.

    What lists, headings and notes declare is kept whatever is likely, and so is what stands behind the parsed part.
    """
    facts = [*facts, *read_acts(facts, draft.lexicon)]
    chosen = choose_entities(facts, judge_names(facts, draft.lexicon), draft.lexicon)
    for name, sources in chosen.entities.items():
        draft.entities[name] = EntityDraft(words=name, sources=sources)
    return _decide_pairs(_decide_fields(chosen, draft), chosen, draft)


def choose_entities(facts: Sequence[Fact], likely: Mapping[EntityName, float], lexicon: Lexicon) -> Chosen:
    """Return the entities among the names of a text.

    Args:
        facts: what was read, with the ways to what verbs do.
        likely: how likely each name is an entity.
        lexicon: the language.
    """
    noted = {fact.words for fact in facts if isinstance(fact, EntityFact) and fact.source.rule in _DECLARING}
    parsed_to = max(fact.source.end for fact in facts if isinstance(fact, MentionFact))
    unparsed = choose_from_prose([fact for fact in facts if fact.source.start > parsed_to], lexicon)
    stated = noted | unparsed
    chosen = stated | {name for name, value in likely.items() if value >= _ENTITY}
    chosen |= {name for name in _owners(facts, lexicon) if likely.get(name, 0.0) >= _OWNER}
    chosen |= _kin(facts, chosen, likely, lexicon)
    chosen -= _doubles(chosen, likely) - stated
    facts = _under_chosen_names(facts, chosen)
    sources = gather_sources(facts)
    for fact in facts:
        if isinstance(fact, PathFact) and fact.path.endswith("|act"):
            sources.setdefault(fact.second, []).append(fact.source)
    entities = {name: found for name, found in sources.items() if name in chosen}
    return Chosen(entities, facts, {**likely, **dict.fromkeys(stated, _SURE)}, stated)


def _owners(facts: Sequence[Fact], lexicon: Lexicon) -> set[EntityName]:
    """Return the names of which a text states two fields or more, or a field and its values."""
    had: dict[EntityName, set[EntityName]] = {}
    for fact in facts:
        if isinstance(fact, PropertyFact) and fact.phrase.words and is_known_field(fact.phrase, lexicon):
            had.setdefault(fact.owner, set()).add(entity_words(fact.phrase.words))
        elif isinstance(fact, ConstraintFact) and fact.values:
            had.setdefault(fact.owner, set()).add(fact.field)
    return {name for name, fields in had.items() if len(fields) > 1}


def _kin(
    facts: Sequence[Fact], chosen: Collection[EntityName], likely: Mapping[EntityName, float], lexicon: Lexicon
) -> set[EntityName]:
    """Return the stated kinds and parts of what was chosen, and their parents, where nothing much speaks against."""
    kinds = [(fact.child, fact.parent) for fact in facts if isinstance(fact, KindFact) and _is_stated(fact)]
    parts = [
        (fact.owner, entity_words(fact.phrase.words))
        for fact in facts
        if isinstance(fact, PropertyFact) and fact.kind == "composition" and is_thing(fact, lexicon)
    ]
    kin: set[EntityName] = set()
    for pairs, least in ((kinds, _KIN), (parts, _PART)):
        both = [*pairs, *((other, name) for name, other in pairs)]
        kin |= {name for name, other in both if other in chosen and likely.get(name, 0.0) >= least}
    return kin


def _is_stated(fact: KindFact) -> bool:
    """Return whether a sentence says that something is a kind, not only its name."""
    return fact.source.rule != "parser:shared-head"


def _doubles(chosen: Collection[EntityName], likely: Mapping[EntityName, float]) -> set[EntityName]:
    """Return what rather is another form of a name than a thing of its own: "route" beside a single "bus route"."""
    longer: dict[EntityName, list[EntityName]] = {}
    for name in chosen:
        for start in range(1, len(name)):
            if name[start:] in chosen:
                longer.setdefault(name[start:], []).append(name)
    pairs = [(short, names[0]) for short, names in longer.items() if len(names) == 1]
    rivals = (sorted(pair, key=lambda name: (likely.get(name, 0.0), name)) for pair in pairs)
    return {weaker for weaker, _ in rivals if likely.get(weaker, 0.0) < _OF_ITS_OWN}


def _under_chosen_names(facts: Sequence[Fact], chosen: Collection[EntityName]) -> list[Fact]:
    """Return the facts with other forms of a name replaced by the one chosen: its tail, or what it is the tail of."""
    longer: dict[EntityName, list[EntityName]] = {}
    for name in chosen:
        for start in range(1, len(name)):
            longer.setdefault(name[start:], []).append(name)
    forms: dict[EntityName, EntityName] = {}
    for name in {name for fact in facts for name in words_of(fact)}:
        if name not in chosen and name not in forms:
            tail = next((name[start:] for start in range(1, len(name)) if name[start:] in chosen), None)
            whole = longer.get(name, [])
            if tail is not None or len(whole) == 1:
                forms[name] = tail or whole[0]
    return [new for fact in facts if not _is_circular(new := _in_form(fact, forms), fact)]


def _in_form(fact: Fact, forms: Mapping[EntityName, EntityName]) -> Fact:
    if isinstance(fact, PropertyFact):
        return replace(fact, owner=forms.get(fact.owner, fact.owner))
    return renamed(fact, forms)


def _is_circular(fact: Fact, before: Fact) -> bool:
    """Return whether the two things of a fact became one by their new names."""
    names, old = words_of(fact), words_of(before)
    return len(names) > 1 and names[0] == names[1] and old[0] != old[1]


def _decide_fields(chosen: Chosen, draft: SchemaDraft) -> list[Fact]:
    """Return the facts without properties that hardly are fields, and with the fields that no statement tells of."""
    text = Text(chosen.facts, chosen.entities, chosen.likely, draft.lexicon)
    judged = judge_fields(text, usual=draft.options.infer)
    taken = {owned: saying for owned, (value, saying) in judged.items() if value >= _least(saying)}
    kept: list[Fact] = []
    for fact in chosen.facts:
        judgeable = isinstance(fact, PropertyFact) and fact.phrase.words and fact.owner in draft.entities
        if isinstance(fact, PropertyFact) and judgeable and fact.owner not in chosen.stated:
            owned = (fact.owner, entity_words(fact.phrase.words))
            if owned not in taken and find_entity(fact, draft) is None:
                continue
        kept.append(fact)
    parts = _ends_of_longer(taken)
    for (owner, words), saying in taken.items():
        if not saying.properties and words not in draft.entities and (owner, words) not in parts:
            kept.append(_near_field(owner, words, saying, draft))
    return kept


def _least(saying: Saying) -> float:
    """Return how likely a field must be, by how it is said."""
    phrases = [fact.phrase for fact in saying.properties]
    valued = any(fact.values or fact.source.rule in _LISTING for fact in saying.properties)
    if valued or any(phrase.values or phrase.bracket or phrase.hint for phrase in phrases):
        return _MARKED
    return _STATED if saying.properties else _FIELD


def _ends_of_longer(taken: Collection[Owned]) -> set[Owned]:
    """Return the fields that are but the end or the beginning of another one: the date of a date of birth."""
    return {
        (owner, part)
        for owner, words in taken
        for size in range(1, len(words))
        for part in (words[-size:], words[:size])
    }


def _near_field(owner: EntityName, words: EntityName, saying: Saying, draft: SchemaDraft) -> PropertyFact:
    """Return a field that is named near its owner, or that such an entity usually has."""
    if saying.paths:
        nearest = min((path for path, _ in saying.paths), key=lambda path: path.source.end - path.source.start)
        source = replace(nearest.source, rule="parser:named-near")
    elif saying.before:
        source = replace(saying.before[0].source, rule="parser:named-after")
    else:
        first = draft.entities[owner].sources[0]
        source = Source(first.start, first.end, "default:usual-field", _GUESSED)
    phrase = Phrase(words=words, start=source.start, end=source.end)
    return PropertyFact(owner=owner, phrase=phrase, source=source, certain=True)


def _decide_pairs(facts: Sequence[Fact], chosen: Chosen, draft: SchemaDraft) -> list[Fact]:
    """Add links for the likely pairs that nothing states; return the facts without statements of unlikely ones."""
    judged = judge_pairs(chosen.facts, {name: chosen.likely[name] for name in draft.entities}, draft.lexicon)
    stated = {*chosen.stated}
    related = {pair for pair, (value, _) in judged.items() if value >= _RELATED or {*pair} <= stated}
    kept: list[Fact] = []
    said: set[Pair] = set()
    for fact in facts:
        pair = _pair_stated(fact, draft)
        value = judged[pair][0] if pair in judged else 0.0
        if pair is None or pair in related or value >= _least_of_pair(fact):
            kept.append(fact)
        if pair is not None:
            said.add(pair)
    for pair in (pair for pair in judged if pair in related and pair not in said):
        best = judged[pair][1]
        draft.links.append(_alike(pair, draft) if best is None else _linked(best, draft.lexicon))
    return kept


def _least_of_pair(fact: Fact) -> float:
    """Return how likely two entities must be related, by what is stated of them."""
    if isinstance(fact, KindFact):
        return 0.0 if _is_stated(fact) else _NAMED_KIND
    composed = isinstance(fact, PropertyFact | RelationFact) and fact.kind == "composition"
    return _PART_STATED if composed else _RELATION_STATED


def _pair_stated(fact: Fact, draft: SchemaDraft) -> Pair | None:
    """Return the two entities that a fact states to be related."""
    match fact:
        case RelationFact(source_words=first, target_words=second) | KindFact(child=first, parent=second):
            ends: tuple[EntityName, EntityName | None] = (first, second)
        case PropertyFact(owner=owner, phrase=phrase) if owner in draft.entities and phrase.words:
            ends = (owner, find_entity(fact, draft))
        case _:
            return None
    if ends[0] not in draft.entities or ends[1] is None or ends[1] not in draft.entities:
        return None
    return pair_of(ends[0], ends[1])


def _alike(pair: Pair, draft: SchemaDraft) -> LinkDraft:
    """Return a link between names of which one is part of the other: a player has a player profile."""
    source, target = sorted(pair, key=lambda name: (len(name), name))
    evidence = draft.entities[target].sources[:1]
    return LinkDraft(
        source=source, target=target, verb="have", evidence=evidence, source_quantity=ONE, target_quantity=MANY
    )


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
