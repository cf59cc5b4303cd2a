"""Whom a changed option of a field breaks: one rule per option, over the field as it was and as it is.

Knows nothing of how the change was found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from schemawire.schema.compatibility_effects import Effect, as_sets
from schemawire.schema.identity import same_value
from schemawire.schema.model import Enum, Field
from schemawire.schema.view import SchemaView


@dataclass(frozen=True, slots=True)
class Sight:
    """Both schemas, to look things up in; the old one under the names of the new one."""

    old: SchemaView
    new: SchemaView


FieldRule = Callable[[Field, Field, Sight], Effect]

WIDER_TYPES: Mapping[str, frozenset[str]] = {
    "string": frozenset({"text"}),
    "integer": frozenset({"bigint", "float"}),
    "uuid": frozenset({"string", "text"}),
    "email": frozenset({"string", "text"}),
    "url": frozenset({"string", "text"}),
    "phone": frozenset({"string", "text"}),
    "enum": frozenset({"string", "text"}),
}
"""By type: the types that hold all of its values, in the same form in JSON."""


def must_be_there(field: Field) -> bool:
    """Tell whether a record without this field is not complete: nothing stands in for a missing value."""
    return field.required and field.default is None


def must_be_sent(field: Field) -> bool:
    """Tell whether whoever writes a record must give this field."""
    return must_be_there(field) and field.generated is None


def presence(old: Field | None, new: Field | None) -> Effect:
    """Return the effect of a field that came, went, or is needed more or less than before."""
    always_was, always_is = old is not None and old.required, new is not None and new.required
    effect = Effect.NONE
    if new is not None and must_be_there(new) and not always_was:
        effect |= Effect.STORED
    if new is not None and must_be_sent(new) and not (old is not None and must_be_sent(old)):
        effect |= Effect.WRITERS
    if old is not None and must_be_there(old) and not always_is:
        effect |= Effect.READERS
    return effect


def _presence(old: Field, new: Field, sight: Sight) -> Effect:
    return presence(old, new)


def _presence_by_default(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.NONE if old.required != new.required else presence(old, new)


def _harmless(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.NONE


def _other(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.OTHER


def _flag(name: str) -> FieldRule:
    def rule(old: Field, new: Field, sight: Sight) -> Effect:
        return Effect.NARROWER if getattr(new, name) else Effect.WIDER

    return rule


def _type(old: Field, new: Field, sight: Sight) -> Effect:
    return _type_change(old.type, new.type)


def _items(old: Field, new: Field, sight: Sight) -> Effect:
    if old.items is None or new.items is None:
        return Effect.NONE if old.type != new.type else as_sets(narrower=new.items is not None, wider=new.items is None)
    return _type_change(old.items, new.items)


def _type_change(old: str, new: str) -> Effect:
    if old == new:
        return Effect.NONE
    if new in WIDER_TYPES.get(old, ()):
        return Effect.WIDER
    return Effect.NARROWER if old in WIDER_TYPES.get(new, ()) else Effect.OTHER


def _enum(old: Field, new: Field, sight: Sight) -> Effect:
    if old.enum is None or new.enum is None:  # the type of the field or of its items changed too, and says it all
        return Effect.NONE if (old.type, old.items) != (new.type, new.items) else Effect.OTHER
    before, after = sight.old.get("enum", old.enum), sight.new.get("enum", new.enum)
    if not isinstance(before, Enum) or not isinstance(after, Enum):
        return Effect.OTHER
    gone, come = set(before.values) - set(after.values), set(after.values) - set(before.values)
    return as_sets(narrower=bool(gone), wider=bool(come))


def _references(old: Field, new: Field, sight: Sight) -> Effect:
    if old.references is None or new.references is None:
        return as_sets(narrower=new.references is not None, wider=old.references is not None)
    same = (old.references.entity, old.references.field) == (new.references.entity, new.references.field)
    return Effect.NONE if same else Effect.OTHER


def _limit(name: str, *, is_upper: bool) -> FieldRule:
    def rule(old: Field, new: Field, sight: Sight) -> Effect:
        return _bound_effect((getattr(old, name), False), (getattr(new, name), False), is_upper=is_upper)

    return rule


def _bound(name: str, *, is_upper: bool) -> FieldRule:
    exclusive = f"exclusive_{name}"

    def rule(old: Field, new: Field, sight: Sight) -> Effect:
        before, after = ((getattr(field, name), getattr(field, exclusive)) for field in (old, new))
        return _bound_effect(before, after, is_upper=is_upper)

    return rule


def _exclusive(name: str, *, is_upper: bool) -> FieldRule:
    bound = _bound(name, is_upper=is_upper)

    def rule(old: Field, new: Field, sight: Sight) -> Effect:
        if not same_value(getattr(old, name), getattr(new, name)):
            return Effect.NONE  # the bound itself changed, and is judged together with this
        return bound(old, new, sight)

    return rule


def _bound_effect(old: tuple[Any, bool], new: tuple[Any, bool], *, is_upper: bool) -> Effect:
    if old[0] is None or new[0] is None:
        return as_sets(narrower=new[0] is not None, wider=old[0] is not None)
    before, after = _comparable(old[0]), _comparable(new[0])
    if type(before) is not type(after):
        return Effect.OTHER
    # An exclusive bound lies a little further inside than an inclusive one.
    inward = -1 if is_upper else 1
    first, second = (before, inward * old[1]), (after, inward * new[1])
    if first == second:
        return Effect.NONE
    return Effect.NARROWER if (second < first) == is_upper else Effect.WIDER


def _comparable(value: Any) -> Any:
    """Return numbers and their texts as decimals, other texts as they are: dates and times sort as text."""
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return str(value)


def _pattern(old: Field, new: Field, sight: Sight) -> Effect:
    if old.pattern is None or new.pattern is None:
        return as_sets(narrower=new.pattern is not None, wider=old.pattern is not None)
    return Effect.OTHER  # nobody compares two regular expressions


def _digits(old: Field, new: Field, sight: Sight) -> Effect:
    if old.precision is None and new.precision is None:
        return _bound_effect((old.scale, False), (new.scale, False), is_upper=True)
    if old.precision is None or new.precision is None:
        return as_sets(narrower=new.precision is not None, wider=old.precision is not None)
    before, after = _places(old), _places(new)
    return as_sets(narrower=_has_more(after, before), wider=_has_more(before, after))


def _places(field: Field) -> tuple[int, int]:
    """Return how many digits may stand before and behind the point of a number with a precision."""
    return (field.precision or 0) - (field.scale or 0), field.scale or 0


def _has_more(before: tuple[int, int], after: tuple[int, int]) -> bool:
    return any(later > earlier for earlier, later in zip(before, after, strict=True))


def _scale(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.NONE if old.precision != new.precision else _digits(old, new, sight)


def _unit(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.NONE if old.unit is None or new.unit is None else Effect.OTHER


def _immutable(old: Field, new: Field, sight: Sight) -> Effect:
    return Effect.WRITERS if new.immutable else Effect.NONE


FIELD_RULES: Mapping[str, FieldRule] = {
    "type": _type,
    "id": _harmless,
    "description": _harmless,
    "required": _presence,
    "unique": _flag("unique"),
    "primary_key": _other,
    "references": _references,
    "enum": _enum,
    "items": _items,
    "default": _presence_by_default,
    "min": _bound("min", is_upper=False),
    "max": _bound("max", is_upper=True),
    "exclusive_min": _exclusive("min", is_upper=False),
    "exclusive_max": _exclusive("max", is_upper=True),
    "min_length": _limit("min_length", is_upper=False),
    "max_length": _limit("max_length", is_upper=True),
    "pattern": _pattern,
    "precision": _digits,
    "scale": _scale,
    "unit": _unit,
    "generated": _presence_by_default,
    "immutable": _immutable,
    "sensitive": _harmless,
    "deprecated": _harmless,
    "extension": _harmless,
}
"""By option: its rule."""


def field_effect(old: Field, new: Field, sight: Sight) -> Effect:
    """Return what all differing options of a field do together, for a field that moved from one entity to another."""
    total = Effect.NONE
    for name, rule in FIELD_RULES.items():
        if name != "extension" and not same_value(getattr(old, name), getattr(new, name)):
            total |= rule(old, new, sight)
    return total
