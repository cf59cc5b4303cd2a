"""The draft while it is being made: entities, fields and links that decisions still change.

Knows the facts' sources; knows no sentence.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from schemawire.analysis.analyser import AnalysisOptions
from schemawire.analysis.facts import EntityName, RuleFact, Source
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import field_name, pascal_case
from schemawire.analysis.quantifiers import Quantity
from schemawire.schema.model import FieldType, RelationshipKind

End = Literal["source", "target"]


@dataclass(slots=True, kw_only=True)
class FieldDraft:
    """A field in the making; `values` make it an enum, `many` a list."""

    words: tuple[str, ...]
    type: FieldType
    source: Source | None = None
    required: bool = True
    unique: bool = False
    sensitive: bool = False
    many: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Further keys of the document's field, such as `primaryKey` or `references`."""


@dataclass(slots=True, kw_only=True)
class EntityDraft:
    """An entity in the making, with its fields in order of mention."""

    words: EntityName
    sources: list[Source] = field(default_factory=list)
    fields: dict[str, FieldDraft] = field(default_factory=dict)
    parent: EntityName | None = None
    kind: str = "entity"

    @property
    def name(self) -> str:
        """The entity's name in the document."""
        return pascal_case(self.words)


@dataclass(slots=True, kw_only=True)
class LinkDraft:
    """A relationship in the making; a quantity that is `None` was not said."""

    source: EntityName
    target: EntityName
    verb: str
    evidence: list[Source]
    particle: str = ""
    passive: bool = False
    kind: RelationshipKind = "association"
    source_quantity: Quantity | None = None
    target_quantity: Quantity | None = None
    role: tuple[str, ...] = ()
    through: EntityName | None = None
    referenced_end: End | None = None
    """The end that a reference field at the other end names, and what it calls it."""
    reference_role: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the verb says only that one has the other."""
        return self.verb in ("have", "belong", "contain", "include", "consist", "comprise", "hold")


@dataclass(slots=True)
class SchemaDraft:
    """The whole schema in the making."""

    lexicon: Lexicon
    options: AnalysisOptions
    name_words: tuple[str, ...] = ()
    entities: dict[EntityName, EntityDraft] = field(default_factory=dict)
    links: list[LinkDraft] = field(default_factory=list)
    rules: list[RuleFact] = field(default_factory=list)
    enums: dict[str, tuple[tuple[str, ...], Source | None]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def field_key(self, words: tuple[str, ...]) -> str:
        """Return a field's name in the document."""
        return field_name(words, self.options.field_case)

    def add_field(self, owner: EntityName, drafted: FieldDraft) -> FieldDraft:
        """Add a field, or return the one of that name that is there already."""
        fields = self.entities[owner].fields
        key = self.field_key(drafted.words)
        return fields.setdefault(key, drafted)
