"""What the sentences say, before it is a schema: one record per statement, each with its evidence.

Knows phrases and quantities; knows no schema and no order of decisions.
"""

from dataclasses import dataclass
from typing import Literal

from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import Quantity
from schemawire.schema.model import FieldType, RelationshipKind

Strength = Literal["declared", "stated", "implied"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement was read: a span of the text, the rule that read it, and how sure it is (0 to 1)."""

    start: int
    end: int
    rule: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFact:
    """Something is a thing of the domain.

    `declared` stands in a list of things, `stated` takes part in a relation, `implied` was only mentioned.
    """

    words: tuple[str, ...]
    source: Source
    strength: Strength = "declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyFact:
    """An owner has something: a field, or a relation if that something turns out to be an entity.

    `certain` says that it can only be a field; `type` and `values` are what the text itself tells.
    """

    owner: tuple[str, ...]
    phrase: Phrase
    source: Source
    certain: bool = False
    relational: bool = False
    type: FieldType | None = None
    values: tuple[str, ...] = ()
    optional: bool = False
    required: bool = False
    kind: RelationshipKind = "association"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationFact:
    """One thing does something with another; a quantity describes the end it is named after, `None` is not said."""

    source_words: tuple[str, ...]
    target_words: tuple[str, ...]
    verb: str
    source: Source
    particle: str = ""
    passive: bool = False
    """The source undergoes the verb: a task "is assigned to" a user."""
    kind: RelationshipKind = "association"
    source_quantity: Quantity | None = None
    target_quantity: Quantity | None = None
    role: tuple[str, ...] = ()
    """What the target is called from the source, if that is not its own name ("parent category")."""
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFact:
    """A child is a kind of its parent."""

    child: tuple[str, ...]
    parent: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintFact:
    """A field, told of elsewhere, is optional, required, unique, limited or has one of some values."""

    owner: tuple[str, ...]
    field: tuple[str, ...]
    source: Source
    marks: frozenset[str] = frozenset()
    values: tuple[str, ...] = ()
    type: FieldType | None = None
    tail: tuple[str, ...] = ()
    """Words that limit it: "between 0 and 100"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFact:
    """What the whole system is called."""

    words: tuple[str, ...]
    source: Source


Role = Literal[
    "subject", "undergoer", "agent", "object", "complement", "of", "behind", "possessor", "modifier", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionFact:
    """A tree names a thing in some role; `determiner` and `counted` say how it is introduced."""

    words: tuple[str, ...]
    source: Source
    role: Role
    determiner: str = ""
    counted: bool = False
    plural: bool = False
    proper: bool = False
    conditional: bool = False
    idle: bool = False
    """Its verb says nothing about the data of the domain."""
    adjective: bool = False
    """Its first word is an adjective."""
    sentence: int = 0
    """The number of its sentence among those parsed."""
    doubtful: bool = False
    """Its noun usually stands for something else: "part" and "kind" for what is behind their "of"."""
    aside: bool = False
    """It stands in brackets or in a note."""
    numbered: bool = False
    """Only how many there are is of interest: "the number of seats"."""
    verb: str = ""
    """The lemma of the verb above it."""
    particle: str = ""
    """The preposition before it."""
    listed: int = 1
    """How many nouns stand in its list, itself included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFact:
    """Two things are named in one sentence; `path` is the way between them in its tree."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    path: str
    source: Source
    distance: int
    first_quantity: Quantity | None = None
    second_quantity: Quantity | None = None
    idle: bool = False
    """The verb that joins them says nothing about the data of the domain."""
    verb: str = ""
    """The lemma of the verb that joins them, if one does."""
    sentence: int = 0
    """The number of their sentence among those parsed."""


RuleNature = Literal["text", "authorization", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFact:
    """A sentence that forbids, reserves or compares something; `about` is its subject, empty if that is no thing.

    Of a comparison `first` and `second` are the two fields' words and `sign` an operator of the rule language.
    """

    name: tuple[str, ...]
    about: tuple[str, ...]
    nature: RuleNature
    source: Source
    first: tuple[str, ...] = ()
    sign: str = ""
    second: tuple[str, ...] = ()


Statement = EntityFact | PropertyFact | RelationFact | KindFact | ConstraintFact | NameFact | RuleFact
Fact = Statement | MentionFact | PathFact
EntityName = tuple[str, ...]


def words_of(fact: Fact) -> tuple[EntityName, ...]:
    """Return the names of the things that a fact speaks of."""
    match fact:
        case EntityFact(words=words) | MentionFact(words=words):
            return (words,)
        case PropertyFact(owner=owner) | ConstraintFact(owner=owner):
            return (owner,)
        case RelationFact(source_words=first, target_words=second):
            return first, second
        case KindFact(child=first, parent=second):
            return first, second
        case PathFact(first=first, second=second):
            return first, second
        case NameFact() | RuleFact():
            return ()
