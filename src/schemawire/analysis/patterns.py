"""A text to facts: each sentence goes to the rule that understands its form.

Knows the order of the rules; what the facts amount to is `build`'s concern.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from schemawire.analysis.business_rules import read_rules
from schemawire.analysis.clauses import Clause, read_clauses
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityFact, Fact, NameFact, Source, words_of
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.lists import read_list
from schemawire.analysis.notes import (
    declare,
    find_definition,
    read_definition,
    read_field,
    read_fields,
)
from schemawire.analysis.noun_phrases import Phrase, read_phrase, unwrapped
from schemawire.analysis.relations import ClauseReader
from schemawire.analysis.requests import find_product, product_name, read_purpose, read_request_list
from schemawire.analysis.sentences import Sentence, split_sentences
from schemawire.analysis.tagging import Word, tag_words

_SURE = 0.95
_ANNOUNCING = frozenset(
    {"have", "contain", "include", "store", "record", "consist", "manage", "track", "need", "be", "keep", "want"}
)


@dataclass(slots=True)
class PatternReader:
    """Reads one text; made anew for each."""

    lexicon: Lexicon
    context: Context = field(init=False)
    clauses: ClauseReader = field(init=False)

    def __post_init__(self) -> None:
        self.context = Context(self.lexicon)
        self.clauses = ClauseReader(self.context)

    def read(self, text: str) -> list[Fact]:
        """Return everything that the text says, in its order."""
        facts: list[Fact] = []
        for sentence in split_sentences(text):
            facts.extend(self.read_sentence(sentence))
        return facts

    def read_sentence(self, sentence: Sentence) -> list[Fact]:
        """Return what one sentence says, given those before it."""
        facts: list[Fact] = []
        words = tag_words(sentence.tokens, self.lexicon)
        facts.extend(read_rules(sentence, words, self.context))
        for fact in self._read_sentence(sentence, words):
            facts.append(fact)
            self.context.known.update(words_of(fact))
        return facts

    def _read_sentence(self, sentence: Sentence, words: Sequence[Word]) -> Iterator[Fact]:
        if sentence.kind == "heading":
            yield from self._read_heading(words)
            return
        if sentence.kind != "bullet":
            self.context.listing = ""
        if sentence.kind == "bullet" and self.context.listing and not _has_predicate(words):
            yield from self._read_bullet(words)
            return
        definition = find_definition(words, self.context)
        if definition is not None:
            yield from read_definition(definition, self.context)
            return
        yield from self._read_story_opening(words)
        yield from self._read_prose(words)

    def _read_heading(self, words: Sequence[Word]) -> Iterator[Fact]:
        found = read_phrase(words, 0, self.lexicon.grammar)
        phrase = found[0] if found else None
        if phrase is None or not phrase.words or len(phrase.words) > 3:
            self.context.topic, self.context.listing = None, "things"
            return
        last, grammar = phrase.words[-1].lower(), self.lexicon.grammar
        is_fields = grammar.is_in(last, "field_headings")
        if is_fields and self.context.topic is not None:
            self.context.listing = "fields"
        elif is_fields or grammar.is_in(last, "general_headings") or self.context.is_system(phrase):
            self.context.topic, self.context.listing = None, "things"
        elif (name := self.context.name(phrase)) is not None:
            self.context.topic = self.context.subject = name
            self.context.listing = "fields"
            source = Source(phrase.start, phrase.end, "heading", _SURE)
            yield EntityFact(words=name, source=source, strength="stated")

    def _read_bullet(self, words: Sequence[Word]) -> Iterator[Fact]:
        if self.context.listing == "fields" and self.context.topic is not None:
            inner = tuple(word for word in words if word.lower not in (".", ";"))
            yield from read_field(self.context.topic, inner, self.context, "bullet") if inner else ()
            return
        definition = find_definition(words, self.context)
        if definition is not None:
            yield from read_definition(definition, self.context)
            return
        found = read_list(words, 0, self.lexicon.grammar)
        for phrase in found[0] if found else ():
            yield from declare(phrase, self.context, "bullet")

    def _read_story_opening(self, words: Sequence[Word]) -> Iterator[Fact]:
        """Remember who speaks: the I of "As a customer, I want …" is a customer."""
        self.context.speaker = None
        if len(words) < 3 or words[0].lower != "as" or words[1].lower not in ("a", "an", "the"):
            return
        found = read_phrase(words, 1, self.lexicon.grammar)
        name = self.context.name(found[0]) if found else None
        if found is not None and name is not None:
            self.context.speaker = name
            source = Source(found[0].start, found[0].end, "user-story", _SURE)
            yield EntityFact(words=name, source=source, strength="declared")

    def _read_prose(self, words: Sequence[Word]) -> Iterator[Fact]:
        product = None if self.context.speaker else find_product(words, self.lexicon)
        if product is not None:
            yield from self._read_request(words, *product)
            return
        clauses = read_clauses(words, self.lexicon)
        for clause in clauses:
            yield from self.clauses.read(clause)
            yield from self._read_brackets(clause)
        self._expect_bullets(words, clauses)

    def _read_request(self, words: Sequence[Word], product: tuple[str, ...], after: int) -> Iterator[Fact]:
        purpose = read_purpose(words, after, self.lexicon)
        if purpose is not None:
            product, after = tuple(word.lower() for word in purpose[0].words), purpose[1]
        start, end = words[0].token.start, words[after - 1].token.end
        name = product_name(product, self.lexicon.grammar)
        self.context.product, self.context.product_name = product, name
        if name:
            yield NameFact(words=name, source=Source(start, end, "request", _SURE))
        self.context.listing, self.context.topic = "things", None
        listed = read_request_list(words, after, self.lexicon)
        index = after
        if listed is not None:
            phrases, index = listed
            yield from self._read_listed(phrases)
        for clause in read_clauses(_from_clause(words, index, phrases if listed else []), self.lexicon):
            yield from self.clauses.read(clause)

    def _read_listed(self, phrases: Sequence[Phrase]) -> Iterator[Fact]:
        for listed in phrases:
            phrase = unwrapped(listed, self.lexicon.grammar)
            yield from declare(phrase, self.context, "request")
            name = self.context.name(phrase)
            if name is not None:
                self.context.subject = name

    def _read_brackets(self, clause: Clause) -> Iterator[Fact]:
        """Read the fields in brackets behind things: "a customer (name, email) places orders (date, total)"."""
        others = [phrase for adjunct in clause.adjuncts for phrase in adjunct.phrases]
        taken = clause.objects if self.lexicon.verbs.is_in(clause.lemma, "having") else ()
        for phrase in (*clause.subjects, *clause.objects, *others):
            if phrase in taken or not _lists_things(phrase.bracket):
                continue
            if (name := self.context.resolve(phrase)) is not None:
                yield from read_fields(name, phrase.bracket, self.context, "bracket")

    def _expect_bullets(self, words: Sequence[Word], clauses: Sequence[Clause]) -> None:
        """Remember what bullets will be: "A post has:" announces the fields of a post, "The system manages:" things."""
        if words[-1].lower != ":":
            return
        clause = clauses[-1] if clauses else None
        self.context.listing, self.context.topic = "things", None
        if clause is not None and clause.subjects and clause.lemma in _ANNOUNCING and not clause.objects:
            owner = self.context.resolve(clause.subjects[-1])
            if owner is not None:
                self.context.topic, self.context.listing = owner, "fields"


def _lists_things(bracket: Sequence[Word]) -> bool:
    return bool(bracket) and bracket[0].lower not in (
        "e.g.",
        "i.e.",
        "for",
        "such",
        "like",
        "the",
        "a",
        "an",
        "in",
        "if",
        "which",
    )


def _has_predicate(words: Sequence[Word]) -> bool:
    return any(
        word.tag in ("be", "have", "modal") or (word.tag == "verb" and word.form in ("s", "base")) for word in words
    )


def _from_clause(words: Sequence[Word], index: int, phrases: Sequence[Phrase]) -> Sequence[Word]:
    """Return the words of the clauses behind a request's list; "posts that have titles" needs its posts again."""
    if not phrases or index >= len(words) or words[index].tag not in ("rel", "verb", "prep"):
        return words[index:]
    last = phrases[-1]
    first = next(i for i, word in enumerate(words) if word.token.start >= last.start)
    return words[first:]


def read_facts(text: str, lexicon: Lexicon) -> list[Fact]:
    """Return everything that a text says, in its order."""
    return PatternReader(lexicon).read(text)
