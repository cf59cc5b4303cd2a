"""A literal schema to one with what a developer expects: keys, references, timestamps, usual fields, join entities.

Knows the steps that the offline analyser takes; knows no sentence, so that a draft from elsewhere gets the same.
"""

from typing import Any

from schemawire.analysis.analyser import AnalysisOptions
from schemawire.analysis.build import to_schema
from schemawire.analysis.defaults import infer_fields, infer_links
from schemawire.analysis.drafting import EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName, Source
from schemawire.analysis.joins import add_join_references, join_through_entities
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.links import complete_quantities
from schemawire.analysis.naming import free_name, split_words
from schemawire.analysis.plain_lists import without_enums
from schemawire.analysis.quantifiers import Quantity
from schemawire.analysis.technical import add_keys, add_reference_fields, add_timestamps, drop_inherited
from schemawire.schema.expressions import rename_paths
from schemawire.schema.model import DomainSchema, Entity, Enum, Field, Part, Relationship, Rule, cardinality_bounds

_LIMITS = ("min", "max", "minLength", "maxLength", "precision", "scale", "unit", "pattern")
_PARTICLES = frozenset({"to", "in", "for", "on", "at", "with", "from", "under", "by", "of"})


def complete(schema: DomainSchema, text: str, lexicon: Lexicon, options: AnalysisOptions) -> DomainSchema:
    """Return a literal schema with everything that the options add, named in their case."""
    draft = SchemaDraft(lexicon, options)
    draft.name_words = tuple(split_words(schema.name))
    enums = {enum.name: enum for enum in schema.enums}
    words = {entity.name: tuple(split_words(entity.name)) for entity in schema.entities}
    for entity in schema.entities:
        draft.entities[words[entity.name]] = _entity(entity, words, enums, draft)
    given = {id(link): name for link, name in _links(schema, words, draft)}
    if options.infer:
        infer_links(draft)
        infer_fields(draft)
    complete_quantities(draft)
    if options.join_entities:
        join_through_entities(draft)
    _add_technical(draft)
    completed = _named_as_given(to_schema(draft, text), schema, draft, given)
    return completed if options.enums else without_enums(completed)


def _add_technical(draft: SchemaDraft) -> None:
    options = draft.options
    if options.add_keys:
        add_keys(draft)
    if options.add_keys and options.foreign_keys:
        add_reference_fields(draft)
        add_join_references(draft)
    if options.add_timestamps:
        add_timestamps(draft)
    drop_inherited(draft)


def _entity(entity: Entity, words: dict[str, EntityName], enums: dict[str, Enum], draft: SchemaDraft) -> EntityDraft:
    made = EntityDraft(words=words[entity.name], sources=_sources(entity), kind=entity.kind)
    made.parent = words.get(entity.extends or "")
    for field in entity.fields:
        drafted = _field(field, enums)
        made.fields[draft.field_key(drafted.words)] = drafted
    return made


def _field(field: Field, enums: dict[str, Enum]) -> FieldDraft:
    document = field.to_document()
    enum = enums.get(field.enum or "")
    kind = field.items if field.type == "list" else field.type
    return FieldDraft(
        words=tuple(split_words(field.name)), type=kind or "string", source=_sources(field)[0], required=field.required,
        unique=field.unique, sensitive=field.sensitive, many=field.type == "list",
        limits={name: document[name] for name in _LIMITS if name in document},
        values=enum.values if enum is not None else (),
    )  # fmt: skip


def _sources(part: Part) -> list[Source]:
    evidence = getattr(part, "evidence", ())
    found = [Source(e.start, e.end, f"{e.analyser}:{e.rule}", e.confidence) for e in evidence]
    return found or [Source(0, 0, "model:", 0.5)]


def _links(schema: DomainSchema, words: dict[str, EntityName], draft: SchemaDraft) -> list[tuple[LinkDraft, str]]:
    made = []
    for link in schema.relationships:
        verb, particle = _verb(link, draft.lexicon)
        drafted = LinkDraft(
            source=words[link.source], target=words[link.target], verb=verb, evidence=_sources(link),
            particle=particle, kind=link.kind, source_quantity=_quantity(link.source_cardinality),
            target_quantity=_quantity(link.target_cardinality), role=tuple(split_words(link.target_role or "")),
            through=words.get(link.through or ""),
        )  # fmt: skip
        draft.links.append(drafted)
        made.append((drafted, link.name))
    return made


def _verb(link: Relationship, lexicon: Lexicon) -> tuple[str, str]:
    """Return the verb and the particle of a relationship's name: `belongsTo` is "belong" and "to"."""
    words = split_words(link.name) or ["have"]
    form = lexicon.verbs.forms.get(words[0])
    lemma = "have" if words[0] == "has" else form.lemma if form is not None else words[0]
    return lemma, words[1] if len(words) > 1 and words[1] in _PARTICLES else ""


def _quantity(cardinality: str) -> Quantity:
    low, high = cardinality_bounds(cardinality)
    return Quantity(low, high, "stated")


def _named_as_given(
    made: DomainSchema, literal: DomainSchema, draft: SchemaDraft, given: dict[int, str]
) -> DomainSchema:
    """Return the schema with the literal one's relationship names, rules and evidence."""
    document = made.to_document()
    taken = {given[id(link)] for link in draft.links if id(link) in given}
    for row, link in zip(document["relationships"], draft.links, strict=True):
        own = given.get(id(link))
        row["name"] = own or free_name(row["name"], taken)
    entities = {entity.name: entity for entity in literal.entities}
    for row in document["entities"]:
        _restore_evidence(row, entities.get(row["name"]))
    _restore_links(document["relationships"], literal)
    document["rules"] = [_rule(rule, draft) for rule in literal.rules]
    return DomainSchema.model_validate(document)


def _rule(rule: Rule, draft: SchemaDraft) -> dict[str, Any]:
    """Return a rule whose expression names fields in the draft's case."""
    document = rule.to_document()
    if rule.expression is not None:
        document["expression"] = rename_paths(
            rule.expression, lambda parts: (*parts[:-1], draft.field_key(tuple(split_words(parts[-1]))))
        )
    return document


def _restore_evidence(row: dict[str, Any], entity: Entity | None) -> None:
    if entity is None:
        return
    row["evidence"] = [evidence.to_document() for evidence in entity.evidence]
    fields = {tuple(split_words(field.name)): field for field in entity.fields}
    for inner in row["fields"]:
        field = fields.get(tuple(split_words(inner["name"])))
        if field is not None:
            inner["evidence"] = [evidence.to_document() for evidence in field.evidence]


def _restore_links(rows: list[dict[str, Any]], literal: DomainSchema) -> None:
    links = {link.name: link for link in literal.relationships}
    for row in rows:
        if row["name"] in links:
            row["evidence"] = [evidence.to_document() for evidence in links[row["name"]].evidence]
