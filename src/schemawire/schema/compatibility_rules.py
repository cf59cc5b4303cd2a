"""Whom a difference between two schemas breaks: one rule per code, each judged on what the difference means.

Knows nothing of modes, nor of versions.
"""

from collections.abc import Callable, Iterator, Mapping

from schemawire.schema.affected import heirs
from schemawire.schema.compare import Difference
from schemawire.schema.compatibility_effects import Effect, as_sets
from schemawire.schema.compatibility_fields import FIELD_RULES, Sight, field_effect, presence
from schemawire.schema.model import FREE_RULE_KINDS, Entity, Field, Index, Rule, cardinality_bounds
from schemawire.schema.rules import fields_of
from schemawire.schema.view import SchemaView

EffectRule = Callable[[Difference, Sight], Effect]


def effect_of(difference: Difference, sight: Sight) -> Effect:
    """Return whom a difference breaks; one that no rule knows is taken to break everybody."""
    rule = EFFECT_RULES.get(difference.code)
    return Effect.OTHER if rule is None else rule(difference, sight)


def _always(effect: Effect) -> EffectRule:
    return lambda difference, sight: effect


_NONE, _OTHER = _always(Effect.NONE), _always(Effect.OTHER)


# Fields


def _field_changed(option: str) -> EffectRule:
    rule = FIELD_RULES[option]

    def judge(difference: Difference, sight: Sight) -> Effect:
        old, new = _field(sight.old, difference.path), _field(sight.new, difference.path)
        return Effect.OTHER if old is None or new is None else rule(old, new, sight)

    return judge


def _field(view: SchemaView, path: str) -> Field | None:
    owner, _, name = path.partition(".")
    entity = view.get("entity", owner)
    return entity.field(name) if isinstance(entity, Entity) else None


def _field_added(difference: Difference, sight: Sight) -> Effect:
    owner, _, name = difference.path.partition(".")
    added = _field(sight.new, difference.path)
    total = Effect.NONE
    for carrier in _carriers(sight.new, owner):
        fields = fields_of(sight.old, carrier)
        if added is not None and fields is not None:  # an entity that is new itself asks nothing of anybody
            total |= _kept_or(fields.get(name), added, sight)
    return total


def _field_removed(difference: Difference, sight: Sight) -> Effect:
    owner, _, name = difference.path.partition(".")
    removed = _field(sight.old, difference.path)
    total = Effect.NONE
    for carrier in _carriers(sight.old, owner):
        fields = fields_of(sight.new, carrier)
        if removed is not None and fields is not None:
            total |= _kept_or(removed, fields.get(name), sight)
    return total


def _kept_or(old: Field | None, new: Field | None, sight: Sight) -> Effect:
    """Return the effect of a field that moved along the line of inheritance; else that of its coming or going."""
    if old is not None and new is not None:
        return field_effect(old, new, sight)
    identity = Effect.OTHER if any(field is not None and field.primary_key for field in (old, new)) else Effect.NONE
    return presence(old, new) | identity


def _carriers(view: SchemaView, name: str) -> Iterator[str]:
    """Yield the entities whose records have the fields of this one: itself unless it is abstract, and its heirs."""
    for carrier in (name, *heirs(view, name)):
        entity = view.get("entity", carrier)
        if isinstance(entity, Entity) and entity.kind != "abstract":
            yield carrier


# Entities

_IDENTITY_FREE = frozenset({"entity", "association"})


def _entity_kind(difference: Difference, sight: Sight) -> Effect:
    before, after = difference.before or "entity", difference.after or "entity"
    if {before, after} <= _IDENTITY_FREE:
        return Effect.NONE
    if "valueObject" in (before, after):
        return Effect.OTHER
    return as_sets(narrower=after == "abstract", wider=before == "abstract")


def _extends(difference: Difference, sight: Sight) -> Effect:
    old, new = (fields_of(view, difference.path) or {} for view in (sight.old, sight.new))
    own = {field.name for view in (sight.old, sight.new) for field in _own_fields(view, difference.path)}
    total = Effect.NONE if difference.before is None else Effect.READERS  # it is no longer a kind of what it was
    for name in (old.keys() | new.keys()) - own:
        total |= _kept_or(old.get(name), new.get(name), sight)
    return total


def _own_fields(view: SchemaView, name: str) -> tuple[Field, ...]:
    entity = view.get("entity", name)
    return entity.fields if isinstance(entity, Entity) else ()


# Enums


def _enum_value(effect: Effect) -> EffectRule:
    def judge(difference: Difference, sight: Sight) -> Effect:
        name = difference.path.partition(".")[0]
        return effect if any(_takes_values(view, name) for view in (sight.old, sight.new)) else Effect.NONE

    return judge


def _takes_values(view: SchemaView, name: str) -> bool:
    return any(True for _ in view.referrers(name))


# Relationships


def _relationship_added(difference: Difference, sight: Sight) -> Effect:
    ends = difference.after or {}
    needs_source = cardinality_bounds(ends.get("sourceCardinality", "1"))[0] > 0
    needs_target = cardinality_bounds(ends.get("targetCardinality", "0..*"))[0] > 0
    had_target, had_source = (sight.old.get("entity", ends[end]) is not None for end in ("target", "source"))
    return as_sets(narrower=(needs_source and had_target) or (needs_target and had_source), wider=False)


def _cardinality(difference: Difference, sight: Sight) -> Effect:
    (low, high), (new_low, new_high) = cardinality_bounds(difference.before), cardinality_bounds(difference.after)
    top, new_top = (float("inf") if bound is None else bound for bound in (high, new_high))
    return as_sets(narrower=new_low > low or new_top < top, wider=new_low < low or new_top > top)


def _role(difference: Difference, sight: Sight) -> Effect:
    return Effect.NONE if difference.before is None else Effect.READERS | Effect.WRITERS


# Rules and indexes

_ON_CHANGE = frozenset({"transition"})
"""Kinds of rules that limit what may be done, not what may be stored."""


def _binds(kind: str) -> Effect:
    """Return the effect of beginning to obey a rule of this kind."""
    if kind in FREE_RULE_KINDS:
        return Effect.NONE
    return Effect.WRITERS if kind in _ON_CHANGE else Effect.NARROWER


def _frees(kind: str) -> Effect:
    return Effect.NONE if kind in FREE_RULE_KINDS or kind in _ON_CHANGE else Effect.WIDER


def _rule_added(difference: Difference, sight: Sight) -> Effect:
    owner = difference.after.get("entity") or difference.path.rpartition(".")[0]
    is_about_new = bool(owner) and sight.old.get("entity", owner) is None
    return Effect.NONE if is_about_new else _binds(difference.after["kind"])


def _rule_removed(difference: Difference, sight: Sight) -> Effect:
    return _frees(difference.before["kind"])


def _rule_kind(difference: Difference, sight: Sight) -> Effect:
    return _frees(difference.before) | _binds(difference.after)


def _expression(difference: Difference, sight: Sight) -> Effect:
    kinds = {rule.kind for view in (sight.old, sight.new) if (rule := _rule(view, difference.path)) is not None}
    return Effect.NONE if kinds and kinds <= FREE_RULE_KINDS else Effect.OTHER


def _rule(view: SchemaView, path: str) -> Rule | None:
    found = view.get("rule", path)
    if isinstance(found, Rule):
        return found
    owner, _, name = path.partition(".")
    entity = view.get("entity", owner)
    rules = entity.rules if isinstance(entity, Entity) else ()
    return next((rule for rule in rules if rule.name == name), None)


def _index_added(difference: Difference, sight: Sight) -> Effect:
    return as_sets(narrower=bool(difference.after.get("unique")), wider=False)


def _index_removed(difference: Difference, sight: Sight) -> Effect:
    return as_sets(narrower=False, wider=bool(difference.before.get("unique")))


def _index_unique(difference: Difference, sight: Sight) -> Effect:
    return as_sets(narrower=bool(difference.after), wider=bool(difference.before))


def _index_cover(difference: Difference, sight: Sight) -> Effect:
    """Judge other fields or another condition: it matters only while the index says that no two may be alike."""
    owner, _, name = difference.path.partition(".")
    is_unique = any(index.unique for view in (sight.old, sight.new) for index in _indexes(view, owner, name))
    return Effect.OTHER if is_unique else Effect.NONE


def _indexes(view: SchemaView, owner: str, name: str) -> Iterator[Index]:
    entity = view.get("entity", owner)
    for index in entity.indexes if isinstance(entity, Entity) else ():
        if name in (index.name, f"({', '.join(index.fields)})"):
            yield index


EFFECT_RULES: Mapping[str, EffectRule] = {
    **{f"{thing}_{word}_changed": _NONE for thing in ("schema", "entity", "enum", "relationship", "rule")
       for word in ("description", "extension", "id", "deprecated")},
    "schema_name_changed": _NONE,
    "schema_format_version_changed": _NONE,
    "entity_added": _NONE,
    "entity_removed": _OTHER,
    "entity_renamed": _always(Effect.READERS),
    "entity_kind_changed": _entity_kind,
    "entity_extends_changed": _extends,
    **{f"field_{option}_changed": _field_changed(option) for option in FIELD_RULES if option != "extension"},
    "field_extension_changed": _NONE,
    "field_added": _field_added,
    "field_removed": _field_removed,
    "field_renamed": _always(Effect.READERS),
    "fields_reordered": _NONE,
    "enum_added": _NONE,
    "enum_removed": _NONE,  # whatever took its values changed too, and says it all
    "enum_renamed": _NONE,
    "enum_value_added": _enum_value(Effect.WIDER),
    "enum_value_removed": _enum_value(Effect.NARROWER),
    "enum_values_reordered": _NONE,
    "relationship_added": _relationship_added,
    "relationship_removed": _OTHER,
    "relationship_renamed": _always(Effect.READERS),
    "relationship_kind_changed": _NONE,
    "relationship_end_changed": _OTHER,
    "relationship_cardinality_changed": _cardinality,
    "relationship_role_changed": _role,
    "relationship_through_changed": _OTHER,
    "relationship_identifying_changed": _OTHER,
    "rule_added": _rule_added,
    "rule_removed": _rule_removed,
    "rule_renamed": _NONE,
    "rule_kind_changed": _rule_kind,
    "rule_entity_changed": _OTHER,
    "rule_expression_changed": _expression,
    "rule_message_changed": _NONE,
    "rules_reordered": _NONE,
    "index_added": _index_added,
    "index_removed": _index_removed,
    "index_unique_changed": _index_unique,
    "index_fields_changed": _index_cover,
    "index_where_changed": _index_cover,
    "index_name_changed": _NONE,
    "index_method_changed": _NONE,
    "index_extension_changed": _NONE,
    "indexes_reordered": _NONE,
}  # fmt: skip
"""By code of a difference: its rule."""
