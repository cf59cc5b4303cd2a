"""A short description, a draft of it as a model would hand it in, and how to ask a scripted model."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from schemawire.analysis.language_model.options import LlmOptions, LlmProvider, ProviderKind
from schemawire.analysis.model_analyser import ModelAnalyser, Models
from schemawire.testing import ScriptedLlm

TEXT = "Customers place orders. A customer has a name. An order has an order date and a status (open or paid)."
KEY = "sk-very-secret-0123456789"


def drafted_field(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    """A field as the form wants it."""
    empty = {"values": None, "min": None, "max": None, "maxLength": None}
    return {"name": name, "type": kind, "required": True, "unique": False, "many": False, **empty, **more}


DRAFT: dict[str, Any] = {
    "name": "shop",
    "entities": [
        {"name": "Customer", "kind": "entity", "extends": None, "evidence": "A customer has a name",
         "fields": [drafted_field("name", evidence="a name")]},
        {"name": "Order", "kind": "entity", "extends": None, "evidence": "orders",
         "fields": [drafted_field("order_date", "date", evidence="an order date"),
                    drafted_field("status", "enum", values=["open", "paid"], evidence="a status (open or paid)")]},
    ],
    "relationships": [
        {"name": "places", "source": "Customer", "target": "Order", "kind": "association", "sourceCardinality": "1",
         "targetCardinality": "0..*", "evidence": "Customers place orders"},
    ],
    "rules": [],
}  # fmt: skip

Opened = Callable[..., Any]


def provider_of(model: ScriptedLlm, kind: ProviderKind = "openai", **options: Any) -> LlmProvider:
    """The provider that a scripted model stands for."""
    address = model.url + ("/v1" if kind == "openai" else "")
    return LlmProvider(kind=kind, model="scripted", base_url=address, api_key=KEY, **options)


@asynccontextmanager
async def asking(*models: LlmProvider, **options: Any) -> AsyncIterator[ModelAnalyser]:
    """An analyser that asks these models, with short limits, closed at the end."""
    limits: dict[str, Any] = {"deadline": 5.0, "silence": 2.0, "max_retries": 0, **options}
    analyser = ModelAnalyser(Models(models, LlmOptions(**limits)))
    try:
        yield analyser
    finally:
        await analyser.aclose()


@pytest.fixture(params=["openai", "anthropic"])
def kind(request: pytest.FixtureRequest) -> ProviderKind:
    """Either wire."""
    found: ProviderKind = request.param
    return found
