"""The conversation with one model: ask, judge, say what to correct, at most so many rounds; sends nothing itself.

Knows when to ask again; knows no wire and no other provider.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from schemawire.analysis.analyser import Usage
from schemawire.analysis.language_model.answers import Answer, Message, Question
from schemawire.analysis.language_model.prompts import repair_message
from schemawire.analysis.language_model.replies import closed_part, find_object
from schemawire.errors import ModelDeclined, ModelDraftInvalid, ModelFailed, ModelTruncated, SchemawireError
from schemawire.schema.issues import Issue

T = TypeVar("T")
Ask = Callable[[Question], Awaitable[Answer]]
MAX_KEPT_ANSWER = 50_000
"""Characters of a faulty answer that are shown to the model again."""
_NOT_JSON = Issue(code="invalid_json", pointer="", message="the answer is not one JSON object", fix="Send JSON alone.")
_EMPTY = Issue(code="empty", pointer="", message="the answer holds nothing", fix="Fill in the form.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Generic[T]):
    """What an answer amounts to: `weight` tells of two faulty ones which is more."""

    value: T
    weight: int
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T]):
    """The best that a model gave, and what it took."""

    value: T
    usage: Usage
    rounds: int
    warnings: tuple[str, ...] = ()


Judge = Callable[[dict[str, Any]], Judged[T]]


class Conversation(Generic[T]):
    """Asks until an answer is faultless or the rounds are used up; then the best one stands.

    Args:
        ask: sends a question and returns the answer.
        judge: says what an answer's JSON object amounts to.
        max_rounds: how often to ask at most, from 1.
    """

    def __init__(self, ask: Ask, judge: Judge[T], max_rounds: int) -> None:
        self._ask = ask
        self._judge = judge
        self._max_rounds = max_rounds
        self._best: Judged[T] | None = None
        self._issues: tuple[Issue, ...] = ()
        self._warnings: list[str] = []
        self._text = ""
        self.usage = Usage()
        """What all rounds so far took."""

    async def run(self, question: Question) -> Outcome[T]:
        """Return the best draft.

        Raises:
            ModelDeclined: the model would not answer.
            ModelTruncated: the answer was cut, and nothing of it was complete.
            ModelDraftInvalid: no answer was of any use.
            SchemawireError: what `ask` raises, where there was no answer of use before.
        """
        first = question
        for number in range(1, self._max_rounds + 1):
            try:
                answer = await self._ask(question)
            except SchemawireError as error:
                return self._given_up(error, number)
            self.usage += answer.usage
            self._text = answer.text
            issues = self._take(answer)
            if not issues and answer.finish == "done":
                return self._outcome(number)
            self._issues = issues
            question = _again(first, answer, issues)
        return self._given_up(self._failure(answer), self._max_rounds)

    def _take(self, answer: Answer) -> tuple[Issue, ...]:
        """Judge an answer, keep it if it is the best so far, and return what to correct."""
        if answer.finish == "declined":
            raise ModelDeclined(f"The model declined: {answer.text[:200]}", draft=answer.text[:2_000])
        whole = _whole(answer)
        found = dict(closed_part(answer.text)) if whole is None else whole
        judged = self._judge(found)
        if judged.weight and (self._best is None or judged.weight >= self._best.weight):
            self._best = judged
        broken = (_NOT_JSON,) if whole is None and answer.finish == "done" else ()
        empty = (_EMPTY,) if not judged.weight and not judged.issues and not broken else ()
        return (*broken, *empty, *judged.issues)

    def _failure(self, answer: Answer) -> ModelFailed:
        kind = ModelTruncated if answer.finish == "length" else ModelDraftInvalid
        said = "was cut at its limit of tokens" if answer.finish == "length" else "is of no use"
        first = f": {self._issues[0].message}" if self._issues else ""
        return kind(
            f"The model's answer {said} after {self._max_rounds} rounds{first}",
            draft=self._text[:2_000],
            issues=self._issues,
        )

    def _given_up(self, error: SchemawireError, number: int) -> Outcome[T]:
        if self._best is None:
            raise error
        faults = len(self._best.issues)
        if faults:
            self._warnings.append(f"{faults} faults of the model's draft were left out: {self._best.issues[0].message}")
        if not isinstance(error, ModelDraftInvalid):
            self._warnings.append(f"the model could not finish its draft: {error.message}")
        return self._outcome(number)

    def _outcome(self, number: int) -> Outcome[T]:
        assert self._best is not None  # noqa: S101  # the callers have looked
        return Outcome(value=self._best.value, usage=self.usage, rounds=number, warnings=tuple(self._warnings))


def _whole(answer: Answer) -> dict[str, Any] | None:
    """Return the object that an answer holds, or `None` if it was cut or holds none."""
    try:
        return find_object(answer.text) if answer.finish == "done" else None
    except ModelFailed:
        return None


def _again(first: Question, answer: Answer, issues: Sequence[Issue]) -> Question:
    """Return the question for the next round: the first one, the last answer and its faults, and nothing between."""
    if answer.finish == "length":
        return replace(first, max_tokens=first.max_tokens * 2)
    turns = (
        *first.messages,
        Message(role="assistant", content=answer.text[:MAX_KEPT_ANSWER] or "{}"),
        Message(role="user", content=repair_message(issues)),
    )
    return replace(first, messages=turns)
