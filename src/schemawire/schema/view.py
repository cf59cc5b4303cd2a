"""How operations look at a schema: one element at a time, so that nobody loads a large schema to change one field.

Knows nothing of what is being changed, or why.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from schemawire.schema.changes import Change
from schemawire.schema.expressions import FORMER, qualifiers
from schemawire.schema.identity import canonical_bytes
from schemawire.schema.model import (
    ELEMENT_KINDS,
    FREE_RULE_KINDS,
    DomainSchema,
    Element,
    ElementKind,
    Entity,
    Enum,
    Header,
    Relationship,
    Rule,
    kind_of,
)

Key = tuple[ElementKind, str]


class SchemaView(Protocol):
    """A schema to look things up in, in memory or in a database."""

    def header(self) -> Header:
        """Return the schema without its elements."""

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return the element of that kind and key, or `None`."""

    def referrers(self, name: str) -> Iterable[Key]:
        """Return kind and key of every element whose `references_of` holds this entity's or enum's name."""

    def keys(self, kind: ElementKind) -> Iterable[str]:
        """Return the keys of all elements of a kind; asked for only when a whole schema is replaced."""

    def count(self, kind: ElementKind) -> int:
        """Return how many elements of a kind there are."""


def references_of(element: Element) -> set[str]:
    """Return the names of all entities and enums that an element refers to, for a store that indexes referrers.

    A rule's expression refers to the entities that qualify its fields, as in `Loan.dueDate`.
    """
    match element:
        case Enum():
            return set()
        case Relationship():
            return {name for name in (element.source, element.target, element.through) if name}
        case Rule():
            return _rule_references(element)
        case Entity():
            return _entity_references(element)


def _rule_references(rule: Rule) -> set[str]:
    found = {rule.entity} if rule.entity else set()
    if rule.expression and rule.kind not in FREE_RULE_KINDS:
        found |= qualifiers(rule.expression) - {FORMER}
    return found


def _entity_references(entity: Entity) -> set[str]:
    found = {entity.extends} if entity.extends else set()
    for field in entity.fields:
        if field.references:
            found.add(field.references.entity)
        if field.enum:
            found.add(field.enum)
    for rule in entity.rules:
        found |= _rule_references(rule)
    return found


class _Referrers:
    """Who refers to a name; holds exactly the elements added and not removed."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[Key, None]] = {}

    def add(self, element: Element) -> None:
        for name in references_of(element):
            self._by_name.setdefault(name, {})[kind_of(element), element.key] = None

    def remove(self, element: Element) -> None:
        for name in references_of(element):
            self._by_name.get(name, {}).pop((kind_of(element), element.key), None)

    def of(self, name: str) -> Iterator[Key]:
        yield from tuple(self._by_name.get(name, ()))


class MemoryView:
    """A whole schema in memory, with its referrers indexed."""

    def __init__(self, schema: DomainSchema) -> None:
        self._header = schema.header()
        self._elements: dict[ElementKind, dict[str, Element]] = {kind: {} for kind in ELEMENT_KINDS}
        self._referrers = _Referrers()
        for element in schema.elements():
            self._elements[kind_of(element)][element.key] = element
            self._referrers.add(element)

    def header(self) -> Header:
        """Return the schema without its elements."""
        return self._header

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return the element of that kind and key, or `None`."""
        return self._elements[kind].get(key)

    def referrers(self, name: str) -> Iterable[Key]:
        """Return kind and key of every element that refers to this name."""
        return self._referrers.of(name)

    def keys(self, kind: ElementKind) -> Iterable[str]:
        """Return the keys of all elements of a kind, in the document's order."""
        return tuple(self._elements[kind])

    def count(self, kind: ElementKind) -> int:
        """Return how many elements of a kind there are."""
        return len(self._elements[kind])


class Overlay:
    """A view with changes on top that the view below does not know of."""

    def __init__(self, below: SchemaView) -> None:
        self._below = below
        self._header = below.header()
        # Invariants: every key in _written has its state from below in _before; _referrers holds what _written holds.
        self._written: dict[Key, Element | None] = {}
        self._before: dict[Key, Element | None] = {}
        self._referrers = _Referrers()
        self._moved: dict[Key, Key] = {}
        """From the key of a renamed element to the one that it has below."""
        self._added: Counter[ElementKind] = Counter()

    def header(self) -> Header:
        """Return the schema without its elements."""
        return self._header

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return the element of that kind and key, or `None`."""
        if (kind, key) in self._written:
            return self._written[kind, key]
        return self._below.get(kind, key)

    def referrers(self, name: str) -> Iterable[Key]:
        """Return kind and key of every element that refers to this name."""
        yield from self._referrers.of(name)
        for key in self._below.referrers(name):
            if key not in self._written:
                yield key

    def keys(self, kind: ElementKind) -> Iterable[str]:
        """Return the keys of all elements of a kind; a renamed one keeps its place, new ones come last."""
        moved = {former[1]: key[1] for key, former in self._moved.items() if key[0] == kind}
        for key in self._below.keys(kind):
            if self._written.get((kind, key), True) is not None:
                yield key
            elif key in moved and self._keeps_place((kind, moved[key])):
                yield moved[key]
        for (written_kind, key), element in self._written.items():
            is_new = element is not None and self._before[written_kind, key] is None
            if written_kind == kind and is_new and not self._keeps_place((kind, key)):
                yield key

    def _keeps_place(self, key: Key) -> bool:
        former = self._moved.get(key)
        return former is not None and self._written[former] is None and self._before[key] is None

    def count(self, kind: ElementKind) -> int:
        """Return how many elements of a kind there are."""
        return self._below.count(kind) + self._added[kind]

    def set_header(self, header: Header) -> None:
        """Replace what the schema says about itself."""
        self._header = header

    def put(self, element: Element) -> list[Key]:
        """Add an element, or replace the one of its kind and key; return what that changed."""
        key = (kind_of(element), element.key)
        if not _differ(self.get(*key), element):
            return []
        self._write(key, element)
        return [key]

    def remove(self, kind: ElementKind, key: str) -> list[Key]:
        """Take an element away; return what that changed."""
        self._write((kind, key), None)
        self._moved.pop((kind, key), None)
        return [(kind, key)]

    def move(self, kind: ElementKind, key: str, element: Element) -> list[Key]:
        """Replace an element by one of another key that takes its place; return what that changed."""
        former = self._moved.get((kind, key)) or ((kind, key) if self._below.get(kind, key) is not None else None)
        self.remove(kind, key)
        new_key = (kind, element.key)
        self._write(new_key, element)
        if former is not None and former != new_key:
            self._moved[new_key] = former
        return [(kind, key), new_key]

    def before(self, key: Key) -> Element | None:
        """Return the element that the view below has."""
        return self._before[key] if key in self._before else self._below.get(*key)

    def _write(self, key: Key, element: Element | None) -> None:
        if key not in self._written:
            self._before[key] = self._below.get(*key)
        self._added[key[0]] += (element is not None) - (self.get(*key) is not None)
        former = self._written.get(key)
        if former is not None:
            self._referrers.remove(former)
        self._written[key] = element
        if element is not None:
            self._referrers.add(element)

    def absorb(self, upper: "Overlay") -> None:
        """Take over everything that an overlay on top of this one has written."""
        self._header = upper.header()
        moves = {former: key for key, former in upper._moved.items() if upper._keeps_place(key)}
        arrivals = set(moves.values())
        for key, element in upper._written.items():
            arrival = upper._written[moves[key]] if key in moves else None
            if arrival is not None:
                self.move(key[0], key[1], arrival)
            elif key not in arrivals:
                self._write(key, element)

    def changes(self) -> tuple[Change, ...]:
        """Return the net change of every element, by first touch."""
        return tuple(
            Change(
                kind=key[0],
                key=key[1],
                before=self._before[key],
                after=element,
                former_key=self._moved[key][1] if self._keeps_place(key) else None,
            )
            for key, element in self._written.items()
            if _differ(element, self._before[key])
        )


def _differ(one: Element | None, other: Element | None) -> bool:
    if one is None or other is None or one != other:
        return one is not other
    return canonical_bytes(one) != canonical_bytes(other)  # for Python, True == 1 == 1.0
