"""Facts to a schema: the decisions in their order, then the document.

Knows every step of the room but no sentence; the result always passes the schema's own rules.
"""

from collections.abc import Sequence
from typing import Any

from schemawire.analysis.analyser import AnalysisOptions
from schemawire.analysis.deciding import decide, is_parsed_prose
from schemawire.analysis.defaults import infer_fields, infer_links
from schemawire.analysis.drafting import EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import Fact, KindFact, NameFact, RuleFact, Source
from schemawire.analysis.fields import add_properties, apply_constraints
from schemawire.analysis.joins import add_join_references, join_through_entities, split_at_joins
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.links import add_relations, complete_quantities, link_names, merge_links
from schemawire.analysis.naming import camel_case, pascal_case
from schemawire.analysis.selection import select_entities
from schemawire.analysis.synonyms import merge_synonyms
from schemawire.analysis.technical import add_keys, add_reference_fields, add_timestamps, drop_inherited
from schemawire.analysis.weighing_ends import decide_ends
from schemawire.schema.model import DomainSchema

_MAX_EVIDENCE = 5
_MAX_EVIDENCE_LENGTH = 2_000
_MAX_DESCRIPTION = 20_000
_MAX_RULES = 200


def build_draft(facts: Sequence[Fact], lexicon: Lexicon, options: AnalysisOptions) -> SchemaDraft:
    """Return the draft that facts amount to under the given options."""
    draft, facts = draft_statements(facts, lexicon, options)
    if is_parsed_prose(facts):
        decide_ends(facts, draft)
    if options.join_entities:
        join_through_entities(draft)
    else:
        split_at_joins(draft)
    _add_technical(draft)
    draft.rules = [fact for fact in facts if isinstance(fact, RuleFact)]
    return draft


def draft_statements(
    facts: Sequence[Fact], lexicon: Lexicon, options: AnalysisOptions
) -> tuple[SchemaDraft, Sequence[Fact]]:
    """Return entities, fields and links as the facts state them, and the facts under the entities' names."""
    draft = SchemaDraft(lexicon, options)
    draft.name_words = next((fact.words for fact in facts if isinstance(fact, NameFact)), ())
    judged = is_parsed_prose(facts)
    if judged:
        facts = decide(facts, draft)
    else:
        facts = merge_synonyms(facts, lexicon)
        select_entities(facts, draft)
    _set_parents(facts, draft)
    add_properties(facts, draft)
    add_relations(facts, draft)
    apply_constraints(facts, draft)
    if options.infer and not judged:
        infer_links(draft)
        infer_fields(draft)
    merge_links(draft)
    complete_quantities(draft)
    return draft, facts


def _set_parents(facts: Sequence[Fact], draft: SchemaDraft) -> None:
    for fact in facts:
        if isinstance(fact, KindFact) and fact.child in draft.entities and fact.parent in draft.entities:
            child = draft.entities[fact.child]
            if child.parent is None and not _would_circle(draft, fact):
                child.parent = fact.parent


def _would_circle(draft: SchemaDraft, fact: KindFact) -> bool:
    ancestor = draft.entities[fact.parent]
    if fact.child == fact.parent:
        return True
    while ancestor.parent is not None:
        if ancestor.parent == fact.child:
            return True
        ancestor = draft.entities[ancestor.parent]
    return False


def _add_technical(draft: SchemaDraft) -> None:
    options = draft.options
    if options.add_keys:
        add_keys(draft)
        if options.foreign_keys:
            add_reference_fields(draft)
            add_join_references(draft)
    if options.add_timestamps:
        add_timestamps(draft)
    drop_inherited(draft)


def to_schema(draft: SchemaDraft, text: str) -> DomainSchema:
    """Return a draft as a schema whose evidence quotes the text."""
    enums: list[dict[str, Any]] = []
    taken = {entity.name for entity in draft.entities.values()}
    entities = [_entity(entity, draft, text, enums, taken) for entity in draft.entities.values()]
    names = link_names(draft)
    relationships = [_relationship(link, name, draft, text) for link, name in zip(draft.links, names, strict=True)]
    document = {
        "formatVersion": "1", "name": _schema_name(draft), "description": text[:_MAX_DESCRIPTION],
        "entities": entities, "enums": enums, "relationships": relationships, "rules": _rules(draft, text),
    }  # fmt: skip
    return DomainSchema.model_validate(document)


def _schema_name(draft: SchemaDraft) -> str:
    if draft.options.schema_name:
        return draft.options.schema_name
    words = draft.name_words or next(iter(draft.entities), ("domain",))
    return camel_case(words) or "domain"


def _entity(
    entity: EntityDraft, draft: SchemaDraft, text: str, enums: list[dict[str, Any]], taken: set[str]
) -> dict[str, Any]:
    document: dict[str, Any] = {"name": entity.name}
    if entity.kind != "entity":
        document["kind"] = entity.kind
    if entity.parent is not None:
        document["extends"] = draft.entities[entity.parent].name
    fields = [
        _field(key, field, entity, draft, text=text, enums=enums, taken=taken) for key, field in entity.fields.items()
    ]
    return {**document, "fields": fields, "evidence": _evidence(entity.sources, text)}


def _field(
    key: str,
    field: FieldDraft,
    entity: EntityDraft,
    draft: SchemaDraft,
    *,
    text: str,
    enums: list[dict[str, Any]],
    taken: set[str],
) -> dict[str, Any]:
    kind: str = "enum" if field.values else field.type
    document: dict[str, Any] = {"name": key, "type": "list" if field.many else kind, "required": field.required}
    if field.many:
        document["items"] = kind
    elif not field.values:
        document |= field.limits
    if field.values:
        name = _enum_name(field, entity, draft, taken)
        document["enum"] = name
        sources = [field.source] if field.source else []
        enums.append({"name": name, "values": list(field.values), "evidence": _evidence(sources, text)})
    document |= {name: True for name, is_set in (("unique", field.unique), ("sensitive", field.sensitive)) if is_set}
    if field.source is not None:
        document["evidence"] = _evidence([field.source], text)
    return document | field.extra


def _enum_name(field: FieldDraft, entity: EntityDraft, draft: SchemaDraft, taken: set[str]) -> str:
    """Name an enum after its field: with its owner where the field's name alone tells nothing ("status")."""
    own = [*entity.words, *field.words]
    vague = len(field.words) == 1 and draft.lexicon.grammar.is_in(field.words[0], "vague_states")
    name = pascal_case(own if vague else field.words)
    name = pascal_case(own) if name in taken else name
    while name in taken:
        name += "Value"
    taken.add(name)
    return name


def _relationship(link: LinkDraft, name: str, draft: SchemaDraft, text: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": name,
        "source": draft.entities[link.source].name,
        "target": draft.entities[link.target].name,
        "kind": link.kind,
        "sourceCardinality": link.source_quantity.cardinality() if link.source_quantity else "1",
        "targetCardinality": link.target_quantity.cardinality() if link.target_quantity else "0..*",
        "evidence": _evidence(link.evidence, text),
    }
    if link.through is not None:
        document["through"] = draft.entities[link.through].name
    return document | _roles(link)


def _rules(draft: SchemaDraft, text: str) -> list[dict[str, Any]]:
    rules: dict[str, dict[str, Any]] = {}
    for fact in draft.rules[:_MAX_RULES]:
        name = camel_case(fact.name) or "rule"
        while name in rules:
            name += "Again"
        said = text[fact.source.start : fact.source.end][:_MAX_EVIDENCE_LENGTH]
        evidence = _evidence([fact.source], text)
        rules[name] = {"name": name, **_demand(fact, draft), "message": said, "evidence": evidence}
    return list(rules.values())


def _demand(fact: RuleFact, draft: SchemaDraft) -> dict[str, Any]:
    """Return the kind of a rule, with its expression where both fields that it compares are there."""
    if fact.nature != "check":
        return {"kind": fact.nature}
    first, second = draft.field_key(fact.first), draft.field_key(fact.second)
    about = sorted(draft.entities.values(), key=lambda entity: entity.words != fact.about)
    owner = next((entity for entity in about if first in entity.fields and second in entity.fields), None)
    if owner is None:
        return {"kind": "text"}
    return {"kind": "check", "entity": owner.name, "expression": f"{first} {fact.sign} {second}"}


def _roles(link: LinkDraft) -> dict[str, str]:
    """Name the ends as the reference field does, so that it is clear which relationship the field carries."""
    roles = {"targetRole": camel_case(link.role)} if link.role else {}
    if link.referenced_end == "source" and link.reference_role != link.source:
        roles["sourceRole"] = camel_case(link.reference_role)
    elif link.referenced_end == "target" and link.reference_role != link.target:
        roles["targetRole"] = camel_case(link.reference_role)
    return roles


def _evidence(sources: Sequence[Source], text: str) -> list[dict[str, Any]]:
    found = []
    for source in list(dict.fromkeys(sources))[:_MAX_EVIDENCE]:
        end = min(source.end, source.start + _MAX_EVIDENCE_LENGTH)
        found.append(
            {"start": source.start, "end": end, "text": text[source.start : end], "analyser": _analyser(source),
             "rule": source.rule.removeprefix("parser:"), "confidence": source.confidence}
        )  # fmt: skip
    return found


def _analyser(source: Source) -> str:
    return "parser" if source.rule.startswith("parser:") else "patterns"
