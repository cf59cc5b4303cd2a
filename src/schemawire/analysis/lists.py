"""Lists of noun phrases: "a title, a body and whether it is published".

Knows tagged words and where a list ends because a new clause begins; knows no meaning.
"""

from collections.abc import Sequence
from dataclasses import replace

from schemawire.analysis.lexicon import Grammar
from schemawire.analysis.noun_phrases import Phrase, read_phrase
from schemawire.analysis.quantifiers import Quantity
from schemawire.analysis.tagging import Word

_LINKS = (("as", "well", "as"), ("along", "with"), ("together", "with"), ("in", "addition", "to"), ("followed", "by"))
_SEPARATORS = frozenset({",", "and", "or", "&", "/", "plus", "nor", ";"})
_CONSTRAINT_WORDS = frozenset(
    {"up", "at", "between", "from", "in", "with", "maximum", "max", "no", "limited", "must", "required", "optional",
     "unique", "as", "not", "which", "that", "is"}
)  # fmt: skip
_PREDICATES = frozenset({"be", "have", "modal", "do"})
_MAX_TAIL = 14


def read_list(
    words: Sequence[Word], index: int, grammar: Grammar, *, is_subject: bool = False
) -> tuple[list[Phrase], int] | None:
    """Return the coordinated phrases that begin at an index, and the index behind the last.

    A phrase behind a separator that has a verb of its own begins the next clause and is left there, unless the list
    itself is the subject of that verb.
    """
    found = read_item(words, index, grammar)
    if found is None:
        return None
    phrases, index = [found[0]], found[1]
    conjoined_at: int | None = None
    while True:
        start = skip_separator(words, index)
        item = read_item(words, start, grammar) if start > index else None
        if item is None:
            return _share_heads(phrases, grammar), index
        if not is_subject and _is_followed_by_verb(words, item[1]):
            is_subject_too = conjoined_at is not None and len(phrases) > 1
            kept, end = (phrases[:-1], conjoined_at or index) if is_subject_too else (phrases, index)
            return _share_heads(kept, grammar), end
        has_and = any(word.lower in ("and", "or") for word in words[index:start])
        has_comma = any(word.lower == "," for word in words[index:start])
        conjoined_at = index if has_and and has_comma and len(phrases) > 1 else None
        phrases.append(item[0])
        index = item[1]


def _share_heads(phrases: list[Phrase], grammar: Grammar) -> list[Phrase]:
    """Complete "first and last name" to a first name and a last name."""
    shared = list(phrases)
    for index in range(len(shared) - 2, -1, -1):
        phrase, following = shared[index], shared[index + 1]
        if (
            len(phrase.words) == 1
            and grammar.is_in(phrase.words[0].lower(), "sharing_words")
            and len(following.words) > 1
        ):
            shared[index] = replace(phrase, words=(*phrase.words, *following.words[1:]), plural=following.plural)
    return shared


def read_item(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    """Return one item of a list: a phrase, or a clause that stands for a field ("whether …", "how many …")."""
    if index >= len(words):
        return None
    lower = words[index].lower
    if lower == "whether":
        return _read_whether(words, index, grammar)
    if lower == "how" and index + 1 < len(words) and words[index + 1].lower in ("many", "much", "long", "often"):
        return _read_how_many(words, index, grammar)
    if lower in ("both", "either", "their", "its") and words[index].tag == "adv":
        index += 1
    found = read_phrase(words, index, grammar)
    if found is None:
        return None
    phrase, after = found
    if tuple(word.lower for word in words[after : after + 2]) == ("at", "most") and not _has_number(words, after):
        high = phrase.quantity.high if phrase.quantity else None
        return replace(phrase, quantity=Quantity(0, high, "at most"), end=words[after + 1].token.end), after + 2
    return _read_tail(phrase, words, after, grammar)


def skip_separator(words: Sequence[Word], index: int) -> int:
    """Return the index behind the commas and conjunctions at an index; the index itself where there is none."""
    while index < len(words):
        if words[index].lower in _SEPARATORS:
            index += 1
            continue
        if words[index].tag == "adv" and words[index].lower != "up" and index and words[index - 1].lower in _SEPARATORS:
            index += 1  # "a title, optionally a subtitle": the adverb is read again from the span
            continue
        link = next((link for link in _LINKS if tuple(w.lower for w in words[index : index + len(link)]) == link), None)
        if link is None:
            return index
        index += len(link)
    return index


def _is_followed_by_verb(words: Sequence[Word], index: int) -> bool:
    while index < len(words) and words[index].tag == "adv":
        index += 1
    if index >= len(words):
        return False
    word = words[index]
    return word.tag in _PREDICATES or (word.tag == "verb" and word.form in ("base", "s"))


def _read_whether(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    """Read "whether it is published" as the boolean "published"."""
    end = index + 1
    while end < len(words) and words[end].lower not in (",", ".", ";", "and", "when", "?"):
        end += 1
    content = [word for word in words[index + 1 : end] if word.lower not in ("or", "not")]
    predicate = next((i for i, word in enumerate(content) if word.tag in ("be", "have", "modal")), None)
    kept = content[predicate + 1 :] if predicate is not None else [word for word in content if word.tag != "pron"]
    naming = tuple(word.lower for word in kept if word.tag not in ("be", "det", "adv", "have", "pron", "punct"))
    if not naming:
        return None
    if predicate is not None and content[predicate].tag == "have" and kept[0].tag in ("det", "noun", "adj"):
        naming = ("has", *naming)
    elif len(naming) == 1:
        naming = ("is", *naming)
    inner = read_phrase(words, index + 1, grammar) if predicate else None
    owner = inner[0] if inner is not None and inner[0].words else None
    start = words[index].token.start
    return Phrase(words=naming[:6], start=start, end=words[end - 1].token.end, hint="boolean", owner=owner), end


def _read_how_many(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    found = read_phrase(words, index + 2, grammar)
    if found is None or not found[0].words:
        return None
    phrase, end = found
    while end < len(words) and words[end].lower not in (",", ".", ";", "and"):
        end += 1
    naming = ("number", "of", *phrase.words)
    return replace(
        phrase, words=naming, hint="integer", start=words[index].token.start, end=words[end - 1].token.end
    ), end


def _read_tail(phrase: Phrase, words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int]:
    """Take the words that limit a field ("of up to 200 characters", "between 1 and 5") into its tail."""
    start = index
    if index + 1 < len(words) and words[index].lower == "in" and grammar.is_in(words[index + 1].lower, "units"):
        return replace(phrase, tail=tuple(words[index : index + 2]), end=words[index + 1].token.end), index + 2
    if index < len(words) and words[index].lower == "of":
        index += 1
    if index >= len(words) or words[index].lower not in _CONSTRAINT_WORDS or not _has_number(words, index):
        return phrase, start
    end = index
    while end < len(words) and end - index < _MAX_TAIL and not _ends_tail(words, end, index):
        end += 1
    return replace(phrase, tail=tuple(words[index:end]), end=words[end - 1].token.end), end


def _has_number(words: Sequence[Word], index: int) -> bool:
    """Only limits with a number are taken here: "at most 5", "between 1 and 5", "from 0 to 10"."""
    window = words[index : index + 5]
    return words[index].lower in (
        "up",
        "between",
        "from",
        "at",
        "maximum",
        "max",
        "with",
        "no",
        "limited",
        "in",
    ) and any(word.tag == "num" for word in window)


def _ends_tail(words: Sequence[Word], position: int, start: int) -> bool:
    lower = words[position].lower
    if lower in (",", ".", ";", ")", "("):
        return True
    between = any(word.lower == "between" for word in words[start:position])
    if lower == "and":
        return not between or sum(word.tag == "num" for word in words[start:position]) != 1
    return words[position].tag in _PREDICATES
