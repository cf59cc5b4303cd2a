"""What every analyser does, what it may be asked for, and what it gives back.

Knows the schema; knows no way of reading text.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from schemawire.analysis.explaining import Explanation, explain
from schemawire.errors import ConfigurationInvalid
from schemawire.schema.model import DomainSchema, Evidence

Tier = Literal["patterns", "parser", "model"]

MAX_DESCRIPTION_LENGTH = 2_000_000
"""Characters: about 350,000 words, read in some twenty seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisOptions:
    """What an analyser adds to what the text says, and how it names things.

    Args:
        field_case: how fields are named.
        add_keys: give each entity a uuid primary key `id`.
        add_timestamps: give each entity `created_at` and `updated_at`.
        join_entities: make an entity of a many-to-many relationship that has fields of its own.
        foreign_keys: give the entity at the many side a field that carries the relationship; needs `add_keys`.
        enums: make an enum of a closed list of values; otherwise a string with a check of its values.
        infer: add usual fields to an entity without any, and usual relationships between entities without any.
        schema_name: the schema's name; otherwise the request's ("a blog system" is `blog`).
        max_length: characters, 1 to 10,000,000; a longer description is refused.
    """

    field_case: Literal["snake", "camel"] = "snake"
    add_keys: bool = True
    add_timestamps: bool = True
    join_entities: bool = True
    foreign_keys: bool = True
    enums: bool = True
    infer: bool = True
    schema_name: str | None = None
    max_length: int = MAX_DESCRIPTION_LENGTH

    def __post_init__(self) -> None:
        if self.field_case not in ("snake", "camel"):
            raise ConfigurationInvalid(f"field_case is {self.field_case!r}: use 'snake' or 'camel'")
        if not 1 <= self.max_length <= 10_000_000:
            raise ConfigurationInvalid(f"max_length is {self.max_length!r}: use 1 to 10,000,000 characters")

    @classmethod
    def literal(cls) -> "AnalysisOptions":
        """Return options that add nothing to what the text says: no keys, timestamps, join entities or guesses."""
        return cls(add_keys=False, add_timestamps=False, join_entities=False, foreign_keys=False, infer=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What asking a language model took; `cost` is in the currency of the configured prices."""

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    cost: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            calls=self.calls + other.calls,
            cost=self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an analyser made of a description.

    `warnings` are sentences for people; `tier` is the best analyser that took part; `usage` is what a language model
    took, whether or not its draft was of use.
    """

    schema: DomainSchema
    tier: Tier
    warnings: tuple[str, ...] = ()
    usage: Usage | None = None

    @property
    def evidence(self) -> dict[str, tuple[Evidence, ...]]:
        """The evidence of every element and field that has some, by `Entity`, `Entity.field` or relationship name."""
        found = {element.key: element.evidence for element in self.schema.elements() if element.evidence}
        for entity in self.schema.entities:
            found |= {f"{entity.name}.{field.name}": field.evidence for field in entity.fields if field.evidence}
        return found

    def explain(self) -> list[Explanation]:
        """Return for each element and field the sentence it came from, and the tier and rule that made it."""
        return explain(self.schema)


class Analyser(Protocol):
    """Reads a description of a domain and drafts its schema."""

    async def analyze(self, description: str, *, options: AnalysisOptions = ...) -> Draft:
        """Return the draft of a description.

        Args:
            description: plain words, 1 to `options.max_length` characters.
            options: what to add to what the text says.

        Raises:
            SchemaInvalid: the description is empty, too long, or nothing in it could be understood.

        *Cancelled:* nothing was stored; the analyser can be used again.
        """
        ...
