"""What applying operations gives: the net change of every element, and what each operation did.

Knows nothing of how the change came about.
"""

from dataclasses import dataclass

from schemawire.errors import SchemaInvalid
from schemawire.schema.model import Element, ElementKind, Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The net change of one element: made if `before` is missing, gone if `after` is, altered if both are there."""

    kind: ElementKind
    key: str
    before: Element | None
    after: Element | None
    former_key: str | None = None
    """Of an element that was renamed: the key that it had, whose place in the document it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one operation did, or why it did nothing."""

    index: int
    operation: str
    changed: bool
    """Whether anything is different from before this operation."""
    elements: tuple[tuple[ElementKind, str], ...] = ()
    """Kind and key of every element that the operation wrote or removed, in that order of events."""
    error: SchemaInvalid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The net effect of a list of operations."""

    header_before: Header
    header_after: Header
    elements: tuple[Change, ...] = ()
    """Ordered by first touch; an element that ends as it was is not among them."""
    outcomes: tuple[Outcome, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the schema is exactly as before."""
        return not self.elements and self.header_before == self.header_after
