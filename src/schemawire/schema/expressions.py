"""The one small language of rules: reading it, and renaming the fields that an expression names.

Knows nothing of which names exist; `schema.rules` checks those.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from schemawire.schema.syntax import (
    BINDING,
    MOMENTS,
    NEGATION,
    NOT,
    SUM,
    Between,
    Binary,
    Constant,
    Expression,
    In,
    IsNull,
    Length,
    Now,
    Path,
    Sequence,
    Unary,
    path_text,
    paths_in,
)
from schemawire.schema.tokens import ExpressionError, Token, tokenize

MAX_LENGTH = 4_000
"""Characters that an expression may have."""
MAX_DEPTH = 100
"""Levels of an expression's tree, each operator of a chain being one; more would exhaust some reader's stack."""
FORMER = "old"
"""In a transition rule, `old.status` is the value before the change."""


class _Parser:
    """A Pratt parser over the tokens of one expression."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += token.kind != "end"
        return token

    def _accept(self, text: str) -> bool:
        found = self._next.text == text and self._next.kind in ("word", "symbol")
        self._position += found
        return found

    def _expect(self, text: str) -> Token:
        if not self._accept(text):
            raise ExpressionError(f"{text!r} is missing{_before(self._next)}", self._next.start)
        return self._tokens[self._position - 1]

    def whole(self) -> Expression:
        found = self.expression(0)
        if self._next.kind != "end":
            raise ExpressionError(f"nothing may follow here{_before(self._next)}", self._next.start)
        return found

    def expression(self, binding: int) -> Expression:
        depth = self._depth
        self._descend()
        left = self._prefix()
        while (operator := self._infix()) is not None and BINDING[operator] > binding:
            self._descend()
            self._take()
            left = self._combine(left, operator)
        self._depth = depth
        return left

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", self._next.start)

    def _infix(self) -> str | None:
        token = self._next
        known = token.kind in ("word", "symbol") or (token.kind == "name" and token.text == "matches")
        return token.text if known and token.text in BINDING else None

    def _prefix(self) -> Expression:
        token = self._take()
        match token.kind, token.text:
            case "number", text:
                return Constant(Decimal(text) if "." in text else int(text))
            case "string", text:
                return Constant(text)
            case "word", "true" | "false":
                return Constant(token.text == "true")
            case "word", "now":
                return self._now()
            case "word", "not":
                return Unary("not", self.expression(NOT))
            case "symbol", "-":
                return Unary("-", self.expression(NEGATION))
            case "symbol", "(":
                return self._parentheses()
            case (("name" | "quoted"), _):
                return self._named(token)
        raise ExpressionError(_unexpected(token), token.start)

    def _now(self) -> Now:
        if self._accept("("):
            self._expect(")")
        return Now()

    def _parentheses(self) -> Expression:
        first = self.expression(0)
        if self._accept(")"):
            return first
        items = [first]
        while self._accept(","):
            items.append(self.expression(0))
        self._expect(")")
        return Sequence(tuple(items))

    def _named(self, token: Token) -> Expression:
        if token.kind == "name" and token.text == "length" and self._accept("("):
            operand = self.expression(0)
            self._expect(")")
            return Length(operand)
        for moment in MOMENTS:
            if token.kind == "name" and token.text == moment and self._next.kind == "string":
                return Constant(self._take().text, moment)
        parts, end = [token.text], token.end
        while self._accept("."):
            part = self._take()
            if part.kind not in ("name", "quoted"):
                raise ExpressionError(f"a field's name is missing{_before(part)}", part.start)
            parts.append(part.text)
            end = part.end
        return Path(tuple(parts), token.start, end)

    def _combine(self, left: Expression, operator: str) -> Expression:
        match operator:
            case "is":
                negated = self._accept("not")
                self._expect("null")
                return IsNull(left, negated)
            case "not" if self._accept("in"):
                return In(left, self._choices(), negated=True)
            case "not":
                self._expect("between")
                return self._between(left, negated=True)
            case "in":
                return In(left, self._choices())
            case "between":
                return self._between(left, negated=False)
        right = self.expression(BINDING[operator])
        return Binary(operator, left, right)  # type: ignore[arg-type]  # the remaining keys of BINDING are Operators

    def _between(self, operand: Expression, *, negated: bool) -> Between:
        low = self.expression(SUM - 1)
        self._expect("and")
        return Between(operand, low, self.expression(SUM - 1), negated)

    def _choices(self) -> Sequence:
        self._expect("(")
        found = self._parentheses()
        return found if isinstance(found, Sequence) else Sequence((found,))


def _before(token: Token) -> str:
    return " at the end" if token.kind == "end" else f" before {token.text[:20]!r}"


def _unexpected(token: Token) -> str:
    if token.kind == "end":
        return "a value or a field is missing at the end"
    if token.text == "null":
        return "nothing can be compared with null: write `is null` or `is not null`"
    if token.kind == "word":
        return f"{token.text!r} is a word of the rule language: write `{token.text}` between backticks to mean a field"
    return f"a value or a field is missing before {token.text[:20]!r}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read an expression.

    Args:
        text: at most `MAX_LENGTH` characters, nesting at most `MAX_DEPTH` levels.

    Raises:
        ExpressionError: it is not in the language; the message says what and at which character.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    return _Parser(list(tokenize(text))).whole()


def identifiers(expression: Expression) -> set[tuple[str, ...]]:
    """Return every field path of an expression, each as its parts."""
    return {path.parts for path in paths_in(expression)}


@lru_cache(maxsize=4096)
def qualifiers(text: str) -> frozenset[str]:
    """Return the first part of every path of two parts or more; none if the text is not in the language."""
    try:
        return frozenset(parts[0] for parts in identifiers(parse(text)) if len(parts) > 1)
    except ExpressionError:
        return frozenset()


def rename_paths(text: str, renamed: Callable[[tuple[str, ...]], tuple[str, ...]]) -> str:
    """Return an expression with some paths renamed and every other character as it was.

    Args:
        text: an expression; one that is not in the language comes back unchanged.
        renamed: gives the new parts for the old ones.
    """
    try:
        paths = sorted(paths_in(parse(text)), key=lambda path: path.start, reverse=True)
    except ExpressionError:
        return text
    for path in paths:
        parts = renamed(path.parts)
        if parts != path.parts:
            text = text[: path.start] + path_text(parts) + text[path.end :]
    return text
