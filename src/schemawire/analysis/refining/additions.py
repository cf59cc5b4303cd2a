"""What a sentence adds to a schema: the analyser reads it, and what the schema has already is left out.

Knows the offline analyser and the habits of a schema: keys, timestamps, the case of fields, reference fields.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from schemawire.analysis.analyser import AnalysisOptions
from schemawire.analysis.naming import camel_case, plural, split_words
from schemawire.analysis.offline import OfflineAnalyser
from schemawire.analysis.refining.names import Names, Target, folded
from schemawire.analysis.refining.proposals import NotUnderstood, Step
from schemawire.errors import SchemaInvalid
from schemawire.schema.edits import changed
from schemawire.schema.model import (
    DomainSchema,
    Entity,
    Enum,
    Field,
    Reference,
    Relationship,
    cardinality_bounds,
)
from schemawire.schema.operations import Create, Delete, Operation, Update

_GUESSES = ("default:", "single-phrase")


def habits_of(schema: DomainSchema) -> AnalysisOptions:
    """Return the options that lead to what a schema looks like already; the usual ones for an empty schema."""
    fields = [field for entity in schema.entities for field in entity.fields]
    if not fields:
        return AnalysisOptions()
    has_keys = any(field.primary_key for field in fields)
    return AnalysisOptions(
        field_case="camel" if any(not field.name.islower() for field in fields) else "snake",
        add_keys=has_keys,
        add_timestamps=any(field.generated == "update" for field in fields),
        foreign_keys=any(field.references for field in fields) or not schema.relationships,
    )


def read_addition(text: str, schema: DomainSchema, analyser: OfflineAnalyser) -> Step:
    """Return the operations that add what a sentence says.

    Raises:
        NotUnderstood: the analyser reads nothing in it that is about this schema.
    """
    options = habits_of(schema)
    text = _in_context(text, schema)
    try:
        literal = analyser.analyze_text(text, options=replace(options, infer=False, add_timestamps=False)).schema
        full = analyser.analyze_text(text, options=options).schema
    except SchemaInvalid as error:
        raise NotUnderstood(error.message) from error
    if all(_is_guess(entity) for entity in literal.entities):
        raise NotUnderstood("nothing in it could be read as a statement about the domain")
    addition = _Addition(schema, literal, full, options)
    operations = tuple(addition.operations())
    if not operations and not addition.known:
        raise NotUnderstood("nothing in it is about this schema")
    return Step(operations=operations, explanation=addition.explanation())


def _in_context(text: str, schema: DomainSchema) -> str:
    """Return a sentence behind the names of the things it speaks of, so that it is read as being about them."""
    things = [" ".join((*words[:-1], plural(words[-1]))) for words in
              (split_words(entity.name) for entity in Names(schema).mentioned(text))]  # fmt: skip
    return f"Create an app with {' and '.join(things)}. {text}" if things else text


def _is_guess(entity: Entity) -> bool:
    return all(evidence.rule.startswith(_GUESSES) for evidence in entity.evidence)


class _Addition:
    """The difference between a schema and what one sentence says of it.

    Args:
        schema: as it is.
        literal: what the sentence says.
        full: the same with what is usual, for things that are new.
        options: the schema's habits.
    """

    def __init__(
        self, schema: DomainSchema, literal: DomainSchema, full: DomainSchema, options: AnalysisOptions
    ) -> None:
        self._schema, self._literal, self._full, self._options = schema, literal, full, options
        self._names = Names(schema)
        self._new: dict[str, str] = {}
        self._said: list[str] = []
        self.known: list[str] = []
        """What the sentence says and the schema has already."""

    def explanation(self) -> str:
        """Return in words what is added, or that it is there already."""
        if not self._said and self.known:
            return f"Nothing to do: {', '.join(dict.fromkeys(self.known))} is there already."
        return "; ".join(self._said) + "." if self._said else ""

    def operations(self) -> Iterator[Operation]:
        """Yield what to do, things before what refers to them."""
        for entity in self._literal.entities:
            if self._names.entity(entity.name) is None:
                self._new[entity.name] = entity.name
        for entity in self._full.entities:
            if entity.name in self._new:
                yield from self._new_entity(entity)
        for entity in self._literal.entities:
            known = self._names.entity(entity.name)
            if known is not None:
                yield from self._grown_entity(known, entity)
        usual = {(link.source, link.target, link.name): link for link in self._full.relationships}
        for link in self._literal.relationships:
            yield from self._link(usual.get((link.source, link.target, link.name), link))
        yield from self._rules()

    def _rules(self) -> Iterator[Operation]:
        taken = {rule.name for rule in self._schema.rules}
        for rule in self._literal.rules:
            if rule.name in taken:
                self.known.append(rule.name)
            else:
                self._said.append(f"note the rule {rule.name}")
                yield Create(target="rule", part=rule)

    def _new_entity(self, entity: Entity) -> Iterator[Operation]:
        fields = tuple(field for field in entity.fields if field.references is None)
        self._said.append(f"add the entity {entity.name}")
        children = [self._names.entity(said.name) for said in self._literal.entities if said.extends == entity.name]
        owned = {folded(field.name) for child in children if child is not None for field in child.fields}
        fields = tuple(field for field in fields if folded(field.name) not in owned)  # it could not inherit those
        entity = changed(entity, kind="abstract") if owned else entity
        yield from self._enums(fields, self._full)
        parent = self._names.entity(entity.extends) if entity.extends else None
        extends = parent.name if parent is not None else entity.extends
        yield Create(target="entity", part=changed(entity, fields=fields, **({"extends": extends} if extends else {})))

    def _grown_entity(self, known: Entity, said: Entity) -> Iterator[Operation]:
        for field in said.fields:
            if field.primary_key or field.references is not None:
                continue
            there = self._names.find(f"{known.name}.{field.name}")
            if there:
                self.known.append(there[0].path)
                yield from self._tightened(there[0], field)
            else:
                self._said.append(f"add {field.name} to {known.name}")
                yield from self._enums((field,), self._literal)
                yield Create(target="field", entity=known.name, part=field)
        parent = self._names.entity(said.extends) if said.extends else None
        above = parent.name if parent is not None else said.extends
        if above is not None and known.extends != above:
            self._said.append(f"make {known.name} a kind of {above}")
            yield Update(target="entity", name=known.name, patch={"extends": above})

    def _tightened(self, target: Target, said: Field) -> Iterator[Operation]:
        """Yield what a sentence says newly of a field that is there: its limits, or that it is unique."""
        field = self._names.field(target)
        if said.type == "list" and field is not None and field.type not in ("list", "enum"):
            self._said.append(f"let {target.path} hold several")
            patch: dict[str, Any] = {"type": "list", "items": field.type, "maxLength": None, "unique": None}
            yield Update(target="field", name=target.name, entity=target.entity, patch=patch)
            return
        patch = {
            name: value
            for name, value in said.to_document().items()
            if name in ("min", "max", "maxLength", "minLength", "unique") and field is not None
            and field.type == said.type and field.to_document().get(name) != value
        }  # fmt: skip
        if patch and target.entity is not None:
            self._said.append(f"limit {target.path}")
            yield Update(target="field", name=target.name, entity=target.entity, patch=patch)

    def _enums(self, fields: tuple[Field, ...], source: DomainSchema) -> Iterator[Operation]:
        used = {field.enum for field in fields if field.enum}
        taken = {element.name for element in self._schema.elements()}
        for enum in source.enums:
            if enum.name in used and enum.name not in taken:
                yield Create(target="enum", part=enum)

    def _name_of(self, name: str) -> str:
        known = self._names.entity(name)
        return known.name if known is not None else name

    def _link(self, link: Relationship) -> Iterator[Operation]:
        source, target = self._name_of(link.source), self._name_of(link.target)
        link = changed(link, source=source, target=target)
        between = [old for old in self._schema.relationships if {old.source, old.target} == {source, target}]
        plain = [old for old in between if not old.through]
        is_about_same = len(plain) == 1 and (_is_plain(link) or folded(plain[0].name) == folded(link.name))
        if is_about_same and source != target:
            yield from self._changed_ends(plain[0], link)
            return
        if any(folded(old.name) == folded(link.name) for old in between):
            self.known.append(link.name)
            return
        taken = {old.name for old in self._schema.relationships}
        is_told = folded(target) in folded(link.name)
        longer = camel_case([*split_words(source), *split_words(link.name)])
        wanted = [link.name, *([] if is_told else [f"{link.name}{target}"]), longer]
        name = next(name for name in (*wanted, *(f"{longer}{n}" for n in range(2, 1000))) if name not in taken)
        link = changed(link, name=name)
        self._said.append(
            f"relate {source} to {target} ({name}, {link.source_cardinality} to {link.target_cardinality})"
        )
        yield Create(target="relationship", part=link)
        yield from self._reference(link)

    def _reference(self, link: Relationship) -> Iterator[Operation]:
        """Yield the field that carries a new relationship, as the analyser would add it, under a free name."""
        made = self._full if self._full.relationships else self._literal
        for entity in made.entities:
            for field in entity.fields:
                owner = self._name_of(entity.name)
                if field.references is None or {owner, self._name_of(field.references.entity)} != {
                    link.source,
                    link.target,
                }:
                    continue
                points = Reference(entity=self._name_of(field.references.entity), field=field.references.field)
                known = self._names.schema_entity(owner)
                if known is None or known.field(field.name) is None:
                    yield Create(target="field", entity=owner, part=changed(field, references=points))

    def _changed_ends(self, old: Relationship, said: Relationship) -> Iterator[Operation]:
        """Yield the change of the end that a sentence speaks of; the other one stays."""
        is_flipped = old.source != said.source
        end = "sourceCardinality" if is_flipped else "targetCardinality"
        before = old.source_cardinality if is_flipped else old.target_cardinality
        wanted, present = cardinality_bounds(said.target_cardinality), cardinality_bounds(before)
        at_least = wanted[0] > 0 and wanted[1] is None and present[0] >= wanted[0]
        if wanted == present or at_least:
            self.known.append(f"{old.source} {old.name} {old.target}")
            return
        self._said.append(f"let one {said.source} have {said.target_cardinality} {said.target}")
        patch = {end: said.target_cardinality}
        yield Update(target="relationship", name=old.name, patch=patch)
        yield from carriers_after(self._schema, changed_link(old, patch), self._options)


def _is_plain(link: Relationship) -> bool:
    return split_words(link.name)[0] in ("has", "have", "belongs", "belong", "contains", "includes")


def changed_link(link: Relationship, patch: dict[str, str]) -> Relationship:
    """Return a relationship with other ends."""
    return changed(
        link,
        source_cardinality=patch.get("sourceCardinality", link.source_cardinality),
        target_cardinality=patch.get("targetCardinality", link.target_cardinality),
    )


def carrying_fields(schema: DomainSchema, link: Relationship) -> list[tuple[Entity, Field]]:
    """Return the fields that carry a relationship: references between its ends, by its role where it has one."""
    found = [
        (entity, field)
        for entity in schema.entities
        for field in entity.fields
        if field.references is not None
        and (entity.name, field.references.entity) in ((link.source, link.target), (link.target, link.source))
    ]
    roles = {folded(f"{role}_id") for role in (link.source_role, link.target_role) if role}
    named = [(entity, field) for entity, field in found if folded(field.name) in roles]
    shared = [other for other in schema.relationships if {other.source, other.target} == {link.source, link.target}]
    return named or (found if len(shared) == 1 else [])


def carriers_after(schema: DomainSchema, link: Relationship, options: AnalysisOptions) -> Iterator[Operation]:
    """Yield what becomes of the reference fields of a relationship whose ends have changed."""
    source, target = cardinality_bounds(link.source_cardinality), cardinality_bounds(link.target_cardinality)
    many = {link.source: source[1] != 1, link.target: target[1] != 1}
    carried = carrying_fields(schema, link)
    for entity, field in carried:
        far = field.references.entity if field.references else ""
        if many.get(far, False):
            yield Delete(target="field", name=field.name, entity=entity.name)
        else:
            yield from _required(entity, field, (source if far == link.source else target)[0] > 0)
    kept = [entity for entity, field in carried if field.references and not many.get(field.references.entity, False)]
    if not kept and options.add_keys and options.foreign_keys and not all(many.values()):
        near, far = (link.source, link.target) if many[link.source] else (link.target, link.source)
        low = (source if far == link.source else target)[0]
        name = "_".join((*split_words(far), "id"))
        name = name if options.field_case == "snake" else "".join((name[0], *name.title().replace("_", "")[1:]))
        part = Field(name=name, type="uuid", required=low > 0, references=Reference(entity=far))
        yield Create(target="field", entity=near, part=part)


def _required(entity: Entity, field: Field, required: bool) -> Iterator[Operation]:
    if field.required != required:
        yield Update(target="field", name=field.name, entity=entity.name, patch={"required": required})


def enum_named(schema: DomainSchema, name: str) -> Enum | None:
    """Return the enum of exactly that name."""
    return next((enum for enum in schema.enums if enum.name == name), None)
