"""What a reader remembers between sentences: the last subject, the topic of a heading, who is speaking.

Knows names of things; knows no rule.
"""

from dataclasses import dataclass, field

from schemawire.analysis.facts import EntityName
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase

_DEFINITE = frozenset({"", "the", "our", "my", "this", "your"})
_SPEAKERS = frozenset({"i", "we", "me", "us"})
_MAX_ENTITY_WORDS = 4


@dataclass(slots=True)
class Context:
    """The state of reading one text.

    `subject` is what it, they, its and their mean; `topic` is the heading's thing; `speaker` is the I of a user story;
    `product` is what the request asks for, as it stands, and `product_name` without words such as system;
    `listing` says what the bullets after an announcement are.
    """

    lexicon: Lexicon
    subject: EntityName | None = None
    object: EntityName | None = None
    topic: EntityName | None = None
    speaker: EntityName | None = None
    product: tuple[str, ...] = ()
    product_name: tuple[str, ...] = ()
    listing: str = ""
    aliases: set[tuple[str, ...]] = field(default_factory=set)
    known: set[EntityName] = field(default_factory=set)

    def resolve(self, phrase: Phrase) -> EntityName | None:
        """Return the thing that a phrase names or stands for; `None` if it names the system or nothing."""
        if phrase.pronoun:
            return self.speaker if phrase.pronoun in _SPEAKERS else self.subject if phrase.pronoun != "you" else None
        if self.is_system(phrase):
            return None
        return self.name(phrase)

    def resolve_object(self, phrase: Phrase) -> EntityName | None:
        """Return what an object names; "it" and "them" there mean the last object rather than the subject."""
        if phrase.pronoun in ("it", "them") and self.object is not None:
            return self.object
        return self.resolve(phrase)

    def name(self, phrase: Phrase) -> EntityName | None:
        """Return a phrase's own words as the name of a thing, or `None` where they cannot be one."""
        words = entity_words(phrase.words)
        if words[:2] == ("number", "of"):
            words = words[2:]  # "a number of students" are students
        if "of" in words or "per" in words:
            return None
        if (
            not words
            or len(words) > _MAX_ENTITY_WORDS
            or (len(words) == 1 and self.lexicon.grammar.is_in(words[0], "not_things"))
        ):
            return None
        if len(words) == 1 and self._is_no_noun(words[0]):
            return None
        return words if any(part[0].isalpha() for part in words) else None

    def _is_no_noun(self, word: str) -> bool:
        """A lone adverb or participle names nothing: "yearly", "agreed"."""
        grammar, form = self.lexicon.grammar, self.lexicon.verbs.forms.get(word)
        adverb = word.endswith("ly") and not grammar.is_in(word, "not_adverbs")
        periodic = word in ("daily", "weekly", "monthly", "yearly", "hourly", "quarterly")
        numbering = len(word) == 1 or set(word) <= set("ivx")  # "(ii)" counts, it names nothing
        return adverb or numbering or periodic or (form is not None and form.form == "past" and form.lemma != word)

    def is_system(self, phrase: Phrase) -> bool:
        """Return whether a phrase means the product itself, not something in its data."""
        self._note_alias(phrase)
        if phrase.pronoun:
            return phrase.pronoun in ("we", "you", "us", "i") and self.speaker is None
        if not phrase.words:
            return False
        if phrase.words in self.aliases:
            return True
        if phrase.determiner not in _DEFINITE or phrase.owner is not None:
            return False
        if phrase.head.lower() in self.lexicon.grammar.strict_containers:
            return True
        return bool(self.product) and tuple(word.lower() for word in phrase.words) in {
            self.product,
            self.product_name,
        } - {()}

    def _note_alias(self, phrase: Phrase) -> None:
        """Remember initials in brackets: "the Bus Management System (BMS)" is the BMS from then on."""
        words = [word.token.text for word in phrase.bracket if word.token.is_word]
        named = bool(phrase.words) and phrase.head.lower() in self.lexicon.grammar.containers
        if named and len(words) == 1 and len(words[0]) > 1 and words[0].isupper():
            self.aliases.add((words[0].lower(),))

    def owner_of(self, phrase: Phrase) -> EntityName | None:
        """Return whose a phrase is: "an author's name", "its name", "the name of the author"."""
        if phrase.owner is not None:
            return self.resolve(phrase.owner)
        if self.lexicon.grammar.is_in(phrase.determiner, "possessives"):
            return self.subject
        return self.resolve(phrase.of) if phrase.of is not None else None
