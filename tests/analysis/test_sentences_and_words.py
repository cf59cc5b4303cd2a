"""Sentences, tokens, numbers and names: the ground that the patterns stand on."""

import pytest

from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.naming import camel_case, field_name, pascal_case, plural, singular, snake_case
from schemawire.analysis.quantifiers import read_quantity
from schemawire.analysis.sentences import MAX_SENTENCE_TOKENS, split_sentences


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("category", "categories"), ("address", "addresses"), ("status", "statuses"), ("bus", "buses"),
        ("person", "people"), ("child", "children"), ("box", "boxes"), ("day", "days"), ("size", "sizes"),
        ("shelf", "shelves"), ("class", "classes"), ("news", "news"), ("analysis", "analyses"), ("menu", "menus"),
        ("quiz", "quizzes"), ("house", "houses"), ("course", "courses"), ("movie", "movies"), ("match", "matches"),
    ],
)  # fmt: skip
def test_singular_and_plural_are_inverse(one: str, many: str) -> None:
    """The singular of a plural is the word itself, and a singular stays as it is."""
    assert singular(many) == one
    assert singular(one) == one
    assert singular(plural(one)) == one


def test_names_follow_the_wanted_case() -> None:
    """Words, identifiers and hyphens become names of each case."""
    assert pascal_case(["order", "line"]) == "OrderLine"
    assert snake_case(["publishedAt"]) == "published_at"
    assert camel_case(["e-mail", "address"]) == "emailAddress"
    assert field_name(["due", "date"], "camel") == "dueDate"
    assert snake_case(["3d", "model"]) == "_3d_model"


def test_a_name_never_exceeds_its_limit() -> None:
    """A very long name is cut between words, or inside one that is too long alone."""
    assert len(pascal_case(["word"] * 100)) <= 128
    assert len(snake_case(["w" * 500])) == 128


@pytest.mark.parametrize(
    ("words", "cardinality", "length"),
    [
        ("at least one author", "1..*", 3), ("at most five books", "0..5", 3), ("exactly one owner", "1", 2),
        ("up to 10 members", "0..10", 3), ("between 2 and 4 players", "2..4", 4), ("many posts", "0..*", 1),
        ("zero or more tags", "0..*", 3), ("one or more lines", "1..*", 3), ("3 seats", "3", 1),
        ("two to five players", "2..5", 3), ("at most one card", "0..1", 3), ("no more than 3 pets", "0..3", 4),
        ("5 or more guests", "5..*", 3), ("a list of books", "0..*", 3),
    ],
)  # fmt: skip
def test_quantifiers_become_cardinalities(words: str, cardinality: str, length: int) -> None:
    """The words before a noun give the least and the greatest number, and how many words said so."""
    found = read_quantity(words.split(), load_lexicon().grammar)
    assert found is not None
    assert (found[0].cardinality(), found[1]) == (cardinality, length)


def test_tokens_stand_where_they_say() -> None:
    """Every token's span cuts its own text out of the description, whatever surrounds it."""
    text = "A “post” has:\n\n  * an author's name (e.g. Ann)\n  * 🙂 e-mail, published_at\n# Tag\nÜber große Dinge."
    for sentence in split_sentences(text):
        for token in sentence.tokens:
            assert text[token.start : token.end] == token.text


def test_lines_have_kinds() -> None:
    """Headings, bullets and prose are told apart; wrapped prose stays one sentence."""
    text = "# Book\n- title\n- page count\n\nA book has\na title. It is old.\nAuthors:\n1. name"
    kinds = [(sentence.kind, sentence.tokens[0].lower) for sentence in split_sentences(text)]
    assert kinds == [
        ("heading", "book"), ("bullet", "title"), ("bullet", "page"), ("plain", "a"), ("plain", "it"),
        ("heading", "authors"), ("bullet", "name"),
    ]  # fmt: skip


def test_an_endless_sentence_is_read_in_pieces() -> None:
    """No sentence has more tokens than the limit, so nothing that looks ahead can cost more."""
    sentences = list(split_sentences("word " * 5_000))
    assert max(len(sentence.tokens) for sentence in sentences) <= MAX_SENTENCE_TOKENS
    assert sum(len(sentence.tokens) for sentence in sentences) == 5_000
