"""The rules between elements, one file per concern, and the two ways to check them: a whole schema, or some elements.

Knows nothing of operations.
"""

from collections.abc import Iterable, Iterator

from schemawire.schema.issues import Issue, pointer_to
from schemawire.schema.model import DomainSchema, Element, Entity
from schemawire.schema.rules.agreement import agreement_issues
from schemawire.schema.rules.inheritance import inheritance_issues
from schemawire.schema.rules.names import MAX_ELEMENTS, MAX_FIELDS, name_issues, schema_name_issues
from schemawire.schema.rules.references import reference_issues
from schemawire.schema.rules.scope import MAX_ANCESTORS, fields_of, visible_fields
from schemawire.schema.rules.statements import statement_issues
from schemawire.schema.rules.types import type_issues
from schemawire.schema.view import MemoryView, SchemaView

__all__ = [
    "MAX_ANCESTORS",
    "MAX_ELEMENTS",
    "MAX_FIELDS",
    "check",
    "check_element",
    "check_elements",
    "fields_of",
    "schema_name_issues",
    "visible_fields",
]


def check(schema: DomainSchema) -> list[Issue]:
    """Return everything that is wrong or doubtful in a whole schema; pointers lead into its document."""
    view = MemoryView(schema)
    found = list(schema_name_issues(schema))
    for collection in schema.COLLECTIONS.values():
        for position, element in enumerate(getattr(schema, collection)):
            place = pointer_to(collection, position)
            found.extend(issue.under(place) for issue in check_element(view, element))
    return found


def check_elements(view: SchemaView, elements: Iterable[Element]) -> list[Issue]:
    """Return everything that is wrong or doubtful in some elements of a schema; pointers lead into the element.

    Args:
        view: the schema that the elements belong to; only what they refer to is looked up.
        elements: what to check.
    """
    return [issue for element in elements for issue in check_element(view, element)]


def check_element(view: SchemaView, element: Element) -> Iterator[Issue]:
    """Yield everything that is wrong or doubtful in one element of a schema."""
    yield from name_issues(view, element)
    yield from reference_issues(view, element)
    yield from statement_issues(view, element)
    if isinstance(element, Entity):
        yield from inheritance_issues(view, element)
        yield from agreement_issues(view, element)
        yield from type_issues(view, element)
