"""What a reader remembers between sentences: the last subject, the topic of a heading, who is speaking.

Knows names of things; knows no rule.
"""

from dataclasses import dataclass, field

from schemawire.analysis.facts import EntityName
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase

_SPEAKERS = frozenset({"i", "we", "me", "us"})
_NOT_THINGS = frozenset(
    {"example", "following", "case", "way", "thing", "lot", "kind", "type", "information", "data", "detail", "list", "set",
     "number", "part", "use", "need", "order to", "addition", "rest", "something", "etc", "entity", "object", "table",
     "field", "attribute", "property", "one", "other", "others", "that", "this", "variety", "time", "day", "total",
     "feature", "functionality", "ability", "goal", "purpose", "objective", "track", "fact", "sort", "basis", "point",
     "side", "end", "beginning", "top", "bottom", "middle", "week", "month", "year", "hour", "minute", "advance"}
)  # fmt: skip
_MAX_ENTITY_WORDS = 4


@dataclass(slots=True)
class Context:
    """The state of reading one text.

    `subject` is what it, they, its and their mean; `topic` is the heading's thing; `speaker` is the I of a user story;
    `product` is what the request asks for; `listing` says what the bullets after an announcement are.
    """

    lexicon: Lexicon
    subject: EntityName | None = None
    topic: EntityName | None = None
    speaker: EntityName | None = None
    product: tuple[str, ...] = ()
    listing: str = ""
    known: set[EntityName] = field(default_factory=set)

    def resolve(self, phrase: Phrase) -> EntityName | None:
        """Return the thing that a phrase names or stands for; `None` if it names the system or nothing."""
        if phrase.pronoun:
            return self.speaker if phrase.pronoun in _SPEAKERS else self.subject if phrase.pronoun != "you" else None
        if self.is_system(phrase):
            return None
        return self.name(phrase)

    def name(self, phrase: Phrase) -> EntityName | None:
        """Return a phrase's own words as the name of a thing, or `None` where they cannot be one."""
        words = entity_words(phrase.words)
        if not words or len(words) > _MAX_ENTITY_WORDS or (len(words) == 1 and words[0] in _NOT_THINGS):
            return None
        return words if any(part[0].isalpha() for part in words) else None

    def is_system(self, phrase: Phrase) -> bool:
        """Return whether a phrase means the product itself, not something in its data."""
        if phrase.pronoun:
            return phrase.pronoun in ("we", "you", "us", "i") and self.speaker is None
        if not phrase.words:
            return False
        if phrase.head.lower() in self.lexicon.grammar.strict_containers:
            return True
        return bool(self.product) and tuple(word.lower() for word in phrase.words) == self.product

    def owner_of(self, phrase: Phrase) -> EntityName | None:
        """Return whose a phrase is: "an author's name", "its name", "the name of the author"."""
        if phrase.owner is not None:
            return self.resolve(phrase.owner)
        if self.lexicon.grammar.is_in(phrase.determiner, "possessives"):
            return self.subject
        return self.resolve(phrase.of) if phrase.of is not None else None
