"""Words to names: singular and plural, PascalCase entities, snake_case or camelCase fields.

Knows the lexicon's irregular nouns; knows no sentence.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

from schemawire.analysis.lexicon import load_lexicon
from schemawire.schema.model import MAX_NAME_LENGTH

FieldCase = Literal["snake", "camel"]

_CAMEL_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HYPHENED = re.compile(r"\b(e)-(?=mail)", re.IGNORECASE)
"""An e-mail is one word."""
_WORD = re.compile(r"[^\W_]+")
_ES_ENDINGS = ("sses", "shes", "ches", "xes", "zes")


def singular(word: str) -> str:
    """Return the singular of a lower-case noun, or the word itself if it is one.

    >>> [singular(word) for word in ("categories", "addresses", "status", "children", "buses", "sizes")]
    ['category', 'address', 'status', 'child', 'bus', 'size']
    """
    nouns = load_lexicon().nouns
    if word in nouns.plurals:
        return nouns.plurals[word]
    if word in nouns.uncountable or word in nouns.never_plural or len(word) <= 3 or not word.endswith("s"):
        return word
    if word.endswith(("ss", "us", "is", "ous")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(_ES_ENDINGS) else word[:-1]


def plural(word: str) -> str:
    """Return the plural of a lower-case singular noun.

    >>> [plural(word) for word in ("category", "box", "day", "person", "news")]
    ['categories', 'boxes', 'days', 'people', 'news']
    """
    nouns = load_lexicon().nouns
    if word in nouns.uncountable:
        return word
    irregular = next((many for many, one in nouns.plurals.items() if one == word and many != word), None)
    if irregular:
        return irregular
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def is_plural(word: str) -> bool:
    """Return whether a lower-case noun is a plural form."""
    return singular(word) != word


def split_words(text: str) -> list[str]:
    """Return the lower-case words of a name or phrase, split at spaces, signs and camel case.

    >>> split_words("orderItem"), split_words("e-mail address")
    (['order', 'item'], ['email', 'address'])
    """
    plain = _HYPHENED.sub(r"\1", text.replace("'", "").replace("’", ""))
    spaced = _CAMEL_BORDER.sub(" ", plain)
    return [word.lower() for word in _WORD.findall(unicodedata.normalize("NFC", spaced))]


def pascal_case(words: Iterable[str]) -> str:
    """Return an entity's or enum's name: PascalCase, as many words as fit into a name."""
    return _fit([word[:1].upper() + word[1:] for word in _flat(words)], "")


def camel_case(words: Iterable[str]) -> str:
    """Return a camelCase name."""
    name = pascal_case(words)
    return name[:1].lower() + name[1:]


def snake_case(words: Iterable[str]) -> str:
    """Return a snake_case name."""
    return _fit(_flat(words), "_")


def field_name(words: Iterable[str], case: FieldCase) -> str:
    """Return a field's name in the wanted case."""
    return snake_case(words) if case == "snake" else camel_case(words)


def entity_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return lower-case words with the last one in the singular."""
    flat = _flat(words)
    return (*flat[:-1], singular(flat[-1])) if flat else ()


def _flat(words: Iterable[str]) -> list[str]:
    return [part for word in words for part in split_words(word)]


def _fit(words: list[str], joint: str) -> str:
    if words and not (words[0][0].isalpha() or words[0][0] == "_"):
        words = ["_" + words[0], *words[1:]]  # a name may not start with a digit
    name = ""
    for word in words:
        longer = f"{name}{joint}{word}" if name else word
        if len(longer) > MAX_NAME_LENGTH:
            break
        name = longer
    return unicodedata.normalize("NFC", name or "".join(words)[:MAX_NAME_LENGTH])


def free_name(name: str, taken: set[str]) -> str:
    """Return a name, with a number behind it if it is taken, and take it."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}{number}", number + 1
    taken.add(free)
    return free
