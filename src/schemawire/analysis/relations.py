"""Clauses to facts: who has, is, belongs to or does what.

Knows clauses and the verbs' groups; knows no schema.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.clauses import Adjunct, Clause
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityFact, EntityName, Fact, PropertyFact, RelationFact, Source
from schemawire.analysis.kinds import is_limit, named_relationship, read_copula, read_named_relationship
from schemawire.analysis.lexicon import Grammar, Verbs
from schemawire.analysis.noun_phrases import Mark, Phrase, unwrapped
from schemawire.analysis.quantifiers import MANY, ONE, OPTIONAL, SOME, Quantity
from schemawire.schema.model import RelationshipKind

_LINKING = (
    "to",
    "in",
    "on",
    "for",
    "at",
    "with",
    "from",
    "into",
    "by",
    "of",
    "onto",
    "between",
    "about",
    "through",
    "under",
)
_ABOUT = ("for", "of", "about", "on")
_PLACES = ("in", "on", "under")
_PURPOSES = ("for", "about")
_SURE, _FAIR, _WEAK = 0.9, 0.75, 0.5


@dataclass(frozen=True, slots=True)
class ClauseReader:
    """Reads the clauses of one text; what it learns of the subject goes to the context."""

    context: Context

    @property
    def _verbs(self) -> Verbs:
        return self.context.lexicon.verbs

    def read(self, clause: Clause) -> Iterator[Fact]:
        """Yield what one clause says."""
        if clause.negated:
            return
        told = [phrase for phrase in clause.objects if phrase.hint == "boolean" and phrase.owner is not None]
        for phrase in told:  # "an admin can see whether a driver is ill" tells of the driver
            owner = self.context.owner_of(phrase)
            if owner is not None:
                bare = replace(phrase, owner=None)
                yield PropertyFact(owner=owner, phrase=bare, source=_source(phrase, "whether", _FAIR), certain=True)
        if told:
            clause = replace(clause, objects=tuple(phrase for phrase in clause.objects if phrase not in told))
        yield from self._read_positive(clause)
        for mentioned in (*clause.objects, *clause.behind("by", "to", "in", "with"))[-1:]:
            self.context.object = self.context.resolve(mentioned) or self.context.object
        for subject in clause.subjects[-1:]:
            name = self.context.resolve(subject)
            if name is not None and not clause.condition and not subject.owner:
                self.context.subject = name

    def _read_positive(self, clause: Clause) -> Iterator[Fact]:
        ends = named_relationship(clause)
        if ends is not None:
            yield from read_named_relationship(clause, ends, self.context)
            return
        lemma = clause.lemma
        if self._is_recording(clause):
            yield from self._read_recording(clause)
        elif (
            clause.passive
            and (lemma in ("make", "compose", "comprise", "divide", "split"))
            and clause.behind("of", "into")
        ):
            yield from self._read_having(clause, clause.behind("of", "into"), "composition", "consists-of")
        elif lemma == "consist":
            yield from self._read_having(clause, clause.behind("of"), "composition", "consists-of")
        elif lemma == "belong":
            yield from self._read_linked(clause, clause.behind("to"), "belong", "to", "belongs-to")
        elif clause.passive and self._verbs.is_in(lemma, "describing") and clause.behind("by", "with"):
            yield from self._read_description(clause)
        elif lemma == "be" and not clause.objects and clause.behind(*_PLACES, *_PURPOSES) and not is_limit(clause):
            yield from self._read_place(clause)
        elif lemma == "be":
            yield from read_copula(clause, self.context)
        elif not clause.passive and self._verbs.is_in(lemma, "having") and clause.objects and not self._makes(clause):
            yield from self._read_having(clause, clause.objects, "association", "has")
        else:
            yield from self._read_verb(clause)

    def _makes(self, clause: Clause) -> bool:
        """Return whether things are made rather than had: "cameras record videos"."""
        bare = all(o.plural and not o.determiner and not o.bracket and o.quantity is None for o in clause.objects)
        lexicon = self.context.lexicon
        return clause.lemma == "record" and bare and not any(is_known_field(o, lexicon) for o in clause.objects)

    def _is_recording(self, clause: Clause) -> bool:
        if not self._verbs.is_in(clause.lemma, "recording"):
            return False
        if clause.passive:
            agents = clause.behind("by")
            return not agents or all(self.context.is_system(agent) for agent in agents)
        if clause.wished and clause.lemma in ("keep", "track", "store", "manage", "record", "organise", "organize"):
            self.context.aliases.update(subject.words for subject in clause.subjects if subject.words)
            return True  # "a rental company wants to keep track of its cars": the company is where the system runs
        if clause.lemma == "keep" and clause.objects and clause.objects[0].head == "track":
            self.context.aliases.update(subject.words for subject in clause.subjects if subject.words)
            return True  # "a kennel keeps track of dogs" likewise
        of = clause.objects[-1].of if clause.objects else None
        owners = (*clause.behind("of"), *((of,) if of is not None else ()))
        if clause.objects and any(owner.determiner in ("each", "every") for owner in owners):
            return True  # "the company stores the name of each customer"
        return bool(clause.subjects) and all(self.context.is_system(subject) for subject in clause.subjects)

    def _read_recording(self, clause: Clause) -> Iterator[Fact]:
        """The system stores something: fields of what stands behind "of" or "for each", else things."""
        listed = clause.subjects if clause.passive else clause.objects or clause.behind("of")
        if clause.listed:
            listed = clause.listed
        listed = _unwrap(listed, self.context.lexicon.grammar)
        owner = self._recording_owner(clause, listed)
        previous: EntityName | None = None
        for phrase in listed:
            if phrase.words and self.context.lexicon.grammar.is_in(phrase.head, "information_words"):
                if owner is not None:  # "information about movies": movies are kept
                    self.context.subject = owner
                    yield EntityFact(words=owner, source=_source(phrase, "managed", _SURE))
                continue
            own = self._own(phrase, previous) or owner
            previous = self.context.name(phrase)
            if own is not None:
                source = _source(phrase, "recorded", _SURE)
                bare = replace(phrase, of=None, owner=None)
                yield PropertyFact(owner=own, phrase=bare, source=source, optional=clause.modality == "optional")
            elif (name := self.context.name(phrase)) is not None and not clause.passive:
                yield EntityFact(words=name, source=_source(phrase, "managed", _SURE), strength="declared")
                yield from self._bracketed(name, phrase)

    def _own(self, phrase: Phrase, previous: EntityName | None) -> EntityName | None:
        """In "customers and their orders" the possessive means the thing before it, not the system."""
        if self.context.lexicon.grammar.is_in(phrase.determiner, "possessives"):
            return previous
        return self.context.owner_of(phrase)

    def _recording_owner(self, clause: Clause, listed: tuple[Phrase, ...]) -> EntityName | None:
        for adjunct in (*clause.fronted, *clause.adjuncts):
            if adjunct.preposition in _ABOUT and adjunct.phrases:
                return self.context.resolve(adjunct.phrases[-1])
        last = listed[-1] if listed else None
        return self.context.owner_of(last) if last is not None and (last.of or last.owner) else None

    def _bracketed(self, name: EntityName, phrase: Phrase) -> Iterator[Fact]:
        if phrase.bracket:
            yield PropertyFact(owner=name, phrase=phrase, source=_source(phrase, "bracket", _SURE))

    def _read_having(
        self, clause: Clause, objects: tuple[Phrase, ...], kind: RelationshipKind, rule: str
    ) -> Iterator[Fact]:
        fronted = [phrase for adjunct in clause.fronted if adjunct.preposition == "for" for phrase in adjunct.phrases]
        for subject in clause.subjects:
            owner = self.context.resolve(subject)
            if owner is None and fronted:
                owner = self.context.resolve(fronted[-1])
            if owner is None:
                continue
            self.context.subject = owner
            yield EntityFact(words=owner, source=_source(subject, "subject", _FAIR), strength="stated")
            for phrase in self._had(clause, objects):
                yield self._property(owner, phrase, subject, clause, kind=kind, rule=rule)

    def _had(self, clause: Clause, objects: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
        """Return what is had: the list behind a colon names it, or the values of the one thing before the colon."""
        grammar = self.context.lexicon.grammar
        last = objects[-1] if objects else None
        if not clause.listed or last is None or grammar.is_in(last.head, "information_words"):
            return _unwrap(clause.listed or objects, grammar)
        if last.plural:
            return _unwrap(clause.listed, grammar)
        values = tuple(" ".join(phrase.words) for phrase in clause.listed)
        return (*_unwrap(objects[:-1], grammar), replace(last, values=values, end=clause.listed[-1].end))

    def _property(
        self, owner: EntityName, phrase: Phrase, subject: Phrase, clause: Clause, *, kind: RelationshipKind, rule: str
    ) -> PropertyFact:
        source = Source(min(subject.start, phrase.start), phrase.end, rule, _SURE)
        return PropertyFact(
            owner=owner, phrase=phrase, source=source, kind=kind, relational=kind == "composition",
            optional=clause.modality == "optional", required=clause.modality == "required",
        )  # fmt: skip

    def _read_place(self, clause: Clause) -> Iterator[Fact]:
        """Read "a song can be in many playlists" as belonging, "a booking is for one room" as what it is for."""
        places = clause.behind(*_PLACES)
        if places:
            yield from self._read_linked(clause, places, "belong", "to", "is-in")
        for preposition in _PURPOSES:
            yield from self._read_linked(clause, clause.behind(preposition), "be", preposition, "is-for")

    def _read_description(self, clause: Clause) -> Iterator[Fact]:
        rule = f"{clause.lemma}-by"
        for subject in clause.subjects:
            owner = self.context.resolve(subject)
            if owner is None:
                continue
            yield EntityFact(words=owner, source=_source(subject, "subject", _FAIR), strength="stated")
            for phrase in clause.behind("by", "with"):
                identifying: frozenset[Mark] = frozenset({"unique", "required"} if clause.lemma == "identify" else ())
                marked = replace(phrase, marks=phrase.marks | identifying)
                yield PropertyFact(
                    owner=owner, phrase=marked, source=Source(subject.start, phrase.end, rule, _SURE),
                    optional=clause.modality == "optional",
                )  # fmt: skip

    def _read_verb(self, clause: Clause) -> Iterator[Fact]:
        lemma = next((verb for verb in clause.verbs if not self._verbs.is_in(verb, "idle")), None)
        if clause.passive:
            yield from self._read_passive(clause, lemma or clause.lemma)
            return
        if lemma is not None and clause.objects:
            yield from self._read_linked(clause, clause.objects, lemma, "", "verb")
            yield from self._read_object_links(clause, lemma)
        elif lemma is not None:
            for adjunct in clause.adjuncts[:1]:
                if adjunct.preposition in _LINKING:
                    yield from self._read_linked(
                        clause, adjunct.phrases, lemma, adjunct.preposition, "verb-preposition"
                    )

    def _read_object_links(self, clause: Clause, lemma: str) -> Iterator[Fact]:
        """Read the object with what follows it: "staff lends tools to members" says something of tools, too."""
        for adjunct in clause.adjuncts[:1]:
            if (
                adjunct.preposition in ("to", "on", "in", "for", "into", "about", "with", "from", "at")
                and len(clause.objects) == 1
            ):
                yield from self._link(clause.objects[0], adjunct, lemma, clause)

    def _link(self, phrase: Phrase, adjunct: Adjunct, lemma: str, clause: Clause) -> Iterator[Fact]:
        source_words = self.context.resolve(phrase)
        for other in adjunct.phrases[:2]:
            target = self.context.resolve(other)
            if source_words is None or target is None or source_words == target:
                continue
            known = source_words in self.context.known
            if adjunct.preposition in ("to", "for") and not known and is_known_field(phrase, self.context.lexicon):
                yield PropertyFact(owner=target, phrase=phrase, source=_source(phrase, "given-to", _FAIR))
                continue
            yield RelationFact(
                source_words=source_words, target_words=target, verb=lemma, particle=adjunct.preposition, passive=True,
                source=Source(phrase.start, other.end, "object-preposition", _WEAK),
                source_quantity=MANY, target_quantity=self._shared(other, clause, lemma),
            )  # fmt: skip

    def _shared(self, other: Phrase, clause: Clause, lemma: str) -> Quantity | None:
        """A bare plural behind a new object is shared out: "send messages to channels" means one channel each."""
        shares = self._verbs.is_in(lemma, "creating") or self._verbs.is_in(lemma, "staying")
        if shares and other.quantity is None and not other.determiner:
            return ONE
        return _counted(other, clause, default=ONE)

    def _read_passive(self, clause: Clause, lemma: str) -> Iterator[Fact]:
        agents = clause.behind("by")
        for agent in agents:
            for subject in clause.subjects:
                yield from self._agent(agent, subject, lemma, clause)
        others = [a for a in clause.adjuncts if a.preposition != "by" and a.preposition in _LINKING]
        for adjunct in others[:2]:
            yield from self._read_linked(clause, adjunct.phrases, lemma, adjunct.preposition, "passive-preposition")

    def _agent(self, agent: Phrase, subject: Phrase, lemma: str, clause: Clause) -> Iterator[Fact]:
        doer, done = self.context.resolve(agent), self.context.resolve(subject)
        if doer is None or done is None:
            return
        yield RelationFact(
            source_words=doer, target_words=done, verb=lemma,
            source=Source(min(subject.start, agent.start), max(agent.end, subject.end), "passive-by", _SURE),
            source_quantity=_counted(agent, clause, default=None), target_quantity=None if subject.determiner else MANY,
        )  # fmt: skip

    def _read_linked(
        self, clause: Clause, others: tuple[Phrase, ...], lemma: str, particle: str, rule: str
    ) -> Iterator[Fact]:
        confidence = _SURE if rule != "passive-preposition" else _FAIR
        for subject in clause.subjects:
            doer = self.context.resolve(subject)
            if doer is None:
                continue
            for other in _unwrap(others, self.context.lexicon.grammar):
                target = self.context.resolve_object(other)
                if target is None or other.owner is not None:
                    continue
                yield RelationFact(
                    source_words=doer, target_words=target, verb=lemma, particle=particle,
                    passive=rule == "passive-preposition",
                    through=self._through(clause),
                    source=Source(min(subject.start, other.start), other.end, rule, confidence),
                    source_quantity=_subject_count(subject, particle),
                    target_quantity=self._target_count(other, clause, subject, particle),
                )  # fmt: skip

    def _through(self, clause: Clause) -> EntityName:
        """Return what carries the relation: "students take courses through enrollments"."""
        carrier = clause.behind("through", "via")[:1]
        return (self.context.resolve(carrier[0]) or ()) if carrier else ()

    def _target_count(self, other: Phrase, clause: Clause, subject: Phrase, particle: str) -> Quantity | None:
        each = subject.determiner in ("each", "every")
        singular = not other.is_many and other.determiner in ("a", "an", "the", "another", "")
        if singular and not particle and not each and self._verbs.is_in(clause.lemma, "creating"):
            return MANY  # "a customer places an order": the next day another one
        if singular and not particle and not each and clause.modality == "optional":
            return MANY
        if self._verbs.is_in(clause.lemma, "staying") and other.quantity is None and not other.determiner:
            return ONE  # "animals live in cages": each in one
        return _counted(other, clause, default=None)


def _counted(phrase: Phrase, clause: Clause, default: Quantity | None) -> Quantity | None:
    """Return how many a phrase speaks of, lowered to none where the clause says may, raised where it says must."""
    quantity = phrase.quantity
    if quantity is None:
        if phrase.plural:
            return SOME if clause.modality == "required" else MANY
        quantity = ONE if phrase.determiner or default is ONE else default
    if quantity is None:
        return None
    if clause.modality == "optional" and quantity.low == 1:
        return OPTIONAL if quantity.high == 1 else replace(quantity, low=0)
    if clause.modality == "required" and quantity.low == 0 and quantity.high is None:
        return SOME
    return quantity


def _subject_count(subject: Phrase, particle: str) -> Quantity | None:
    """The number before a subject counts subjects per object only when it is a real number."""
    quantity = subject.quantity
    if quantity is None or quantity.word in ("a", "an", "each", "every", "another", "one", "all", "any", "some", "no"):
        return MANY if particle == "to" else None
    return quantity


def _unwrap(phrases: tuple[Phrase, ...], grammar: Grammar) -> tuple[Phrase, ...]:
    return tuple(unwrapped(phrase, grammar) for phrase in phrases)


def _source(phrase: Phrase, rule: str, confidence: float) -> Source:
    return Source(phrase.start, phrase.end, rule, confidence)
