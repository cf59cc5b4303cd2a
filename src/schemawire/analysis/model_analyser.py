"""The analyser that asks a language model and lets the offline tiers check and complete its draft.

Knows both sides and when to do without the model; knows no wire.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic

from schemawire.analysis.analyser import AnalysisOptions, Draft, Usage
from schemawire.analysis.completion import complete
from schemawire.analysis.language_model.answers import Message, Question
from schemawire.analysis.language_model.drafts import read_draft
from schemawire.analysis.language_model.forms import SCHEMA_FORM
from schemawire.analysis.language_model.options import LlmOptions, LlmProvider
from schemawire.analysis.language_model.prompts import DRAFTING, quoted
from schemawire.analysis.language_model.replies import ClosedElements
from schemawire.analysis.language_model.rounds import Conversation, Judged, Outcome, T
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.llm import LlmClient, ModelStatistics
from schemawire.analysis.merging import merge_drafts, without_guesses
from schemawire.analysis.offline import OfflineAnalyser
from schemawire.errors import ConfigurationInvalid, SchemaInvalid, SchemawireError
from schemawire.events import Listener
from schemawire.schema.model import DomainSchema

_DEFAULTS = AnalysisOptions()
_LITERAL = AnalysisOptions.literal()
_EACH_UNTIL = 40
"""Parts of a streamed draft that are shown one by one; of a longer one only every so many, as each costs a reading."""
Partial = Callable[[DomainSchema], None]
"""Gets the draft so far, each time that another part of it is closed."""
JudgeOf = Callable[[str, dict[str, Any]], Judged[T]]
"""Says what an answer amounts to, given the model's name, which evidence names too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[T]):
    """What came of asking one model after the other: the first outcome of use, or else the errors of all."""

    outcome: Outcome[T] | None
    usage: Usage
    errors: tuple[SchemawireError, ...] = ()

    @property
    def error(self) -> SchemawireError:
        """The last error, which carries the ones before it."""
        last = self.errors[-1]
        last.attempts = (*last.attempts, *self.errors[:-1])
        return last


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTotals:
    """What all models together were asked, and what that took."""

    questions: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost: float
    """In the currency of the configured prices."""


class Models:
    """Language models in order of preference: the next one is asked where one gives nothing of use.

    Args:
        providers: the models, the preferred one first.
        options: the limits of one question, all models together.
        wire: the HTTP wire.
        listener: hears what happens to calls.

    Raises:
        ConfigurationInvalid: there is no provider.
    """

    def __init__(
        self,
        providers: Sequence[LlmProvider],
        options: LlmOptions | None = None,
        *,
        wire: str = "aiohttp",
        listener: Listener | None = None,
    ) -> None:
        if not providers:
            raise ConfigurationInvalid("no language model is named", fix="Set SCHEMAWIRE_LLM_PROVIDER and _MODEL.")
        self.options = options or LlmOptions()
        self.clients = [LlmClient(provider, self.options, wire=wire, listener=listener) for provider in providers]

    async def converse(
        self, question: Question, judge: JudgeOf[T], *, on_text: Callable[[str], None] | None = None
    ) -> Asked[T]:
        """Return the first outcome of use; its usage counts all models that were asked.

        Args:
            question: what to ask each of them.
            judge: says what an answer of the named model amounts to.
            on_text: gets the answer piece by piece, as it arrives.

        *Cancelled:* the connection is closed.
        """
        until = asyncio.get_running_loop().time() + self.options.deadline
        errors: list[SchemawireError] = []
        spent = Usage()
        for client in self.clients:
            ask = partial(client.ask, until=until, on_text=on_text)
            talk = Conversation(ask, partial(judge, client.provider.model), self.options.max_rounds)
            try:
                outcome = await talk.run(question)
            except SchemawireError as error:
                spent += talk.usage
                errors.append(error)
            else:
                return Asked(outcome=outcome, usage=spent + outcome.usage, errors=tuple(errors))
        return Asked(outcome=None, usage=spent, errors=tuple(errors))

    def statistics(self) -> tuple[ModelStatistics, ...]:
        """Return what each model was asked so far."""
        return tuple(client.statistics() for client in self.clients)

    def totals(self) -> ModelTotals:
        """Return the sums over all models."""
        found = self.statistics()
        usage = sum((one.usage for one in found), Usage())
        return ModelTotals(
            questions=sum(one.questions for one in found),
            failures=sum(one.failures for one in found),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost=usage.cost,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self.clients:
            await client.aclose()


def open_models(rows: Iterable[Mapping[str, Any]], limits: Mapping[str, Any]) -> Models | None:
    """Return the models that plain values name, or `None` if they name none.

    Args:
        rows: the arguments of `LlmProvider`, one mapping per model.
        limits: the arguments of `LlmOptions`.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """
    providers = [LlmProvider(**row) for row in rows]
    return Models(providers, LlmOptions(**limits)) if providers else None


class ModelAnalyser:
    """Drafts with a language model, merges the draft with that of the offline tiers, and does without when it must.

    The same text gives the same draft as long as the model, which is asked at temperature 0, gives the same answer.

    Args:
        models: whom to ask.
        offline: what reads beside them, checks their draft, and stands in for them.
    """

    def __init__(self, models: Models, *, offline: OfflineAnalyser | None = None) -> None:
        self.models = models
        self._offline = offline or OfflineAnalyser()

    async def analyze(
        self, description: str, *, options: AnalysisOptions = _DEFAULTS, on_partial: Partial | None = None
    ) -> Draft:
        """Return the merged draft, or the offline one with a warning where no model was of use.

        Args:
            description: plain words, 1 to `options.max_length` characters.
            options: what to add to what the text says.
            on_partial: gets the model's draft as it grows, literal and unmerged; the answer is then streamed.

        Raises:
            SchemaInvalid: the description is empty, too long or not text, or neither a model nor the rules could make
                anything of it.

        *Cancelled:* the connection to the model is closed; nothing was stored.
        """
        offline: Draft | SchemaInvalid
        try:
            offline = await self._offline.analyze(description, options=options)
        except SchemaInvalid as error:
            if not _is_unrecognised(error):
                raise
            offline = error
        if len(description) > self.models.options.max_prompt_length:
            limit = f"the description is longer than {self.models.options.max_prompt_length:,} characters"
            return _without_model(offline, f"{limit}, so no language model was asked", None)
        asked = await self._ask(description, on_partial)
        if asked.outcome is None:
            why = asked.error
            said = f"no language model was of use ({why.code}: {why.message}), so this is the offline draft"
            return _without_model(offline, said, asked.usage)
        return replace(await self._merged(description, options, offline, asked.outcome), usage=asked.usage)

    async def _ask(self, description: str, on_partial: Partial | None) -> Asked[DomainSchema]:
        question = Question(
            instructions=DRAFTING,
            messages=(Message(role="user", content=quoted("description", description)),),
            name="schema",
            form=SCHEMA_FORM,
            max_tokens=self.models.options.max_tokens,
        )

        def judge(model: str, answer: dict[str, Any]) -> Judged[DomainSchema]:
            schema, issues = read_draft(answer, description, model)
            weight = sum(1 + len(entity.fields) for entity in schema.entities) + len(schema.relationships)
            return Judged(value=schema, weight=weight if schema.entities else 0, issues=tuple(issues))

        on_text = None if on_partial is None else _Growing(description, on_partial).see
        return await self.models.converse(question, judge, on_text=on_text)

    async def _merged(
        self,
        description: str,
        options: AnalysisOptions,
        offline: Draft | SchemaInvalid,
        outcome: Outcome[DomainSchema],
    ) -> Draft:
        lexicon = load_lexicon()
        warnings = list(outcome.warnings)
        literal = outcome.value
        if isinstance(offline, Draft):
            stated = replace(_LITERAL, infer=options.infer, max_length=options.max_length)
            rules = await self._offline.analyze(description, options=stated)
            merged = await asyncio.to_thread(merge_drafts, without_guesses(rules.schema), literal)
            warnings = [*offline.warnings, *warnings, *merged.warnings]
            if not merged.trust.is_enough:
                return replace(offline, warnings=tuple(warnings))
            literal = merged.schema
        schema = await asyncio.to_thread(complete, literal, description, lexicon, options)
        return Draft(schema=schema, tier="model", warnings=tuple(warnings))

    def statistics(self) -> tuple[ModelStatistics, ...]:
        """Return what each model was asked so far, and whether it answered last time."""
        return self.models.statistics()

    async def aclose(self) -> None:
        """Close the connections to the models."""
        await self.models.aclose()


class _Growing:
    """Makes a draft of what is closed of an answer that is still arriving."""

    def __init__(self, description: str, on_partial: Partial) -> None:
        self._description = description
        self._on_partial = on_partial
        self._closed = ClosedElements()
        self._lists: dict[str, list[object]] = {}
        self._count = 0

    def see(self, piece: str) -> None:
        """Take a piece of the answer in."""
        before = self._count
        for name, element in self._closed.feed(piece):
            self._lists.setdefault(name, []).append(element)
            self._count += 1
        few = self._count <= _EACH_UNTIL or self._count // _EACH_UNTIL > before // _EACH_UNTIL
        if self._count > before and few:
            schema, _ = read_draft(self._lists, self._description, "draft")
            self._on_partial(schema)


def _is_unrecognised(error: SchemaInvalid) -> bool:
    return any(getattr(issue, "code", "") == "nothing_recognised" for issue in error.issues)


def _without_model(offline: Draft | SchemaInvalid, warning: str, usage: Usage | None) -> Draft:
    if isinstance(offline, SchemaInvalid):
        raise offline
    return replace(offline, warnings=(*offline.warnings, warning), usage=usage)
