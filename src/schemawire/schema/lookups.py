"""Which elements an operation is going to look at, so that a store can fetch those of a long list at once.

A guess that saves time: what is missing here is looked up when it is needed. Knows nothing of how that is done.
"""

from collections.abc import Iterable, Iterator

from schemawire.schema.model import Element, Entity, Enum, Field, kind_of
from schemawire.schema.operations import Create, Delete, Operation, Rename, Update
from schemawire.schema.view import Key, references_of


def looked_up(operations: Iterable[Operation]) -> Iterator[Key]:
    """Yield kind and key of elements that the operations name; some come twice, and some may not be there."""
    for operation in operations:
        match operation:
            case Create(part=Field() as field, entity=str(entity)):
                yield from _either(entity)
                yield from _field(field)
            case Create(part=part) if not isinstance(part, Field):
                yield from _created(part)
            case Rename(name=name, new_name=new_name):
                yield from _named(operation)
                yield from _either(new_name if operation.target != "field" else name)
            case Update() | Delete():
                yield from _named(operation)


def _created(part: Element) -> Iterator[Key]:
    if isinstance(part, Entity | Enum):
        yield from _either(part.key)
    else:
        yield kind_of(part), part.key
    for name in references_of(part):
        yield from _either(name)


def _field(field: Field) -> Iterator[Key]:
    if field.references is not None:
        yield from _either(field.references.entity)
    if field.enum:
        yield from _either(field.enum)


def _named(operation: Update | Rename | Delete) -> Iterator[Key]:
    match operation.target:
        case "entity" | "enum":
            yield from _either(operation.name)
        case "field" | "rule" if operation.entity is not None:
            yield from _either(operation.entity)
        case "relationship" | "rule":
            yield operation.target, operation.name
        case "field":
            return


def _either(name: str) -> tuple[Key, Key]:
    return ("entity", name), ("enum", name)  # they share one set of names, so both are always looked at
