"""What differs between two schemas, in the domain's own words, and the operations that lead from one to the other.

Knows nothing of whether a difference is harmless.
"""

from dataclasses import dataclass
from typing import Any

from schemawire.schema.model import DomainSchema, kind_of
from schemawire.schema.operations import Operation, ReplaceSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs."""

    code: str
    """A stable word such as `field_type_changed`."""
    pointer: str
    """A JSON pointer into the new document, or into the old one for what is gone."""
    path: str
    """The thing itself, such as `entity Post.title`."""
    before: Any = None
    after: Any = None


def compare(old: DomainSchema, new: DomainSchema) -> list[Difference]:
    """Return what differs, in the order of the documents."""
    before = {(kind_of(element), element.key): element for element in old.elements()}
    after = {(kind_of(element), element.key): element for element in new.elements()}
    return [
        Difference(code=f"{kind}_{'added' if (kind, key) in after else 'removed'}", pointer="", path=f"{kind} {key}")
        for kind, key in before.keys() ^ after.keys()
    ]


def diff_operations(old: DomainSchema, new: DomainSchema) -> list[Operation]:
    """Return operations that lead from one schema to the other: applied to `old` they give the digest of `new`."""
    return [] if old == new else [ReplaceSchema(schema=new)]
