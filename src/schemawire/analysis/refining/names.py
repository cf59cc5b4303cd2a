"""What a phrase means in an existing schema: an entity, a field, an enum or a relationship, or several of them.

Knows the schema and how names are said; knows no intent.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from schemawire.analysis.naming import entity_words, singular, split_words
from schemawire.schema.model import DomainSchema, Entity, Field, kind_of

TargetKind = Literal["entity", "field", "enum", "relationship", "rule"]

_ARTICLES = re.compile(r"^(?:(?:the|a|an|any|each|every|all|our|its|their|this|that|one|such)\s+)+", re.IGNORECASE)
_KINDS = re.compile(
    r"\s+(?:entity|entities|class|table|model|field|attribute|column|property|enum|relationship)$", re.IGNORECASE
)
_LEADING_KIND = re.compile(r"^(?:entity|class|table|model|field|attribute|column|property|enum)\s+", re.IGNORECASE)
_OWNED = re.compile(r"^(.+)\s+(?:of|in|on|from|for)\s+(.+)$", re.IGNORECASE)
_POSSESSIVE = re.compile(r"^(.+?)['’]s?\s+(.+)$")
_SUGGESTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing of a schema; `entity` is the owner of a field."""

    kind: TargetKind
    name: str
    entity: str | None = None

    @property
    def path(self) -> str:
        """How it is written so that it can mean nothing else."""
        return self.name if self.entity is None else f"{self.entity}.{self.name}"


def bare(phrase: str) -> str:
    """Return a phrase without articles and the word for what kind of thing it is.

    >>> bare("the Comment entity"), bare("a field title"), bare("each post")
    ('Comment', 'title', 'post')
    """
    phrase = _ARTICLES.sub("", phrase.strip().strip("\"'`“”"))
    return _LEADING_KIND.sub("", _KINDS.sub("", phrase)).strip().strip("\"'`“”")


def folded(phrase: str) -> str:
    """Return what names are compared by: their words in the singular, without case and signs."""
    return " ".join(singular(word) for word in split_words(phrase))


def _longer(field: Field, wanted: str) -> tuple[str, ...]:
    """Return what a field may be called whose name is cut short: the author of an author id, paid of is paid."""
    if field.references is not None:
        return (f"{wanted}id",)
    return (f"is{wanted}", f"has{wanted}") if field.type == "boolean" else ()


def article(word: str) -> str:
    """Return a word with its indefinite article.

    >>> article("entity"), article("post")
    ('an entity', 'a post')
    """
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def matched(phrase: str) -> str:
    """Return what tells whether two names are the same: as `folded`, but "thing 5" is Thing5."""
    return folded(phrase).replace(" ", "")


class Names:
    """The names of one schema."""

    def __init__(self, schema: DomainSchema) -> None:
        self.schema = schema

    def entity(self, phrase: str) -> Entity | None:
        """Return the entity that a phrase names, or `None`."""
        wanted = matched(bare(phrase))
        named = next((entity for entity in self.schema.entities if matched(entity.name) == wanted), None)
        return named or self._in_role(wanted)

    def _in_role(self, wanted: str) -> Entity | None:
        """Return the entity that plays a role of that name in a relationship: a post's author is a user."""
        ends = {
            end
            for link in self.schema.relationships
            for end, role in ((link.source, link.source_role), (link.target, link.target_role))
            if role and matched(role) == wanted
        }
        return self.schema_entity(ends.pop()) if len(ends) == 1 else None

    def find(self, phrase: str) -> list[Target]:
        """Return everything that a phrase can mean: what it names as a whole, else the field of an owner it names."""
        phrase = bare(phrase)
        if "." in phrase:
            owner, _, name = phrase.rpartition(".")
            return self._fields(name, [self.entity(owner)])
        whole = list(self._whole(phrase))
        if whole:
            return whole
        for pattern, owner_group, name_group in ((_OWNED, 2, 1), (_POSSESSIVE, 1, 2)):
            match = pattern.match(phrase)
            owner_entity = self.entity(match[owner_group]) if match else None
            if match and owner_entity is not None:
                return self._fields(bare(match[name_group]), [owner_entity])
        return self._split(phrase)

    def references(self, phrase: str) -> list[Target]:
        """Return the fields that refer to what a phrase names: a post's category."""
        return [target for target in self._fields(bare(phrase), self.schema.entities) if target.name]

    def mentioned(self, sentence: str) -> list[Entity]:
        """Return the entities that a sentence speaks of, by name."""
        said = f" {folded(sentence)} "
        return [entity for entity in self.schema.entities if f" {folded(entity.name)} " in said]

    def _whole(self, phrase: str) -> Iterator[Target]:
        wanted = matched(phrase)
        for element in self.schema.elements():
            if matched(element.name) == wanted:
                yield Target(kind=kind_of(element), name=element.name)
        named_entity = any(matched(entity.name) == wanted for entity in self.schema.entities)
        for target in self._fields(phrase, self.schema.entities):
            if not named_entity or matched(target.name) == wanted:
                yield target

    def _fields(self, phrase: str, owners: Iterable[Entity | None]) -> list[Target]:
        wanted = matched(phrase)
        exact: list[Target] = []
        referring: list[Target] = []
        for owner in owners:
            for field in owner.fields if owner else ():
                target = Target(kind="field", name=field.name, entity=owner.name if owner else None)
                if matched(field.name) == wanted:
                    exact.append(target)
                elif matched(field.name) in _longer(field, wanted):
                    referring.append(target)
        return exact or referring

    def _split(self, phrase: str) -> list[Target]:
        """Return the field that "post title" names."""
        words = split_words(phrase)
        for border in range(len(words) - 1, 0, -1):
            owner = self.entity(" ".join(words[:border]))
            found = self._fields(" ".join(words[border:]), [owner])
            if found:
                return found
        return []

    def field(self, target: Target) -> Field | None:
        """Return the field that a target names."""
        owner = self.schema_entity(target.entity or "")
        return owner.field(target.name) if owner is not None else None

    def schema_entity(self, name: str) -> Entity | None:
        """Return the entity of exactly that name."""
        return next((entity for entity in self.schema.entities if entity.name == name), None)

    def near(self, phrase: str) -> list[str]:
        """Return the names that a mistyped phrase most likely means, the nearest first."""
        paths: dict[str, str] = {folded(entity.name): entity.name for entity in self.schema.entities}
        paths |= {folded(enum.name): enum.name for enum in self.schema.enums}
        for entity in self.schema.entities:
            for field in entity.fields:
                paths.setdefault(folded(field.name), f"{entity.name}.{field.name}")
        found = get_close_matches(folded(bare(phrase))[:100], paths, n=_SUGGESTED, cutoff=0.7)
        return [paths[name] for name in found]


def new_entity_name(phrase: str) -> tuple[str, ...]:
    """Return the words of a new entity's name, the last one in the singular."""
    return entity_words(split_words(bare(phrase)))
