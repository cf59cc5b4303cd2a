"""Two drafts of one text to one: what both found stands, what one found alone has to be supported by the text.

Knows schemas and their evidence; knows neither analyser. Both drafts are literal: without keys, timestamps and guesses.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemawire.analysis.language_model.drafts import salvage
from schemawire.analysis.language_model.quotes import MENTIONED, QUOTED, RELATED
from schemawire.analysis.naming import free_name, singular, split_words
from schemawire.analysis.voting import Jury, rules_worth
from schemawire.analysis.weighing_fields import USUAL_FIELDS
from schemawire.schema.edits import changed
from schemawire.schema.model import DomainSchema, Entity, Evidence, Field, Part, Relationship

TRUSTED_GROUNDING = 0.55
"""Least share of a model's things that the text mentions, below which the model only confirms."""
TRUSTED_OVERLAP = 0.2
"""Least share of a model's things that the rules found too."""
_STRONG = 0.8
"""Confidence from which the rules' word outweighs the model's."""
_GUESSED = 0.4
"""Confidence below which the rules only guessed that a text names anything at all."""
_PLAIN_TYPES = frozenset({"string", "text"})
_LIMITS = ("min", "max", "minLength", "maxLength", "unit", "precision", "scale")
_UNSET = ("1", "0..*")
Name = str
_OFTEN = 2
"""More things than this that have the same field, which the text does not name: a model's habit, not its reading."""
_USUAL = frozenset(name.replace(" ", "") for name in USUAL_FIELDS)
Pair = frozenset[Name]


def folded(name: str) -> Name:
    """Return a name without case and word borders, each word in the singular: what both drafts may write differently.

    >>> folded("DangerousGoods") == folded("dangerous_good")
    True
    """
    return "".join(singular(word) for word in split_words(name))


def confidence_of(part: Part) -> float:
    """Return how sure a draft is of one of its parts, 0 to 1; without evidence, half."""
    found: Sequence[Evidence] = getattr(part, "evidence", ())
    return max((evidence.confidence for evidence in found), default=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far a model's draft can be believed, measured against the text and the rules' draft."""

    grounding: float
    overlap: float

    @property
    def is_enough(self) -> bool:
        """Whether the model may add and drop anything."""
        return self.grounding >= TRUSTED_GROUNDING and self.overlap >= TRUSTED_OVERLAP


@dataclass(slots=True)
class Merged:
    """The merged draft, and what happened to the model's."""

    schema: DomainSchema
    trust: Trust
    added: int = 0
    """Things, fields and relationships that only the model found and that stand."""
    refused: int = 0
    """Those of the model that the text does not support."""
    warnings: list[str] = field(default_factory=list)


def without_guesses(schema: DomainSchema) -> DomainSchema:
    """Return what a draft has read, without the fields and relationships that are only usual for such things."""
    entities = tuple(
        changed(entity, fields=tuple(field for field in entity.fields if not _is_guessed(field)))
        for entity in schema.entities
    )
    links = tuple(link for link in schema.relationships if not _is_guessed(link))
    used = {field.enum for entity in entities for field in entity.fields}
    enums = tuple(enum for enum in schema.enums if enum.name in used)
    return changed(schema, entities=entities, relationships=links, enums=enums)


def _is_guessed(part: Field | Relationship) -> bool:
    return bool(part.evidence) and all(evidence.rule.startswith("default:") for evidence in part.evidence)


def measure_trust(rules: DomainSchema, model: DomainSchema) -> Trust:
    """Return how far a model's draft is supported by the text and by the rules' draft."""
    grounded = sum(confidence_of(entity) >= MENTIONED for entity in model.entities)
    known = {folded(entity.name) for entity in rules.entities if confidence_of(entity) >= _GUESSED}
    shared = sum(folded(entity.name) in known for entity in model.entities)
    total = len(model.entities) or 1
    return Trust(grounding=grounded / total, overlap=shared / total if known and model.entities else 1.0)


def merge_drafts(rules: DomainSchema, model: DomainSchema) -> Merged:
    """Return one literal draft made of that of the rules and that of a model.

    A model whose draft the text does not support changes nothing but confidence. The result obeys the schema's rules.
    """
    trust = measure_trust(rules, model)
    if not trust.is_enough:
        return _confirmed(rules, model, trust)
    merging = _Merging(rules, model, trust)
    schema, _ = salvage(merging.document())
    return Merged(schema=schema, trust=trust, added=merging.added, refused=merging.refused)


def _confirmed(rules: DomainSchema, model: DomainSchema, trust: Trust) -> Merged:
    claims = sum(1 + len(entity.fields) for entity in model.entities) + len(model.relationships)
    return Merged(
        schema=rules,
        trust=trust,
        refused=claims,
        warnings=["the model's draft is not supported by the description, so the offline draft stands"],
    )


def _kin(schema: DomainSchema) -> Mapping[str, set[str]]:
    """Return the names that each entity is related to, a kind of, or a parent of."""
    kin: defaultdict[str, set[str]] = defaultdict(set)
    links = [(link.source, link.target) for link in schema.relationships]
    kinds = [(entity.name, entity.extends) for entity in schema.entities if entity.extends is not None]
    for one, other in (*links, *kinds):
        kin[one].add(other)
        kin[other].add(one)
    return kin


class _Merging:
    """The decisions of one merge, in their order: things, fields, parents, relationships."""

    def __init__(self, rules: DomainSchema, model: DomainSchema, trust: Trust) -> None:
        self.rules, self.model = rules, model
        self.added = self.refused = 0
        self._ours = {folded(entity.name): entity for entity in rules.entities}
        self._theirs = {folded(entity.name): entity for entity in model.entities}
        self._enums = {enum.name: enum for enum in (*model.enums, *rules.enums)}
        self._read = any(confidence_of(entity) >= _GUESSED for entity in rules.entities)
        overlap = trust.overlap if self._read else 0.0
        self._things = _jury("thing", overlap, self._ours, self._theirs)
        self._field_jury = _jury("field", overlap, _owned(rules, self._theirs), _owned(model, self._ours))
        self._link_jury = _jury("link", overlap, _pairs(rules, self._theirs), _pairs(model, self._ours))
        self._supported = {entity.name for entity in model.entities if confidence_of(entity) >= RELATED}
        self._kin = _kin(model)
        self._kept = list(self._kept_things())
        self._names = {key: (self._ours.get(key) or self._theirs[key]).name for key in self._kept}
        self._parents = self._all_parents()
        self._owners = self._model_owners()
        self._strewn = Counter(folded(own.name) for other in model.entities for own in other.fields)
        for name in _USUAL:
            del self._strewn[name]

    def document(self) -> dict[str, Any]:
        """Return the merged document."""
        entities = [self._entity(key) for key in self._kept]
        used = {row.get("enum") for entity in entities for row in entity["fields"]}
        header = self.rules.header().to_document()
        rules = self.rules.rules or self.model.rules
        known = set(self._names.values())
        return {
            **header,
            "entities": entities,
            "enums": [enum.to_document() for name, enum in self._enums.items() if name in used],
            "relationships": list(self._relationships()),
            "rules": [rule.to_document() for rule in rules if rule.entity is None or rule.entity in known],
        }

    def _kept_things(self) -> Iterator[Name]:
        for key, entity in self._ours.items():
            if key in self._theirs or self._things.believes_rules(self._odds_of_thing(entity)):
                yield key
        for key, entity in self._theirs.items():
            if key in self._ours:
                continue
            is_good = self._things.believes_other(odds_of_claim(entity)) and self._hangs_on_text(entity)
            self.added += is_good
            self.refused += not is_good
            if is_good:
                yield key

    def _hangs_on_text(self, entity: Entity) -> bool:
        """Return whether the text supports a thing of the model, or another one that it is related to or a kind of."""
        if confidence_of(entity) >= RELATED or not self._read:
            return True
        return not self._supported.isdisjoint(self._kin.get(entity.name, ()))

    def _odds_of_thing(self, entity: Entity) -> float:
        """Return how much better than most a thing of the rules is supported: by fields, kinds and relationships."""
        if confidence_of(entity) < _GUESSED:
            return 0.05
        links = sum(entity.name in (link.source, link.target) for link in self.rules.relationships)
        kinds = sum(other.extends == entity.name for other in self.rules.entities) + (entity.extends is not None)
        bare = 0.3 if not entity.fields and not kinds and links < 2 else 1.0
        as_field = 0.3 if self._is_field_of_model(entity) and not entity.fields else 1.0
        return bare * as_field * (2.0 if entity.fields and confidence_of(entity) >= _STRONG else 1.0)

    def _is_field_of_model(self, entity: Entity) -> bool:
        """Return whether the model has a field where the rules have a thing: a book's publisher."""
        key = folded(entity.name)
        return any(key == folded(own.name) for other in self.model.entities for own in other.fields)

    def _model_owners(self) -> Mapping[Name, set[Name]]:
        owners: dict[Name, set[Name]] = {}
        for key, entity in self._theirs.items():
            for own in entity.fields:
                owners.setdefault(folded(own.name), set()).add(key)
        return owners

    def _entity(self, key: Name) -> dict[str, Any]:
        ours, theirs = self._ours.get(key), self._theirs.get(key)
        first = ours or theirs
        assert first is not None  # noqa: S101  # a kept thing is in one of the drafts
        document = {name: value for name, value in first.to_document().items() if name not in ("fields", "extends")}
        if key in self._parents:
            document["extends"] = self._names[self._parents[key]]
        if ours is not None and theirs is not None:
            document["evidence"] = joint_evidence(ours, theirs)
        document["fields"] = list(self._fields(key, ours, theirs))
        return document

    def _all_parents(self) -> dict[Name, Name]:
        """Return whose kind each thing is: by the rules, and by the model where that makes no circle."""
        parents: dict[Name, Name] = {}
        for drafts in (self._ours, self._theirs):
            for key, entity in drafts.items():
                above = folded(entity.extends) if entity.extends else ""
                is_new = key in self._names and key not in parents and above in self._names
                if is_new and not _is_above(key, above, parents):
                    parents[key] = above
        return parents

    def _fields(self, key: Name, ours: Entity | None, theirs: Entity | None) -> Iterator[dict[str, Any]]:
        own = {folded(part.name): part for part in (theirs.fields if theirs else ())}
        seen: set[Name] = set()
        for part in ours.fields if ours else ():
            name = folded(part.name)
            seen.add(name)
            if name in own:
                yield agreed_field(part, own[name])
            elif self._keeps_field(part, key, is_shared=theirs is not None):
                yield part.to_document()
        for name, part in own.items():
            if name not in seen and self._adds_field(part, name):
                yield part.to_document()

    def _keeps_field(self, part: Field, key: Name, *, is_shared: bool) -> bool:
        """Return whether a field of the rules stands that the model does not have there."""
        if not is_shared:
            return True
        others = self._owners.get(folded(part.name), set()) - {key}
        moved = 0.3 if others else 1.0  # the model saw it, and gave it to something else
        return self._field_jury.believes_rules(moved * (4.0 if confidence_of(part) >= _STRONG else 1.0))

    def _adds_field(self, part: Field, name: Name) -> bool:
        is_good = name not in self._names and self._field_jury.believes_other(odds_of_claim(part))
        is_good = is_good and not (confidence_of(part) < RELATED and self._strewn[name] > _OFTEN)
        self.added += is_good
        self.refused += not is_good
        return is_good

    def _relationships(self) -> Iterator[dict[str, Any]]:
        theirs: dict[Pair, list[Relationship]] = {}
        for link in self.model.relationships:
            theirs.setdefault(_pair(link), []).append(link)
        taken: set[str] = set()
        seen: set[Pair] = set()
        for link in self.rules.relationships:
            pair = _pair(link)
            if not pair <= self._names.keys() or not (pair in theirs or self._keeps_link(link)):
                continue
            seen.add(pair)
            taken.add(link.name)
            yield self._placed(agreed_link(link, theirs.get(pair, ())), link)
        for pair, links in theirs.items():
            if pair not in seen:
                yield from self._added_links(pair, links, taken)

    def _keeps_link(self, link: Relationship) -> bool:
        if not _pair(link) <= self._theirs.keys():
            return True
        return self._link_jury.believes_rules(2.0 if confidence_of(link) >= _STRONG else 1.0)

    def _added_links(self, pair: Pair, links: Iterable[Relationship], taken: set[str]) -> Iterator[dict[str, Any]]:
        for link in links:
            is_good = pair <= self._names.keys() and not self._is_kind(pair)
            is_good = is_good and self._link_jury.believes_other(odds_of_claim(link))
            self.added += is_good
            self.refused += not is_good
            if is_good:
                yield self._placed(link.to_document() | {"name": free_name(link.name, taken)}, link)

    def _is_kind(self, pair: Pair) -> bool:
        return any(self._parents.get(key, "") in pair - {key} for key in pair)

    def _placed(self, document: dict[str, Any], link: Relationship) -> dict[str, Any]:
        """Return a relationship between the merged names; what carried it and is gone carries it no more."""
        if link.through is not None and folded(link.through) not in self._names:
            del document["through"]
        ends = {"source": self._names[folded(link.source)], "target": self._names[folded(link.target)]}
        return document | ends


def _is_above(key: Name, start: Name, parents: Mapping[Name, Name]) -> bool:
    """Return whether a thing is among another one and its ancestors."""
    above: Name | None = start
    while above is not None and above != key:
        above = parents.get(above)
    return above is not None


def odds_of_claim(part: Part) -> float:
    """Return how much better than most a claim of the model is supported by the text.

    What the text does not support may be what an expert concludes from it, or made up.
    """
    confidence = confidence_of(part)
    return 2.0 if confidence >= QUOTED else 1.0 if confidence >= MENTIONED else 0.6 if confidence >= RELATED else 0.4


def _jury(kind: str, overlap: float, ours: Iterable[object], theirs: Iterable[object]) -> Jury:
    first, second = set(ours), set(theirs)
    return Jury(rules=rules_worth(kind, overlap), ours=len(first), theirs=len(second), shared=len(first & second))


def _owned(schema: DomainSchema, others: Collection[Name]) -> Iterator[tuple[Name, Name]]:
    """Yield owner and field of the things that both drafts have."""
    for entity in schema.entities:
        if folded(entity.name) in others:
            yield from ((folded(entity.name), folded(own.name)) for own in entity.fields)


def _pairs(schema: DomainSchema, others: Collection[Name]) -> Iterator[Pair]:
    """Yield the related pairs of things that both drafts have."""
    for link in schema.relationships:
        if _pair(link) <= set(others):
            yield _pair(link)


def _pair(link: Relationship) -> Pair:
    return frozenset((folded(link.source), folded(link.target)))


def joint_evidence(first: Part, second: Part) -> list[dict[str, Any]]:
    """Return the evidence of both; two that agree are surer than either."""
    found = [e.to_document() for part in (first, second) for e in getattr(part, "evidence", ())][:6]
    joint = 1 - (1 - confidence_of(first)) * (1 - confidence_of(second))
    return [{**evidence, "confidence": round(max(evidence.get("confidence", 0.0), joint), 4)} for evidence in found]


def agreed_field(ours: Field, theirs: Field) -> dict[str, Any]:
    """Return a field that both drafts have: the more precise type, every limit, optional if either says so."""
    document = ours.to_document()
    if _is_vaguer(ours, theirs):
        document = {name: value for name, value in document.items() if name not in ("type", "enum", "items")}
        document |= {name: value for name, value in theirs.to_document().items() if name in ("type", "enum", "items")}
    their_limits = theirs.to_document()
    if document["type"] == theirs.type:
        document |= {name: their_limits[name] for name in _LIMITS if name in their_limits and name not in document}
    document["required"] = ours.required and theirs.required
    if ours.unique or theirs.unique:
        document["unique"] = True
    return document | {"evidence": joint_evidence(ours, theirs)}


def _is_vaguer(ours: Field, theirs: Field) -> bool:
    """Return whether the model says more of a type: anything says more than text, and a closed list than one value."""
    if ours.type in ("enum", "list") or theirs.type == ours.type:
        return False
    return ours.type in _PLAIN_TYPES and theirs.type not in _PLAIN_TYPES


def agreed_link(ours: Relationship, others: Sequence[Relationship]) -> dict[str, Any]:
    """Return a relationship that both drafts have: an end that the rules only assumed is taken from the model."""
    document = ours.to_document()
    if not others:
        return document
    theirs = others[0]
    flipped = folded(theirs.source) != folded(ours.source)
    source, target = theirs.source_cardinality, theirs.target_cardinality
    if flipped:
        source, target = target, source
    if (ours.source_cardinality, ours.target_cardinality) == _UNSET and confidence_of(ours) < _STRONG:
        document |= {"sourceCardinality": source, "targetCardinality": target}
    if ours.kind == "association" and theirs.kind != "association" and not flipped:
        document["kind"] = theirs.kind
    return document | {"evidence": joint_evidence(ours, theirs)}
