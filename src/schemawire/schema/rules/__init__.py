"""The rules between elements, one file per concern, and the two ways to check them: a whole schema, or some elements.

Knows nothing of operations.
"""

from collections.abc import Iterable, Iterator

from schemawire.schema.issues import Issue, pointer_to
from schemawire.schema.model import DomainSchema, Element, Entity, Enum, Relationship, Rule, kind_of
from schemawire.schema.view import MemoryView, SchemaView

__all__ = ["check", "check_elements"]


def check(schema: DomainSchema) -> list[Issue]:
    """Return everything that is wrong or doubtful in a whole schema; pointers lead into its document."""
    view = MemoryView(schema)
    found: list[Issue] = []
    for kind, collection in schema.COLLECTIONS.items():
        seen: set[str] = set()
        for position, element in enumerate(getattr(schema, collection)):
            place = pointer_to(collection, position)
            if element.key in seen:
                found.append(
                    Issue(
                        code="duplicate_name",
                        pointer=place + pointer_to("name"),
                        message=f"{kind} {element.key!r} exists twice",
                        fix="Rename or remove one of them.",
                    )
                )
            seen.add(element.key)
            found.extend(issue.under(place) for issue in check_elements(view, [element]))
    return found


def check_elements(view: SchemaView, elements: Iterable[Element]) -> list[Issue]:
    """Return everything that is wrong or doubtful in some elements of a schema; pointers lead into the element."""
    return [issue for element in elements for issue in _dangling(view, element)]


def _dangling(view: SchemaView, element: Element) -> Iterator[Issue]:
    for place, name in _targets(element):
        if view.get("entity", name) is None:
            yield Issue(
                code="unknown_entity",
                pointer=place,
                message=f"{kind_of(element)} {element.key!r} refers to the unknown entity {name!r}",
                fix="Create the entity, or correct the name.",
            )


def _targets(element: Element) -> Iterator[tuple[str, str]]:
    match element:
        case Entity():
            if element.extends:
                yield "/extends", element.extends
            for position, field in enumerate(element.fields):
                if field.references:
                    yield f"/fields/{position}/references/entity", field.references.entity
        case Relationship():
            yield "/source", element.source
            yield "/target", element.target
            if element.through:
                yield "/through", element.through
        case Rule():
            if element.entity:
                yield "/entity", element.entity
        case Enum():
            return
