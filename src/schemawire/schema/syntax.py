"""The syntax tree of the rule language, and writing it as text.

Knows nothing of how the text is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal as OneOf

from schemawire.schema.tokens import RESERVED

Operator = OneOf["and", "or", "=", "!=", "<", "<=", ">", ">=", "matches", "+", "-", "*", "/", "%"]
Moment = OneOf["date", "time", "datetime"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number or boolean, or a moment written as `date '2026-01-31'`."""

    value: str | int | Decimal | bool
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """A field, as in `price`, or a field of another entity, as in `Loan.dueDate`."""

    parts: tuple[str, ...]
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Now:
    """The moment at which the rule is checked."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Values in parentheses, as `in` takes them, or the fields that are unique together."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`not x` or `-x`."""

    operator: OneOf["not", "-"]
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and an operator between them."""

    operator: Operator
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class In:
    """`x in (a, b)`, possibly negated."""

    operand: "Expression"
    choices: Sequence
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """`x between low and high`, both included, possibly negated."""

    operand: "Expression"
    low: "Expression"
    high: "Expression"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """`x is null`, possibly negated."""

    operand: "Expression"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Length:
    """`length(x)`: characters of a text, items of a list."""

    operand: "Expression"


Expression = Constant | Path | Now | Sequence | Unary | Binary | In | Between | IsNull | Length

BINDING: dict[str, int] = {
    "or": 1, "and": 2,
    "=": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "matches": 4, "in": 4, "between": 4, "is": 4, "not": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
"""How tightly an infix operator binds."""
NOT, COMPARISON, SUM, NEGATION = 3, 4, 5, 7
MOMENTS: tuple[Moment, ...] = ("date", "time", "datetime")


def paths_in(expression: Expression) -> Iterator[Path]:
    """Yield every field path of an expression, from left to right."""
    match expression:
        case Path():
            yield expression
        case Constant() | Now():
            return
        case Sequence(items):
            for item in items:
                yield from paths_in(item)
        case Unary(_, operand) | IsNull(operand, _) | Length(operand):
            yield from paths_in(operand)
        case Binary(_, left, right):
            yield from paths_in(left)
            yield from paths_in(right)
        case In(operand, choices, _):
            yield from paths_in(operand)
            yield from paths_in(choices)
        case Between(operand, low, high, _):
            for part in (operand, low, high):
                yield from paths_in(part)


def unparse(expression: Expression) -> str:
    """Write an expression so that `parse` gives the same tree again."""
    match expression:
        case Constant():
            return _constant(expression)
        case Path(parts):
            return path_text(parts)
        case Now():
            return "now"
        case Sequence(items):
            return f"({', '.join(unparse(item) for item in items)})"
        case Unary("not", operand):
            return f"not {_operand(operand, NOT)}"
        case Unary(_, operand):
            return f"-{_operand(operand, NEGATION)}"
        case Length(operand):
            return f"length({unparse(operand)})"
        case Binary(operator, left, right):
            binding = BINDING[operator]
            return f"{_operand(left, binding)} {operator} {_operand(right, binding + 1)}"
        case In(operand, choices, negated):
            return f"{_operand(operand, COMPARISON)} {'not ' * negated}in {unparse(choices)}"
        case Between(operand, low, high, negated):
            bounds = f"{_operand(low, SUM)} and {_operand(high, SUM)}"
            return f"{_operand(operand, COMPARISON)} {'not ' * negated}between {bounds}"
        case IsNull(operand, negated):
            return f"{_operand(operand, COMPARISON)} is {'not ' * negated}null"


def _operand(expression: Expression, binding: int) -> str:
    """Write an operand, in parentheses if it binds less than its place asks for."""
    match expression:
        case Binary(operator, _, _):
            own = BINDING[operator]
        case In() | Between() | IsNull():
            own = COMPARISON
        case Unary(operator, _):
            own = NOT if operator == "not" else NEGATION
        case _:
            own = NEGATION
    text = unparse(expression)
    return text if own >= binding else f"({text})"


def _constant(constant: Constant) -> str:
    match constant.value:
        case bool():
            return "true" if constant.value else "false"
        case str():
            text = "'" + constant.value.replace("'", "''") + "'"
            return f"{constant.moment} {text}" if constant.moment else text
        case int():
            return str(constant.value)
        case _:
            return format(constant.value, "f")


def path_text(parts: tuple[str, ...]) -> str:
    """Write a path; a part that is a word of the language gets backticks."""
    return ".".join(f"`{part}`" if part.lower() in RESERVED else part for part in parts)
