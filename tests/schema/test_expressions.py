"""The rule language: reading, writing, renaming, refusing."""

import pytest
from hypothesis import given, settings
from tests.schema.strategies import expressions

from schemawire.schema import Expression, ExpressionError, identifiers, parse_expression, unparse_expression
from schemawire.schema.expressions import MAX_DEPTH, MAX_LENGTH, rename_paths
from schemawire.schema.syntax import Binary, Constant, Now, Path, Unary


@settings(deadline=None, max_examples=300)
@given(expressions)
def test_what_is_written_reads_back_as_the_same_tree(expression: Expression) -> None:
    """`parse` undoes `unparse`, parentheses, quotes and backticks included."""
    assert parse_expression(unparse_expression(expression)) == expression


def test_operators_bind_as_in_sql() -> None:
    """`or` binds least, then `and`, `not`, comparisons, sums, products and the sign."""
    tree = parse_expression("not a = 1 and b + c * -2 > 3 or d")
    assert unparse_expression(tree) == "not a = 1 and b + c * -2 > 3 or d"
    assert tree == Binary(
        "or",
        Binary(
            "and",
            Unary("not", Binary("=", Path(("a",)), Constant(1))),
            Binary(
                ">",
                Binary("+", Path(("b",)), Binary("*", Path(("c",)), Unary("-", Constant(2)))),
                Constant(3),
            ),
        ),
        Path(("d",)),
    )


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a <> 1", "a != 1"),
        ("a == 1", "a = 1"),
        ("A IS NOT NULL AND b BETWEEN 1 AND 2", "A is not null and b between 1 and 2"),
        ("now() > startsAt", "now > startsAt"),
        ('name = "it\'s"', "name = 'it''s'"),
        ("date > date '2026-01-31'", "date > date '2026-01-31'"),
        ("length > 3 and length(matches) > 3", "length > 3 and length(matches) > 3"),
        ("`in` in (1)", "`in` in (1)"),
    ],
)
def test_spellings_of_one_meaning_are_one_tree(text: str, same: str) -> None:
    """Letter case of words, both kinds of quotation marks and C's or SQL's operators are all understood."""
    assert unparse_expression(parse_expression(text)) == same


@pytest.mark.parametrize(
    ("text", "complaint", "position"),
    [
        ("", "missing at the end", 0),
        ("a =", "missing at the end", 3),
        ("a = null", "write `is null`", 4),
        ("name = 'x", "string does not end", 7),
        ("a b", "nothing may follow here before 'b'", 2),
        ("1 + * 2", "missing before '*'", 4),
        ("(a", "')' is missing at the end", 2),
        ("a; drop table b", "';' is not part", 1),
        ("in = 1", "between backticks", 0),
        ("a not 1", "'between' is missing before '1'", 6),
        ("a . ", "a field's name is missing", 4),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, complaint: str, position: int) -> None:
    """What is wrong and at which character: enough to correct it."""
    with pytest.raises(ExpressionError, match=r"at character") as caught:
        parse_expression(text)
    assert complaint in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "text", ["(" * 3000 + "a" + ")" * 900, "+".join(["1"] * 1900), "not " * 900 + "a", "-" * 3999 + "a"]
)
def test_deep_expressions_are_refused_before_they_exhaust_the_stack(text: str) -> None:
    """Nesting has a limit, whether by parentheses, by prefixes or by a long chain."""
    with pytest.raises(ExpressionError, match=f"deeper than {MAX_DEPTH}"):
        parse_expression(text)


def test_a_long_expression_is_refused_unread() -> None:
    """Length has a limit."""
    with pytest.raises(ExpressionError, match="longer than"):
        parse_expression("a" * (MAX_LENGTH + 1))


def test_identifiers_are_fields_alone() -> None:
    """Words, functions, literals and moments are none of them."""
    tree = parse_expression("length(a) > 1 and Loan.due < now and b matches 'c' and d in (date '2026-01-01', e)")
    assert identifiers(tree) == {("a",), ("Loan", "due"), ("b",), ("d",), ("e",)}
    assert parse_expression("now") == Now()


def test_renaming_keeps_every_other_character() -> None:
    """Spacing, comments in strings and spelling of words stay as their author wrote them."""
    text = "LENGTH( Post . title )  <> 'Post.title' AND title IS NOT NULL"
    renamed = rename_paths(
        text.replace("LENGTH", "length"), lambda parts: ("Story", "in") if len(parts) == 2 else parts
    )
    assert renamed == "length( Story.`in` )  <> 'Post.title' AND title IS NOT NULL"


def test_renaming_leaves_alone_what_it_cannot_read() -> None:
    """Words for people are not an expression."""
    assert rename_paths("be nice to the User", lambda parts: ("x",)) == "be nice to the User"
