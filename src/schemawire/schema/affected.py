"""Which elements a change may break, so that those and no others are checked again.

Knows nothing of what is then found in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schemawire.schema.model import Element, Entity, Enum, Relationship, Rule
from schemawire.schema.view import Key, SchemaView


@dataclass(frozen=True, slots=True)
class Touch:
    """An element as it was and as it is; either may be missing."""

    key: Key
    before: Element | None
    after: Element | None


def affected_by(view: SchemaView, touch: Touch) -> Iterator[Key]:
    """Yield the keys of the elements that may break by a touch; some may come twice, and some may be gone.

    Args:
        view: the schema after the touch.
        touch: what changed.
    """
    if touch.after is not None:
        yield touch.key
    match touch.after or touch.before:
        case Entity():
            yield from _by_entity(view, touch)
        case Enum():
            if touch.before is not None:
                yield from view.referrers(touch.key[1])
        case Relationship():
            yield from (("entity", name) for name in _ends(touch.before, touch.after))
        case Rule() | None:
            return


def _by_entity(view: SchemaView, touch: Touch) -> Iterator[Key]:
    before, after = _surface(touch.before), _surface(touch.after)
    if before is None or before == after:
        return  # nothing can have referred to a new entity, and nobody looks below the surface
    below = heirs(view, touch.key[1])
    yield from (("entity", heir) for heir in below)
    if after is not None and before.outline == after.outline and before.fields <= after.fields:
        return  # only new fields, which no referrer can name yet
    for name in (touch.key[1], *below):
        yield from view.referrers(name)


@dataclass(frozen=True, slots=True)
class _Surface:
    """What others can see of an entity."""

    outline: tuple[str, str | None]
    fields: frozenset[tuple[str, str]]


def _surface(element: Element | None) -> _Surface | None:
    if not isinstance(element, Entity):
        return None
    return _Surface((element.kind, element.extends), frozenset((field.name, field.type) for field in element.fields))


def heirs(view: SchemaView, name: str) -> list[str]:
    """Return the names of all entities that extend the one of this name, directly or not."""
    found: dict[str, None] = {}
    pending = [name]
    while pending:
        parent = pending.pop()
        for kind, key in view.referrers(parent):
            child = view.get(kind, key) if kind == "entity" else None
            if isinstance(child, Entity) and child.extends == parent and key not in found and key != name:
                found[key] = None
                pending.append(key)
    return list(found)


def _ends(*relationships: Element | None) -> set[str]:
    ends: set[str] = set()
    for relationship in relationships:
        if isinstance(relationship, Relationship):
            ends |= {name for name in (relationship.source, relationship.target, relationship.through) if name}
    return ends
