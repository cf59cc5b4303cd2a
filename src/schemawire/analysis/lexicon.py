"""What is known of a language: word classes, verbs, nouns and usual domains, read from data files.

Knows no sentence; another language is another folder beside `english`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

from schemawire.schema.model import FieldType

Limits = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbForm:
    """What an inflected word is a form of: `lemma` and one of base, s, past, ing."""

    lemma: str
    form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """The verbs of a language and what they say about data."""

    forms: Mapping[str, VerbForm]
    participles: Mapping[str, str]
    ambiguous: frozenset[str]
    groups: Mapping[str, frozenset[str]]
    agents: Mapping[str, str]
    nouns: Mapping[str, tuple[str, ...]]

    def is_in(self, lemma: str, group: str) -> bool:
        """Return whether a verb belongs to one of the groups of the verbs file."""
        return lemma in self.groups[group]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nouns:
    """The nouns of a language: irregular forms, and what a field of that name usually is."""

    plurals: Mapping[str, str]
    uncountable: frozenset[str]
    never_plural: frozenset[str]
    people: frozenset[str]
    organisations: frozenset[str]
    timed: frozenset[str]
    parts: frozenset[str]
    types: Mapping[str, FieldType]
    suffixes: Mapping[str, FieldType]
    limits: Mapping[str, Limits]
    flags: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """What things usually have and how they usually hang together."""

    defaults: Mapping[str, tuple[str, ...]]
    dependants: Mapping[str, tuple[str, ...]]
    many_to_many: Mapping[str, tuple[str, ...]]
    classified: Mapping[str, tuple[str, ...]]
    products: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """The closed word classes of a language, its quantifiers and numbers."""

    words: Mapping[str, frozenset[str]]
    quantifiers: Mapping[tuple[str, ...], tuple[int, int]]
    longest_quantifier: int
    numbers: Mapping[str, int]
    comparisons: Mapping[tuple[str, ...], str]
    """Words that compare two fields, and the operator of the rule language."""
    request_verbs: frozenset[str]
    openers: frozenset[str]
    containers: frozenset[str]
    strict_containers: frozenset[str]
    system_words: frozenset[str]
    lead_ins: frozenset[str]

    def is_in(self, word: str, group: str) -> bool:
        """Return whether a lower-case word belongs to one of the closed classes."""
        return word in self.words[group]


@dataclass(frozen=True, slots=True)
class Rating:
    """What a noun is in domain models, each 0 to 9: an entity, a field, a part that is called after its owner too.

    `kind` is one of the letters that `ratings.txt` explains.
    """

    entity: int
    field: int
    part: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """Everything that is known of one language."""

    grammar: Grammar
    verbs: Verbs
    nouns: Nouns
    domains: Domains
    language: str
    senses: Mapping[str, frozenset[str]]
    """What common nouns mean, roughly: persons, events, places, ..."""
    ratings: Mapping[str, Rating]
    """What common nouns are in domain models."""
    nominals: Mapping[str, Mapping[str, int]]
    """The nouns for what verbs do, by verb, and how likely, 0 to 9, a model has them."""


@cache
def load_lexicon(language: str = "english") -> Lexicon:
    """Return the lexicon of a language; it is read once per process.

    Args:
        language: the name of a folder beside this file.
    """
    return Lexicon(
        grammar=_read_grammar(_read(language, "grammar")),
        verbs=_read_verbs(_read(language, "verbs")),
        nouns=_read_nouns(_read(language, "nouns")),
        domains=_read_domains(_read(language, "domains")),
        language=language,
        senses={sense: frozenset(nouns) for sense, nouns in _read(language, "senses").items()},
        ratings=_read_ratings(language),
        nominals=_read_nominals(language),
    )


def _read_ratings(language: str) -> dict[str, Rating]:
    rows = _read_rows(language, "ratings")
    return {noun: Rating(int(entity), int(field), int(part), kind) for noun, entity, field, part, kind in rows}


def _read_nominals(language: str) -> dict[str, dict[str, int]]:
    rows = _read_rows(language, "nominals")
    return {
        verb: {noun: int(rating) for noun, rating in zip(rest[::2], rest[1::2], strict=True)} for verb, *rest in rows
    }


def _read_rows(language: str, name: str) -> list[list[str]]:
    text = files("schemawire.analysis").joinpath(language, f"{name}.txt").read_text("utf-8")
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


def _read(language: str, name: str) -> dict[str, Any]:
    text = files("schemawire.analysis").joinpath(language, f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _read_grammar(table: dict[str, Any]) -> Grammar:
    requests = table["requests"]
    quantifiers = {tuple(words.replace(",", " ,").split()): tuple(span) for words, span in table["quantifiers"].items()}
    return Grammar(
        words={name: frozenset(words) for name, words in table.items() if isinstance(words, list)},
        quantifiers=cast("dict[tuple[str, ...], tuple[int, int]]", quantifiers),
        longest_quantifier=max(map(len, quantifiers)),
        numbers=table["numbers"],
        comparisons={tuple(words.split()): sign for words, sign in table["comparisons"].items()},
        request_verbs=frozenset(requests["verbs"]),
        openers=frozenset(requests["openers"]),
        containers=frozenset(requests["containers"]),
        strict_containers=frozenset(requests["strict_containers"]),
        system_words=frozenset(requests["system_words"]),
        lead_ins=frozenset(table["lead_ins"]["words"]),
    )


def _read_verbs(table: dict[str, Any]) -> Verbs:
    irregular: dict[str, list[str]] = table["irregular"]
    forms: dict[str, VerbForm] = {}
    for lemma in sorted({*table["plain"], *table["ambiguous"], *irregular}):
        for word, form in _inflect(lemma, irregular.get(lemma)):
            forms.setdefault(word, VerbForm(lemma=lemma, form=form))
    for lemma in sorted({*table["plain"], *table["ambiguous"]}):
        forms[lemma] = VerbForm(lemma=lemma, form="base")
    groups = {name: frozenset(words) for name, words in table.items() if isinstance(words, list)}
    participles = {lemma: _participle(lemma, irregular.get(lemma)) for lemma in (*table["plain"], *table["ambiguous"])}
    return Verbs(
        forms=forms,
        participles=participles,
        ambiguous=groups["ambiguous"],
        groups=groups,
        agents=table["agents"],
        nouns={verb: tuple(nouns) for verb, nouns in table["nouns"].items()},
    )


def _inflect(lemma: str, irregular: list[str] | None) -> list[tuple[str, str]]:
    """Return the forms of a regular verb, or those of an irregular one with its own past forms."""
    stem = lemma[:-1] if lemma.endswith("e") and not lemma.endswith(("ee", "ye", "oe")) else lemma
    consonant_y = lemma.endswith("y") and lemma[-2] not in "aeiou"
    third = (
        lemma[:-1] + "ies"
        if consonant_y
        else lemma + ("es" if lemma.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")
    )
    past = [lemma[:-1] + "ied"] if consonant_y else [stem + "ed"]
    gerunds = [stem + "ing"]
    if _may_double(lemma):  # both spellings are listed: whether it doubles depends on the stress
        past.append(lemma + lemma[-1] + "ed")
        gerunds.append(lemma + lemma[-1] + "ing")
    past = irregular or past
    return [(third, "s"), *((word, "past") for word in past), *((word, "ing") for word in gerunds)]


def _participle(lemma: str, irregular: list[str] | None) -> str:
    if irregular:
        return irregular[-1]
    past = [word for word, form in _inflect(lemma, None) if form == "past"]
    return past[-1] if _is_stressed_at_end(lemma) else past[0]


def _is_stressed_at_end(lemma: str) -> bool:
    """Only such a verb doubles its last letter: tag and submit do, visit does not."""
    return sum(sign in "aeiou" for sign in lemma) == 1 or lemma.endswith(("mit", "fer", "trol", "quip"))


def _may_double(lemma: str) -> bool:
    return len(lemma) > 2 and lemma[-1] in "bdgklmnprt" and lemma[-2] in "aeiou" and lemma[-3] not in "aeiou"


def _read_nouns(table: dict[str, Any]) -> Nouns:
    types = {
        noun.replace("-", " "): cast("FieldType", kind) for kind, nouns in table["types"].items() for noun in nouns
    }
    return Nouns(
        plurals=table["plurals"],
        uncountable=frozenset(table["uncountable"]),
        never_plural=frozenset(table["never_plural"]),
        people=frozenset(table["people"]),
        organisations=frozenset(table["organisations"]),
        timed=frozenset(table["timed"]),
        parts=frozenset(table["parts"]),
        types=types,
        suffixes=table["suffixes"],
        limits=table["limits"],
        flags={name: frozenset(nouns) for name, nouns in table["flags"].items()},
    )


def _read_domains(table: dict[str, Any]) -> Domains:
    def lists(name: str) -> dict[str, tuple[str, ...]]:
        return {noun: tuple(others) for noun, others in table[name].items()}

    return Domains(
        defaults=lists("defaults"),
        dependants=lists("dependants"),
        many_to_many=lists("many_to_many"),
        classified=lists("classified"),
        products=lists("products"),
    )
