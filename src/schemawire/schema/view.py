"""How operations look at a schema: one element at a time, so that nobody loads a large schema to change one field.

Knows nothing of what is being changed, or why.
"""

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
        """Return the keys of all elements of a kind, new ones last."""
        yield from (key for key in self._below.keys(kind) if self._written.get((kind, key), True) is not None)
        for (written_kind, key), element in self._written.items():
            if written_kind == kind and element is not None and self._before[kind, key] is None:
                yield key

    def count(self, kind: ElementKind) -> int:
        """Return how many elements of a kind there are."""
        return self._below.count(kind) + sum(
            (element is not None) - (self._before[key] is not None)
            for key, element in self._written.items()
            if key[0] == kind
        )

    def set_header(self, header: Header) -> None:
        """Replace what the schema says about itself."""
        self._header = header

    def put(self, element: Element) -> None:
        """Add an element, or replace the one of its kind and key."""
        self._write((kind_of(element), element.key), element)

    def remove(self, kind: ElementKind, key: str) -> None:
        """Take an element away."""
        self._write((kind, key), None)

    def _write(self, key: Key, element: Element | None) -> None:
        if key not in self._written:
            self._before[key] = self._below.get(*key)
        former = self._written.get(key)
        if former is not None:
            self._referrers.remove(former)
        self._written[key] = element
        if element is not None:
            self._referrers.add(element)

    def absorb(self, upper: "Overlay") -> None:
        """Take over everything that an overlay on top of this one has written."""
        self._header = upper.header()
        for key, element in upper._written.items():
            self._write(key, element)

    def changes(self) -> tuple[Change, ...]:
        """Return the net change of every element, by first touch."""
        return tuple(
            Change(kind=key[0], key=key[1], before=self._before[key], after=element)
            for key, element in self._written.items()
            if _differ(element, self._before[key])
        )


def _differ(one: Element | None, other: Element | None) -> bool:
    if one is None or other is None or one != other:
        return one is not other
    return canonical_bytes(one) != canonical_bytes(other)  # for Python, True == 1 == 1.0
