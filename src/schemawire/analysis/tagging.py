"""Word classes of a sentence's tokens, decided by closed lists, verb forms and position.

Knows one sentence at a time; knows no phrase or meaning. One pass from left to right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemawire.analysis.lexicon import Lexicon, VerbForm
from schemawire.analysis.naming import is_plural
from schemawire.analysis.sentences import Token

Tag = Literal[
    "det", "num", "adj", "noun", "verb", "be", "have", "do", "modal", "neg", "adv", "prep", "to", "conj", "pron",
    "rel", "sub", "poss", "punct",
]  # fmt: skip

_CLOSED: tuple[tuple[str, Tag], ...] = (
    ("be", "be"), ("have", "have"), ("do", "do"), ("modals", "modal"), ("negations", "neg"), ("pronouns", "pron"),
    ("articles", "det"), ("conjunctions", "conj"), ("adverbs", "adv"), ("prepositions", "prep"),
    ("subordinators", "sub"),
)  # fmt: skip
_QUANTIFIERS = frozenset(
    {"each", "every", "many", "multiple", "several", "some", "any", "all", "numerous", "no", "both", "few", "more"}
)
_RELATIVE = frozenset({"that", "which", "who", "whom"})
_SUBJECT_ENDS: frozenset[Tag] = frozenset({"noun", "pron", "rel"})
_SILENT_E = ("iz", "at", "ur", "uc", "as", "os", "us", "iv", "ov", "ic", "ag", "ar", "ir", "id", "ad", "in")
_CAUSATIVE = frozenset({"let", "make", "help", "have"})
_THIRD_PERSON = frozenset({"it", "he", "she", "who", "that", "which"})
_BASE_PERSON = frozenset({"they", "we", "you", "i", "who", "that", "which"})


@dataclass(frozen=True, slots=True)
class Word:
    """A token with its class; a verb also with its lemma and form (base, s, past, ing)."""

    token: Token
    tag: Tag
    lemma: str
    form: str = ""

    @property
    def lower(self) -> str:
        """The token in lower case."""
        return self.token.lower


class _State:
    """What has been seen of the clause so far.

    `finite`: a finite verb stands in it; `modal`: with can or must; `relative`: a relative clause is open.
    `fresh`: the phrase being read follows a boundary, so it may be a new subject.
    """

    def __init__(self) -> None:
        self.finite = False
        self.fresh = True
        self.expects_base = False
        self.relative = self.modal = self.plural_head = False
        self.previous: Word | None = None

    def see(self, word: Word) -> None:
        match word.tag:
            case "rel" | "sub":
                self.finite, self.fresh, self.relative, self.modal = False, True, word.tag == "rel", False
            case "conj":
                self.fresh = True
            case "punct":
                self.finite = self.finite and word.lower not in (":", ";", "-", "–", "—")
                self.fresh = True
            case "be" | "have" | "do" | "modal":
                self.finite, self.fresh = True, False
                self.modal = self.modal or word.tag == "modal"
            case "verb":
                self.finite = word.form == "ing" or word.lemma not in _CAUSATIVE
                self.fresh = not self.finite
            case "prep":
                noun = self.previous is not None and self.previous.tag == "noun"
                self.plural_head = noun and self.previous is not None and is_plural(self.previous.lower)
                self.fresh = False
        if word.tag not in ("adv", "neg", "conj", "punct", "verb"):
            self.expects_base = word.tag in ("modal", "to", "do")
        elif word.tag == "verb":
            self.expects_base = self.expects_base and word.form == "base"
        if word.tag != "adv":
            self.previous = word


def tag_words(tokens: Sequence[Token], lexicon: Lexicon) -> tuple[Word, ...]:
    """Return the tokens of one sentence with their classes."""
    state = _State()
    words = []
    for index, token in enumerate(tokens):
        following = tokens[index + 1].lower if index + 1 < len(tokens) else ""
        word = _classify(token, following, state, lexicon)
        state.see(word)
        words.append(word)
    return _guess_verb(words, lexicon)


def _guess_verb(words: list[Word], lexicon: Lexicon) -> tuple[Word, ...]:
    """Return the words with an unknown verb guessed: "keepers groom animals" has no other."""
    if any(word.tag in ("verb", "be", "have", "modal", "rel") or word.lower == ":" for word in words):
        return tuple(words)
    for index in range(1, len(words) - 1):
        before, word, after = words[index - 1 : index + 2]
        if _is_guessed_third_person(words, index):
            words[index] = Word(word.token, "verb", word.lower.removesuffix("s"), "s")
            break
        between = before.tag == word.tag == "noun" and is_plural(before.lower) and not is_plural(word.lower)
        if between and (after.tag == "det" or (after.tag == "noun" and is_plural(after.lower))):
            words[index] = Word(word.token, "verb", word.lower, "base")
            break
    return tuple(words)


def _is_guessed_third_person(words: list[Word], index: int) -> bool:
    """Return whether it is "a gardener waters plants": a determiner, a noun, and a word in -s before an object."""
    if index < 2 or words[index - 2].tag != "det" or not words[index].lower.endswith("s"):
        return False
    before, word, after = words[index - 1 : index + 2]
    is_object = after.tag == "det" or (after.tag == "noun" and is_plural(after.lower))
    return before.tag == word.tag == "noun" and not is_plural(before.lower) and is_object


def _classify(token: Token, following: str, state: _State, lexicon: Lexicon) -> Word:
    form = lexicon.verbs.forms.get(token.lower) or _guessed_form(token.lower, lexicon)
    if lexicon.grammar.is_in(token.lower, "required_words") and following != "to":
        return Word(token, "adj", token.lower)
    if form is not None and _is_verb(form, following, state, lexicon):
        return Word(token, "verb", form.lemma, form.form)
    tag = _closed_tag(token, following, state, lexicon)
    if tag:
        lemma = {"have": "have", "be": "be"}.get(tag, token.lower)
        return Word(token, tag, lemma)
    if form is not None and form.form == "past" and token.lower not in lexicon.nouns.types:
        return Word(token, "adj", token.lower)
    if lexicon.grammar.is_in(token.lower, "adjectives") or lexicon.grammar.is_in(token.lower, "empty_adjectives"):
        return Word(token, "adj", token.lower)
    return Word(token, "noun", token.lower)


def _guessed_form(word: str, lexicon: Lexicon) -> VerbForm | None:
    """Return an unlisted word in -ed as a past form: "finalized" is no noun."""
    if len(word) < 6 or not word.endswith("ed") or word.endswith("eed") or word in lexicon.nouns.types:
        return None
    stem = word[:-2]
    return VerbForm(lemma=stem + "e" if stem.endswith(_SILENT_E) else stem, form="past")


def _closed_tag(token: Token, following: str, state: _State, lexicon: Lexicon) -> Tag | None:
    lower, previous = token.lower, state.previous
    if lower == "'s" or (
        lower == "'" and previous is not None and previous.tag == "noun" and previous.lower[-1] == "s"
    ):
        return "poss"
    if not token.is_word:
        return "conj" if lower == "&" else "punct"
    if lower[0].isdigit() or (lower in lexicon.grammar.numbers and following not in ("time",)):
        return "num"
    if (
        lower in _RELATIVE
        and previous is not None
        and (previous.tag in ("noun", "adj") or previous.lower in (",", ")"))
    ):
        return "rel"
    if lower == "to" and _is_base(following, lexicon) and not (previous is not None and previous.lemma == "belong"):
        return "to"
    if lower in _QUANTIFIERS:
        return "det"
    found = next((tag for group, tag in _CLOSED if lexicon.grammar.is_in(lower, group)), None)
    if found is None and lower.endswith("ly") and len(lower) > 4 and not lexicon.grammar.is_in(lower, "not_adverbs"):
        return "adv"
    return found


def _is_base(word: str, lexicon: Lexicon) -> bool:
    form = lexicon.verbs.forms.get(word)
    return word == "be" or (form is not None and form.form == "base")


def _is_verb(form: VerbForm, following: str, state: _State, lexicon: Lexicon) -> bool:
    previous = state.previous
    if previous is not None and previous.tag in ("det", "adj", "num", "poss") and previous.lower not in _RELATIVE:
        return False
    if form.lemma == "have":
        return False  # has its own class: it may be an auxiliary
    match form.form:
        case "base":
            return _is_base_verb(form, following, state, lexicon)
        case "s":
            return _is_third_person(form, following, state, lexicon)
        case "past":
            return _is_past_verb(following, state, lexicon)
    return _is_gerund(following, state, lexicon)


def _starts_phrase(word: str, lexicon: Lexicon) -> bool:
    """Return whether a word can begin an object: a determiner, number, quantifier, adjective or plural noun."""
    grammar = lexicon.grammar
    groups = ("articles", "adjectives", "empty_adjectives")
    if word in _QUANTIFIERS or word in grammar.numbers or word[:1].isdigit():
        return True
    if any(grammar.is_in(word, group) for group in groups) or word in ("at", "up", "exactly", "only", "zero"):
        return True
    return word.isalpha() and is_plural(word)


def _starts_counted(word: str, lexicon: Lexicon) -> bool:
    if word in ("at", "up", "exactly", "between"):
        return True
    return word in _QUANTIFIERS or word in lexicon.grammar.numbers or lexicon.grammar.is_in(word, "articles")


def _is_base_verb(form: VerbForm, following: str, state: _State, lexicon: Lexicon) -> bool:
    previous = state.previous
    if previous is None:
        return form.lemma in lexicon.grammar.request_verbs or _starts_phrase(following, lexicon)
    if state.expects_base:
        if previous.tag in ("modal", "to", "do", "neg"):
            return True
        return previous.tag in ("conj", "punct", "verb") and following not in (".", ")", "")
    if state.plural_head and not state.finite and previous.tag == "noun" and _starts_phrase(following, lexicon):
        return True  # "members of a club pay fees"
    subject = previous.lower in _BASE_PERSON or (previous.tag == "noun" and is_plural(previous.lower))
    if not subject:
        if previous.tag not in ("conj", "punct") or (form.lemma in lexicon.verbs.ambiguous and not state.modal):
            return False
        if state.modal and following in ("on", "to", "for", "in"):
            return True
        return form.lemma in lexicon.grammar.request_verbs or _starts_phrase(following, lexicon)
    if form.lemma not in lexicon.verbs.ambiguous:
        return True
    return (not state.finite or state.fresh) and following not in (",", ".", ")", "and", "or", "", ":")


def _is_third_person(form: VerbForm, following: str, state: _State, lexicon: Lexicon) -> bool:
    previous = state.previous
    if previous is None:
        return False
    if previous.tag == "conj":
        certain = form.lemma not in lexicon.verbs.ambiguous or _starts_counted(following, lexicon)
        return state.finite and certain
    subject = previous.lower in _THIRD_PERSON or previous.tag in _SUBJECT_ENDS or previous.lower in (")", ",")
    if not subject or (previous.tag == "noun" and is_plural(previous.lower) and form.lemma in lexicon.verbs.ambiguous):
        return False
    if form.lemma not in lexicon.verbs.ambiguous:
        return True
    if previous.lower in (")", ",") and not state.relative:
        return False
    phrase = _starts_phrase(following, lexicon) or lexicon.grammar.is_in(following, "prepositions")
    return (not state.finite or state.fresh or state.relative) and (
        phrase or (following.isalpha() and not state.finite)
    )


def _is_past_verb(following: str, state: _State, lexicon: Lexicon) -> bool:
    previous = state.previous
    if previous is None:
        return False
    if previous.tag in ("be", "have", "neg") or (previous.tag in ("conj", "punct") and state.expects_base):
        return True
    if previous.tag in ("conj", "punct") and following in ("by", "to", "from", "in", "on", "as", "at", "for"):
        return state.finite
    if previous.tag not in _SUBJECT_ENDS and previous.lower != ")":
        return previous.tag == "verb" and previous.form == "past"
    return lexicon.grammar.is_in(following, "prepositions") or (not state.finite and _starts_phrase(following, lexicon))


def _is_gerund(following: str, state: _State, lexicon: Lexicon) -> bool:
    previous = state.previous
    if previous is None:
        return _starts_phrase(following, lexicon)
    if previous.tag == "be":
        return True
    if previous.tag in ("prep", "noun", "sub", "conj", "punct", "verb"):
        return _starts_phrase(following, lexicon) or (previous.tag == "prep" and following.isalpha())
    return False
