"""Who reads words for the service: the settings' language models with the offline analyser beside them, or that alone.

Knows the settings and the analysis room; knows nothing of requests.
"""

import asyncio
import time
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from schemawire.analysis import (
    Analyser,
    AnalysisOptions,
    ModelAnalyser,
    Models,
    OfflineAnalyser,
    Refiner,
    Usage,
    open_models,
)
from schemawire.protocol.messages import AnalysisChoices, Dependency
from schemawire.resilience import Inherited
from schemawire.settings.service import ServiceSettings

_SHARE_FOR_MODELS = 0.8
"""Of the time that a caller will still wait; the rest is for the offline draft, the store and the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads descriptions and requests for changes; `models` is `None` where only rules do."""

    analyser: Analyser
    refiner: Refiner
    models: Models | None = None

    async def start(self) -> None:
        """Do nothing: connections are opened when they are needed."""

    async def stop(self) -> None:
        """Close the connections to the models."""
        if self.models is not None:
            await self.models.aclose()


def open_reader(settings: ServiceSettings, analyser: Analyser | None = None) -> Reader:
    """Return who reads words as the settings say.

    Args:
        settings: which models to ask.
        analyser: who reads descriptions, whatever the settings say.

    Raises:
        ConfigurationInvalid: a model is named incompletely, or a value is out of range.
    """
    models = open_models(map(asdict, settings.language_models), settings.language_model_limits())
    reads = analyser or (OfflineAnalyser() if models is None else ModelAnalyser(models))
    return Reader(analyser=reads, refiner=Refiner(models=models), models=models)


def options_of(choices: AnalysisChoices | None) -> AnalysisOptions:
    """Return the analyser's options that a request chooses."""
    if choices is None:
        return AnalysisOptions()
    adds = not choices.literal
    return AnalysisOptions(
        field_case=choices.field_case,
        add_keys=adds and choices.keys,
        add_timestamps=adds and choices.timestamps,
        join_entities=adds and choices.join_entities,
        foreign_keys=adds and choices.foreign_keys,
        enums=choices.enums,
        infer=adds and choices.infer,
    )


def time_to_read(expires: float | None) -> Inherited:
    """Return a scope in which models get most of the time that the caller will still wait, and no more.

    Args:
        expires: when the caller gives up, on the monotonic clock; `None` if nothing is known.
    """
    if expires is None:
        return Inherited(inf)
    loop = asyncio.get_running_loop()
    left = max(0.0, expires - time.monotonic())
    return Inherited(loop.time() + left * _SHARE_FOR_MODELS)


def usage_document(usage: Usage | None) -> dict[str, Any] | None:
    """Return what a language model took, as replies say it."""
    if usage is None:
        return None
    tokens = {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens}
    return {**tokens, "calls": usage.calls, "cost": usage.cost}


def model_dependencies(models: Models | None) -> tuple[Dependency, ...]:
    """Return how each language model answered last time; nobody is asked for this."""
    if models is None:
        return ()
    return tuple(
        Dependency(
            name=f"language model {found.model}",
            healthy=found.healthy is not False,
            detail=found.detail or ("not asked yet" if found.healthy is None else f"{found.questions} questions"),
        )
        for found in models.statistics()
    )
