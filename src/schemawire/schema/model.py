"""The domain-schema document as frozen values: what one element may look like by itself.

Rules that need more than one element live in `schema.rules`. Knows nothing of HTTP, time or storage.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict, model_validator
from pydantic import Field as Option
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

FORMAT_VERSION = "1"
MAX_NAME_LENGTH = 128

FieldType = Literal[
    "string", "text", "integer", "bigint", "decimal", "float", "boolean", "date", "time", "datetime", "duration",
    "uuid", "email", "url", "phone", "money", "json", "binary", "enum", "list",
]  # fmt: skip
ItemType = Literal[
    "string", "text", "integer", "bigint", "decimal", "float", "boolean", "date", "time", "datetime", "duration",
    "uuid", "email", "url", "phone", "money", "json", "binary", "enum",
]  # fmt: skip
EntityKind = Literal["entity", "valueObject", "association", "abstract"]
RelationshipKind = Literal["association", "aggregation", "composition"]
RuleKind = Literal["check", "unique", "cardinality", "derivation", "transition", "authorization", "text"]
ReferentialAction = Literal["restrict", "cascade", "setNull", "setDefault", "noAction"]
ElementKind = Literal["entity", "enum", "relationship", "rule"]

ELEMENT_KINDS: tuple[ElementKind, ...] = ("entity", "enum", "relationship", "rule")
"""Also the order of the kinds in the canonical form and in streams."""

FREE_RULE_KINDS: frozenset[RuleKind] = frozenset({"text", "authorization"})
"""Rules of these kinds are words for people; the expression of every other kind is in the rule language."""

_NAME = re.compile(r"[^\W\d]\w{0,127}")
_CARDINALITY = re.compile(r"(\d{1,9}|\*)|(\d{1,9})\.\.(\d{1,9}|\*)")
_EXTENSION_PREFIX = "x-"


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        fix = f"Start with a letter or underscore, then letters, digits and underscores, {MAX_NAME_LENGTH} at most."
        raise PydanticCustomError("invalid_name", "{name} is not a name", {"name": repr(value[:40]), "fix": fix})
    if unicodedata.normalize("NFC", value) != value:
        context = {"name": repr(value[:40]), "fix": "Normalise it to NFC before sending."}
        raise PydanticCustomError("invalid_name", "{name} is not in the Unicode normal form NFC", context)
    return value


def _check_cardinality(value: str) -> str:
    match = _CARDINALITY.fullmatch(value)
    if match is None:
        raise ValueError(f"{value[:20]!r} is not a cardinality: write 1, 0..1, 0..*, 1..*, * or bounds such as 2..5")
    low, high = cardinality_bounds(value)
    if high is not None and (high < low or high == 0):
        raise ValueError(f"{value!r} allows nothing: the upper bound must be at least 1 and not below the lower one")
    return value


def cardinality_bounds(value: str) -> tuple[int, int | None]:
    """Return the least and the greatest number that a cardinality allows; `None` means unbounded.

    >>> cardinality_bounds("0..*"), cardinality_bounds("1"), cardinality_bounds("*")
    ((0, None), (1, 1), (0, None))
    """
    low, dots, high = value.partition("..")
    if not dots:
        return (0, None) if low == "*" else (int(low), int(low))
    return int(low), None if high == "*" else int(high)


def _refuse_float_oddities(value: float) -> float:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("not a finite number")
    return value


Text = Annotated[str, Strict(), Option(max_length=20_000)]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Option(ge=0, le=2**53 - 1)]
Name = Annotated[str, Strict(), AfterValidator(_check_name)]
Cardinality = Annotated[str, Strict(), AfterValidator(_check_cardinality)]
Integer = Annotated[int, Strict(), Option(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, Strict(), AfterValidator(_refuse_float_oddities)]
Bound = Integer | Number | Annotated[str, Strict(), Option(max_length=64)]
"""A limit: an integer, a float (float fields only), or text for decimals, dates and times."""
Literals = Flag | Integer | Number | Text
DefaultFunction = Literal["now", "today", "uuid"]


class Part(BaseModel):
    """What every part of a document shares: frozen, camelCase in JSON, unknown keys refused except `x-…`."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True, ser_json_inf_nan="strings"
    )

    @model_validator(mode="after")
    def _refuse_unknown_keys(self) -> Self:
        extra = self.model_extra
        unknown = sorted(key for key in extra if not key.startswith(_EXTENSION_PREFIX)) if extra else ()
        if unknown:
            known = [option.alias or name for name, option in type(self).model_fields.items()]
            context = {"key": unknown[0], "name": repr(unknown[0][:40]), "known": known}
            raise PydanticCustomError("unknown_key", "{name} is not a key of this object", context)
        return self

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form: camelCase keys, exactly what was set, so a submitted document comes back as it was."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Evidence(Part):
    """Where an analyser read something: a span of the description, in characters, end excluded."""

    start: Count = 0
    end: Count = 0
    text: Text = ""
    analyser: Text = ""
    rule: Text = ""
    confidence: Annotated[float, Strict(), Option(ge=0, le=1)] = 1.0


class Reference(Part):
    """The field of another entity that a field points at; the relationship that it carries is authoritative."""

    entity: Name
    field: Name = "id"
    on_delete: ReferentialAction = "restrict"
    on_update: ReferentialAction = "noAction"


class FunctionDefault(Part):
    """A default that is computed when a row is made."""

    function: DefaultFunction


class Field(Part):
    """One field of an entity."""

    name: Name
    type: FieldType
    id: Text | None = None
    description: Text | None = None
    required: Flag = False
    unique: Flag = False
    primary_key: Flag = False
    references: Reference | None = None
    enum: Name | None = None
    """The enum that a field of type enum (or a list of enum items) takes its values from."""
    items: ItemType | None = None
    """The element type of a list."""
    default: Literals | FunctionDefault | tuple[Literals, ...] | None = None
    min: Bound | None = None
    max: Bound | None = None
    exclusive_min: Flag = False
    exclusive_max: Flag = False
    min_length: Count | None = None
    max_length: Count | None = None
    pattern: Text | None = None
    precision: Annotated[int, Strict(), Option(ge=1, le=1000)] | None = None
    scale: Annotated[int, Strict(), Option(ge=0, le=1000)] | None = None
    unit: Text | None = None
    generated: Literal["identity", "uuid", "now", "update"] | None = None
    immutable: Flag = False
    sensitive: Flag = False
    deprecated: Flag = False
    renamed_from: Name | None = None
    evidence: tuple[Evidence, ...] = ()


class Index(Part):
    """An index over some fields of one entity, in order."""

    fields: Annotated[tuple[Name, ...], Option(min_length=1)]
    name: Name | None = None
    unique: Flag = False
    where: Text | None = None
    method: Text | None = None


class Rule(Part):
    """A statement that the rows must obey.

    `expression` is in the small language of `schema.expressions`, unless the kind is text or authorization.
    """

    name: Name
    kind: RuleKind
    id: Text | None = None
    entity: Name | None = None
    expression: Text | None = None
    message: Text | None = None
    description: Text | None = None
    renamed_from: Name | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def key(self) -> str:
        """What no other top-level rule may share: the name, within its entity if it has one."""
        return self.name if self.entity is None else f"{self.entity}.{self.name}"


class Entity(Part):
    """One entity with its fields, indexes and own rules."""

    name: Name
    id: Text | None = None
    description: Text | None = None
    kind: EntityKind = "entity"
    extends: Name | None = None
    fields: tuple[Field, ...] = ()
    indexes: tuple[Index, ...] = ()
    rules: tuple[Rule, ...] = ()
    deprecated: Flag = False
    renamed_from: Name | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def key(self) -> str:
        """What no other entity or enum may share."""
        return self.name

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or `None`."""
        return next((field for field in self.fields if field.name == name), None)


class Enum(Part):
    """A closed list of values, in order."""

    name: Name
    values: Annotated[tuple[Annotated[str, Strict(), Option(min_length=1, max_length=200)], ...], Option(min_length=1)]
    id: Text | None = None
    description: Text | None = None
    deprecated: Flag = False
    renamed_from: Name | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def key(self) -> str:
        """What no other enum or entity may share."""
        return self.name


class Relationship(Part):
    """A relationship between two entities; a cardinality describes the end it is named after.

    `writes: User 1 → Post 0..*` says that one post has one user, and one user has any number of posts.
    """

    name: Name
    source: Name
    target: Name
    id: Text | None = None
    description: Text | None = None
    kind: RelationshipKind = "association"
    source_cardinality: Cardinality = "1"
    target_cardinality: Cardinality = "0..*"
    source_role: Name | None = None
    target_role: Name | None = None
    through: Name | None = None
    """The association entity that carries a many-to-many relationship with attributes of its own."""
    identifying: Flag = False
    deprecated: Flag = False
    renamed_from: Name | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def key(self) -> str:
        """What no other relationship may share."""
        return self.name


Element = Entity | Enum | Relationship | Rule

ELEMENT_TYPES: dict[ElementKind, type[Entity] | type[Enum] | type[Relationship] | type[Rule]] = {
    "entity": Entity,
    "enum": Enum,
    "relationship": Relationship,
    "rule": Rule,
}


def kind_of(element: Element) -> ElementKind:
    """Return which of the four kinds an element is."""
    match element:
        case Entity():
            return "entity"
        case Enum():
            return "enum"
        case Relationship():
            return "relationship"
        case Rule():
            return "rule"


class Header(Part):
    """What a schema says about itself, apart from its elements."""

    format_version: Literal["1"] = "1"
    name: Name
    description: Text | None = None


class DomainSchema(Header):
    """A whole domain schema."""

    entities: tuple[Entity, ...] = ()
    enums: tuple[Enum, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    rules: tuple[Rule, ...] = ()

    COLLECTIONS: ClassVar[dict[ElementKind, str]] = {
        "entity": "entities",
        "enum": "enums",
        "relationship": "relationships",
        "rule": "rules",
    }

    def elements(self) -> Iterator[Element]:
        """Yield every element, kind by kind, each kind in the document's order."""
        yield from self.entities
        yield from self.enums
        yield from self.relationships
        yield from self.rules

    def header(self) -> Header:
        """Return what is left without the elements."""
        given = {name: getattr(self, name) for name in Header.model_fields if name in self.model_fields_set}
        return Header.model_validate({**given, **(self.model_extra or {})}, by_name=True)

    @classmethod
    def assemble(cls, header: Header, elements: Iterable[Element]) -> Self:
        """Return the schema with this header and these elements, each kind in the order given."""
        lists: dict[str, list[Element]] = {name: [] for name in cls.COLLECTIONS.values()}
        for element in elements:
            lists[cls.COLLECTIONS[kind_of(element)]].append(element)
        given = {name: getattr(header, name) for name in header.model_fields_set if name in Header.model_fields}
        return cls.model_validate({**given, **(header.model_extra or {}), **lists}, by_name=True)

    def entity(self, name: str) -> Entity | None:
        """Return the entity of that name, or `None`."""
        return next((entity for entity in self.entities if entity.name == name), None)

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form, with `formatVersion` and the four lists always present."""
        lists = {name: [part.to_document() for part in getattr(self, name)] for name in self.COLLECTIONS.values()}
        head = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=set(lists))
        return {"formatVersion": self.format_version, **head, **lists}
