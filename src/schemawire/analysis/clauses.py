"""Sentences to clauses: who does what with what, and how much of it.

Knows tagged words, lists and verb groups; knows no schema.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.lists import read_item, read_list, skip_separator
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import read_quantity
from schemawire.analysis.tagging import Word

Modality = Literal["", "optional", "required"]

_GROUP = frozenset({"modal", "be", "have", "do", "neg", "adv", "to", "verb"})
_WINDOW = 8
_MAX_REST = 12
_FRONT = frozenset({"for", "in", "on", "at", "with", "per", "of", "to"})
_PERMITTING = frozenset({"allow", "let", "enable", "help", "permit", "require", "invite", "ask", "want", "need"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjunct:
    """A preposition and the phrases behind it."""

    preposition: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One predicate with its subjects, objects and adjuncts.

    `fronted` are the adjuncts before the subject ("For each order, …"); `condition` marks clauses behind if and when.
    """

    subjects: tuple[Phrase, ...]
    lemma: str
    verbs: tuple[str, ...]
    passive: bool = False
    negated: bool = False
    modality: Modality = ""
    objects: tuple[Phrase, ...] = ()
    adjuncts: tuple[Adjunct, ...] = ()
    fronted: tuple[Adjunct, ...] = ()
    condition: bool = False
    wished: bool = False
    """The subject wants or needs to do it."""
    listed: tuple[Phrase, ...] = ()
    """What is listed behind a colon."""
    rest: tuple[Word, ...] = ()
    """The words behind the predicate, as far as the next comma."""
    predicate: tuple[Word, ...] = ()
    """What follows a form of be: adjectives and quantifiers that no phrase covers."""
    start: int = 0
    end: int = 0

    def behind(self, *prepositions: str) -> tuple[Phrase, ...]:
        """Return the phrases behind the first adjunct with one of these prepositions."""
        return next((adjunct.phrases for adjunct in self.adjuncts if adjunct.preposition in prepositions), ())


@dataclass(slots=True)
class _Reader:
    """A sentence being read: `pending` may become a subject, `last` is what a relative pronoun would mean."""

    words: Sequence[Word]
    lexicon: Lexicon
    clauses: list[Clause] = field(default_factory=list)
    pending: tuple[Phrase, ...] = ()
    last: tuple[Phrase, ...] = ()
    fronted: tuple[Adjunct, ...] = ()
    relative: bool = False
    condition: bool = False
    is_open: bool = False
    is_listing: bool = False
    resumable: int | None = None
    coordinated: bool = False

    def read(self) -> list[Clause]:
        index = 0
        while index < len(self.words):
            index = self._step(index)
        self._resume()
        return self.clauses

    def _resume(self) -> None:
        """Give back what follows a relative clause: "a number, which is unique, and a date" goes on behind it."""
        if self.resumable is None or not self.pending:
            return
        clause = self.clauses[self.resumable]
        if clause.objects and self.lexicon.verbs.is_in(clause.lemma, "having"):
            self.clauses[self.resumable] = replace(clause, objects=(*clause.objects, *self.pending))

    def _step(self, index: int) -> int:
        word = self.words[index]
        if word.tag == "rel":
            if self.clauses and not self.pending and not self.relative:
                self.resumable = len(self.clauses) - 1
            self.relative, self.is_open = True, False
            return index + 1
        if word.tag == "sub":
            self.condition = word.lower in ("if", "when", "unless", "whenever", "once", "until", "while")
            self.pending, self.is_open = (), False
            return index + 1
        if word.tag in ("modal", "be", "have", "do", "verb", "to", "neg"):
            return self._read_predicate(index)
        if word.tag == "prep":
            return self._read_adjunct(index)
        found = read_list(self.words, index, self.lexicon.grammar, is_subject=not self._awaits_objects())
        if found is None:
            if word.lower == ":":
                self.is_open = self.is_listing = bool(self.clauses)
            return index + 1
        return self._take_list(*found)

    def _take_list(self, phrases: list[Phrase], after: int) -> int:
        if self.is_listing and self.clauses:
            self._amend(listed=tuple(phrases), end=phrases[-1].end)
            self.is_listing = False
        elif self._awaits_objects():
            self._amend(objects=tuple(phrases), end=phrases[-1].end)
        else:
            self.pending = tuple(phrases)
        self.last = tuple(phrases)
        return after

    def _awaits_objects(self) -> bool:
        if not self.is_open or not self.clauses:
            return False
        clause = self.clauses[-1]
        return not (clause.objects or clause.adjuncts or clause.predicate)

    def _read_adjunct(self, index: int) -> int:
        preposition = self.words[index].lower
        fronting = not self.pending and not self.is_open and preposition in _FRONT
        found = self._read_behind(index + 1, fronting)
        if found is None:
            return index + 1
        phrases, after = found
        adjunct = Adjunct(preposition=preposition, phrases=tuple(phrases))
        is_passive = self.is_open and bool(self.clauses) and self.clauses[-1].passive
        if not is_passive and self._is_possession(preposition, phrases):
            self._add_possession(adjunct)
            self.last = tuple(phrases)
            return after
        if self.is_open and self.clauses:
            self._amend(adjuncts=(*self.clauses[-1].adjuncts, adjunct), end=phrases[-1].end)
        elif fronting:
            self.fronted = (*self.fronted, adjunct)
        self.last = tuple(phrases)
        return after

    def _is_possession(self, preposition: str, phrases: list[Phrase]) -> bool:
        """Return whether a thing has what follows: "exercises with a weight" do, "users chat with friends" do not."""
        if preposition not in ("with", "including", "containing") or not self.last or not self.last[-1].words:
            return False
        known = [is_known_field(phrase, self.lexicon) for phrase in phrases]
        return sum(known) * 2 >= len(known) or preposition != "with"

    def _add_possession(self, adjunct: Adjunct) -> None:
        subject = self.last[-1]
        clause = Clause(
            subjects=(subject,), lemma="have", verbs=("have",), objects=adjunct.phrases, start=subject.start,
            end=adjunct.phrases[-1].end,
        )  # fmt: skip
        place = len(self.clauses) - 1 if self.is_open and self.clauses else len(self.clauses)
        self.clauses.insert(place, clause)  # the open clause stays the last one

    def _read_behind(self, index: int, fronting: bool) -> tuple[list[Phrase], int] | None:
        if not fronting:
            return read_list(self.words, index, self.lexicon.grammar)
        item = read_item(self.words, index, self.lexicon.grammar)  # behind its comma stands the subject
        return ([item[0]], item[1]) if item else None

    def _amend(self, **changes: object) -> None:
        self.clauses[-1] = replace(self.clauses[-1], **changes)  # type: ignore[arg-type]  # the callers name its fields

    def _read_predicate(self, index: int) -> int:
        self.coordinated = index > 0 and self.words[index - 1].tag == "conj"
        end = index
        while end < len(self.words) and self.words[end].tag in _GROUP and not self._counts(end):
            end += 1
        end, verbs = self._read_coordinated(index, end)
        group = self.words[index:end]
        if [word.lower for word in self.words[end : end + 2]] == ["up", "of"]:
            end += 1  # "made up of"
        clause = replace(self._make_clause(group, verbs), rest=self._rest(end))
        self.clauses.append(clause)
        self.pending, self.relative, self.is_open = (), False, True
        return self._read_objects(end)

    def _rest(self, index: int) -> tuple[Word, ...]:
        end = index
        while end < len(self.words) and end - index < _MAX_REST and self.words[end].lower not in (",", ".", ";"):
            end += 1
        return tuple(self.words[index:end])

    def _counts(self, index: int) -> bool:
        """Return whether an adverb begins a quantity: "has only one", "borrow up to five"."""
        if self.words[index].tag != "adv":
            return False
        ahead = [word.lower for word in self.words[index : index + _WINDOW]]
        return read_quantity(ahead, self.lexicon.grammar) is not None

    def _read_coordinated(self, index: int, end: int) -> tuple[int, tuple[str, ...]]:
        """Read "create, edit and delete" as one predicate with three verbs."""
        verbs = [word.lemma for word in self.words[index:end] if word.tag == "verb"][-1:]
        while verbs and end < len(self.words):
            after = skip_separator(self.words, end)
            if after == end or after >= len(self.words) or self.words[after].tag != "verb":
                break
            if self.words[after].form != self.words[end - 1].form:
                break
            verbs.append(self.words[after].lemma)
            end = after + 1
        return end, tuple(verbs)

    def _make_clause(self, group: Sequence[Word], verbs: tuple[str, ...]) -> Clause:
        main = next((word for word in reversed(group) if word.tag == "verb"), None)
        tags = [word.tag for word in group]
        lemma = verbs[0] if verbs else ("have" if "have" in tags else "be" if "be" in tags else "do")
        passive = main is not None and main.form == "past" and ("be" in tags or tags[0] == "verb")
        clause = Clause(
            subjects=self._subjects(group), lemma=lemma, verbs=verbs or (lemma,), passive=passive,
            negated="neg" in tags or any(word.lower == "cannot" for word in group), modality=self._modality(group),
            fronted=self.fronted, condition=self.condition, wished=_is_wished(group),
            start=group[0].token.start, end=group[-1].token.end,
        )  # fmt: skip
        if not self.relative:
            self.fronted, self.condition = (), False
        return replace(clause, start=min([clause.start, *(phrase.start for phrase in clause.subjects)]))

    def _subjects(self, group: Sequence[Word]) -> tuple[Phrase, ...]:
        previous = self.clauses[-1] if self.clauses else None
        if self.relative:
            return self.last[-1:]
        if self.pending:
            return self.pending
        if group[0].tag == "to" and previous is not None and previous.lemma in _PERMITTING and previous.objects:
            return previous.objects
        if self.coordinated and previous is not None:
            return previous.subjects
        if group[0].tag == "verb" and group[0].form in ("past", "ing") and self.last:
            return self.last[-1:]  # "books written by authors", "a form containing the name"
        return previous.subjects if previous is not None else ()

    def _modality(self, group: Sequence[Word]) -> Modality:
        grammar = self.lexicon.grammar
        if any(grammar.is_in(word.lower, "optional_modals") for word in group):
            return "optional"
        return "required" if any(grammar.is_in(word.lower, "required_modals") for word in group) else ""

    def _read_objects(self, index: int) -> int:
        while index < len(self.words) and self.words[index].lower in (":", "-", "both", "either", "following"):
            index += 1
        found = read_list(self.words, index, self.lexicon.grammar) if index < len(self.words) else None
        if found is None:
            return self._read_bare_predicate(index)
        phrases, after = found
        self._amend(objects=tuple(phrases), end=phrases[-1].end)
        self.last = tuple(phrases)
        return after

    def _read_bare_predicate(self, index: int) -> int:
        """Keep what follows a form of be without being a phrase: "is optional", "must be unique"."""
        end = index
        while end < len(self.words) and self.words[end].tag in ("adj", "adv", "conj") and end - index < 8:
            end += 1
        if end > index and self.words[end - 1].tag != "conj":
            self._amend(predicate=tuple(self.words[index:end]), end=self.words[end - 1].token.end)
            return end
        return index


def _is_wished(group: Sequence[Word]) -> bool:
    return any(word.lemma in ("want", "need", "like", "plan", "wish") for word in group[:-1] if word.tag == "verb")


def read_clauses(words: Sequence[Word], lexicon: Lexicon) -> list[Clause]:
    """Return the clauses of one sentence, in order."""
    return _Reader(words, lexicon).read()
