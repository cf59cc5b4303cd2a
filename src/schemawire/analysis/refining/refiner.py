"""One turn of the conversation: what a sentence means where the conversation stands, tried on the schema.

Knows every intent, and the language model behind them; stores nothing.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schemawire.analysis.language_model.answers import Message, Question
from schemawire.analysis.language_model.forms import OPERATIONS_FORM
from schemawire.analysis.language_model.prompts import CHANGING, joined, quoted
from schemawire.analysis.language_model.rounds import Judged
from schemawire.analysis.model_analyser import Models
from schemawire.analysis.offline import OfflineAnalyser
from schemawire.analysis.refining.additions import read_addition
from schemawire.analysis.refining.answering import show, why
from schemawire.analysis.refining.intents import INTENTS
from schemawire.analysis.refining.phrases import MAX_SENTENCE_LENGTH, Asked, phrasebook
from schemawire.analysis.refining.proposals import Choice, NotUnderstood, Proposal, Step, Talk, Unclear
from schemawire.analysis.refining.scene import Scene
from schemawire.errors import SchemaInvalid
from schemawire.schema.apply import apply_to_schema
from schemawire.schema.compare import compare
from schemawire.schema.edits import changed
from schemawire.schema.issues import Issue
from schemawire.schema.model import DomainSchema, Entity, Evidence
from schemawire.schema.operations import Create, Operation, parse_operations

_THREAD_FROM = 100
"""Elements from which a schema is looked at in a thread."""
_TURNS = ("apply", "undo", "discard")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_HELP = (
    'Say what to change, such as "add a rating from 1 to 5 to posts", "rename author to writer", '
    '"a comment belongs to one post", "make title required" or "undo that".'
)


class Refiner:
    """Reads sentences about a schema; offline first, with a language model for what that does not understand.

    Args:
        offline: reads statements.
        models: asked where the patterns and the analyser understand nothing.
        language: the folder of the language's rules.
    """

    def __init__(
        self, offline: OfflineAnalyser | None = None, *, models: Models | None = None, language: str = "english"
    ) -> None:
        # Requests are short: patterns read them, and always the same way, whether or not the parser is installed.
        self._offline = offline or OfflineAnalyser(language, tier="patterns")
        self._models = models
        self._book = phrasebook(language)

    async def refine(self, sentence: str, schema: DomainSchema, talk: Talk | None = None) -> Proposal:
        """Return what a sentence comes to, tried on the schema but not stored.

        Args:
            sentence: what was said, 1 to 2,000 characters.
            schema: as it is now.
            talk: where the conversation stands.

        Raises:
            SchemaInvalid: the sentence is empty or too long.

        *Cancelled:* nothing has changed.
        """
        _refuse_unreadable(sentence)
        if sum(1 for _ in schema.elements()) < _THREAD_FROM:
            proposal = self.read(sentence, schema, talk)
        else:
            proposal = await asyncio.to_thread(self.read, sentence, schema, talk)
        if proposal.kind == "question" and not proposal.choices and not proposal.template and self._models is not None:
            return await self._ask_models(sentence, schema) or proposal
        return proposal

    def read(self, sentence: str, schema: DomainSchema, talk: Talk | None = None) -> Proposal:
        """Return what a sentence comes to without a language model."""
        talk = talk or Talk()
        sentence = _answered(sentence, talk)
        requests = self._book.requests(sentence)
        first = next(self._book.readings(requests[0]), None) if len(requests) == 1 else None
        if first is not None and first.intent in _TURNS:
            return Proposal(kind=first.intent, explanation=talk.explanation)  # type: ignore[arg-type]  # one of _TURNS
        if first is not None and first.intent == "help":
            return Proposal(kind="answer", explanation=_HELP)
        if first is not None and first.intent in ("why", "show"):
            return self._answer(first, requests[0], schema)
        return self._changes(requests, schema)

    def _answer(self, asked: Asked, sentence: str, schema: DomainSchema) -> Proposal:
        scene = self._scene(schema, sentence)
        try:
            return Proposal(kind="answer", explanation=(why if asked.intent == "why" else show)(scene, asked.said))
        except Unclear as unclear:
            return _question(unclear, ())

    def _scene(self, schema: DomainSchema, sentence: str) -> Scene:
        return Scene(schema=schema, sentence=sentence, analyser=self._offline, participles=self._book.participles)

    def _changes(self, requests: Sequence[str], schema: DomainSchema) -> Proposal:
        """Carry out the requests one after the other on a copy; the first that is unclear asks for them all."""
        operations: list[Operation] = []
        explained: list[str] = []
        changed = schema
        for number, request in enumerate(requests):
            try:
                step = self._step(request, changed)
                changed = apply_to_schema(changed, step.operations)
            except Unclear as unclear:
                return _question(unclear, (*requests[:number], ""), requests[number + 1 :])
            except NotUnderstood:
                return Proposal(kind="question", explanation=f"I do not understand {request!r}. {_HELP}")
            except SchemaInvalid as error:
                return Proposal(kind="answer", explanation=f"That cannot be done: {error.message}. {error.fix}")
            operations += step.operations
            explained.append(step.explanation[:1].upper() + step.explanation[1:])
        return _proposal(schema, changed, operations, " ".join(explained))

    def _step(self, request: str, schema: DomainSchema) -> Step:
        scene = self._scene(schema, request)
        for asked in self._book.readings(request):
            if asked.intent not in INTENTS:
                continue
            try:
                return _sourced(INTENTS[asked.intent](scene, asked.said), request, asked.intent)
            except NotUnderstood:
                continue  # the next pattern may read it better
        return _sourced(read_addition(f"{request}.", schema, self._offline), request, "statement")

    async def _ask_models(self, sentence: str, schema: DomainSchema) -> Proposal | None:
        """Return what a model makes of a sentence, its operations tried on the schema; `None` if nothing of use."""
        assert self._models is not None  # noqa: S101  # the caller has looked
        known = json.dumps(_without_evidence(schema.to_document()), ensure_ascii=False)
        if len(known) > self._models.options.max_prompt_length:
            return None
        words = joined([quoted("schema", known), quoted("request", sentence)])
        question = Question(
            instructions=CHANGING, messages=(Message(role="user", content=words),), name="changes",
            form=OPERATIONS_FORM, max_tokens=self._models.options.max_tokens,
        )  # fmt: skip

        def judge(model: str, answer: dict[str, Any]) -> Judged[Proposal]:
            return _judged(schema, answer)

        asked = await self._models.converse(question, judge)
        if asked.outcome is None:
            return None
        return replace(asked.outcome.value, tier="model", usage=asked.usage)


def _sourced(step: Step, request: str, intent: str) -> Step:
    """Return a step whose new parts name the request as what they come from."""
    evidence = (Evidence(text=request, analyser="request", rule=intent),)
    operations = []
    for operation in step.operations:
        if isinstance(operation, Create):
            part = changed(operation.part, evidence=evidence)
            if isinstance(part, Entity):
                part = changed(part, fields=tuple(changed(field, evidence=evidence) for field in part.fields))
            operation = replace(operation, part=part)
        operations.append(operation)
    return replace(step, operations=tuple(operations))


def _judged(schema: DomainSchema, answer: dict[str, Any]) -> Judged[Proposal]:
    """Return what a model's operations come to; what cannot be carried out is an issue."""
    rows = answer.get("operations")
    told = str(answer.get("explanation") or "")[:500]
    if not rows:
        asked = Proposal(kind="question", explanation=told or "Please say it in other words.")
        return Judged(value=asked, weight=1 if told else 0)
    try:
        documents = [_operation_document(row) for row in rows] if isinstance(rows, list) else rows
        operations = parse_operations(documents)
        changed = apply_to_schema(schema, operations)
    except SchemaInvalid as error:
        issues = tuple(issue for issue in error.issues if isinstance(issue, Issue))
        return Judged(value=Proposal(kind="answer"), weight=0, issues=issues)
    return Judged(value=_proposal(schema, changed, operations, told), weight=1 + len(operations))


def _operation_document(row: Any) -> Any:
    """Return an operation whose data stands in it as JSON text, since forms may not hold open objects."""
    if not isinstance(row, dict) or not isinstance(row.get("data"), str):
        return row
    try:
        data = json.loads(row["data"])
    except (ValueError, RecursionError):
        return row
    without_null = {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data
    return {**row, "data": without_null}


def _without_evidence(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_evidence(inner) for name, inner in value.items() if name != "evidence"}
    return [_without_evidence(inner) for inner in value] if isinstance(value, list) else value


def _proposal(before: DomainSchema, after: DomainSchema, operations: Sequence[Operation], words: str) -> Proposal:
    differences = tuple(compare(before, after))
    kind = "change" if operations else "answer"
    return Proposal(
        kind=kind,  # type: ignore[arg-type]  # one of the two
        explanation=words, operations=tuple(operations), differences=differences,
    )  # fmt: skip


def _question(unclear: Unclear, before: Sequence[str], after: Sequence[str] = ()) -> Proposal:
    """Return a question whose answers stand for the whole of what was said."""

    def whole(sentence: str) -> str:
        return ". ".join([*(request for request in before if request), sentence, *after])

    return Proposal(
        kind="question",
        explanation=unclear.question,
        choices=tuple(Choice(label=choice.label, sentence=whole(choice.sentence)) for choice in unclear.choices),
        template=whole(unclear.template) if unclear.template else "",
    )


def _answered(sentence: str, talk: Talk) -> str:
    """Return the sentence that an answer stands for: a choice by number or name, or words for the open place."""
    answer = sentence.strip().rstrip(".!").strip()
    words = answer.lower().split()
    if talk.choices:
        number = next((_ORDINALS[word] for word in words if word in _ORDINALS), 0) if len(words) <= 3 else 0
        number = (
            int(answer.strip("#() ")) if answer.strip("#() ").isascii() and answer.strip("#() ").isdigit() else number
        )
        if -1 <= number <= len(talk.choices) and number:
            return talk.choices[number - 1 if number > 0 else -1].sentence
        for choice in talk.choices:
            if answer.lower() == choice.label.lower():
                return choice.sentence
    is_new = any(asked.intent != "add" for asked in phrasebook().readings(answer)) or len(words) > 8
    return talk.template.replace("{}", answer) if talk.template and not is_new else sentence


def _refuse_unreadable(sentence: object) -> None:
    fix = "Say in one or a few sentences what to change."
    if not isinstance(sentence, str) or not sentence.strip(" \t\r\n.,;!?"):
        message = "the request is empty" if isinstance(sentence, str) else "the request is not text"
        raise SchemaInvalid(
            message, issues=[Issue(code="empty_request", pointer="", message=message, fix=fix)], fix=fix
        )
    if len(sentence) > MAX_SENTENCE_LENGTH or "\0" in sentence:
        message = f"the request is longer than {MAX_SENTENCE_LENGTH} characters, or holds NUL"
        raise SchemaInvalid(message, issues=[Issue(code="bad_request", pointer="", message=message, fix=fix)], fix=fix)
