"""A service that asks a language model: within the caller's deadline, listed in its health, never unready for it."""

from pathlib import Path
from typing import Any

import pytest
from tests.analysis.model.conftest import DRAFT, KEY, TEXT
from tests.service.caller import Caller, new_project

from schemawire.testing import LlmReply, ScriptedLlm
from schemawire.testing.service_process import ServiceProcess


def environment(model: ScriptedLlm) -> dict[str, str]:
    return {
        "SCHEMAWIRE_LLM_PROVIDER": "anthropic",
        "SCHEMAWIRE_LLM_BASE_URL": model.url,
        "SCHEMAWIRE_LLM_MODEL": "scripted",
        "SCHEMAWIRE_LLM_API_KEY": KEY,
        "SCHEMAWIRE_LLM_OUTPUT_PRICE": "1000000",
    }


async def test_a_service_process_asks_its_model(tmp_path: Path) -> None:
    """Drafts name both readers and their cost; a slow model is left when the caller's time runs out."""
    slow = LlmReply(text=DRAFT, delay=30.0)
    async with ScriptedLlm(DRAFT, slow, LlmReply(status=500), then=LlmReply(status=500)) as model:
        with ServiceProcess(tmp_path, environment=environment(model)) as service:
            async with Caller(service) as call:
                project = new_project()

                async def analyze(**headers: str) -> dict[str, Any]:
                    reply = await call("POST", f"{project}/analyze", json={"description": TEXT}, headers=headers)
                    assert reply.status == 200, reply.body
                    data: dict[str, Any] = reply.json()["data"]
                    return data

                first = await analyze()
                assert first["tier"] == "model"
                assert first["usage"] == {"inputTokens": 100, "outputTokens": 50, "calls": 1, "cost": 50.0}
                hurried = await analyze(**{"X-Request-Deadline": "1500"})
                assert hurried["tier"] == "patterns"
                assert "deadline_exceeded" in hurried["warnings"][-1]
                ready = await call("GET", "/health/ready")
                assert ready.status == 200
                listed = [row for row in ready.json()["dependencies"] if row["name"].startswith("language model")]
                assert [row["healthy"] for row in listed] == [False]
                assert KEY.encode() not in ready.body
    assert model.requests[0].path == "/v1/messages"


def test_a_half_set_model_stops_the_service(tmp_path: Path) -> None:
    """A provider without a model's name is a fault of the configuration, found at the start."""
    from schemawire.errors import ConfigurationInvalid
    from schemawire.service.app import build_backend
    from schemawire.settings.service import ServiceSettings

    settings = ServiceSettings(database_url=f"sqlite:///{tmp_path / 's.db'}", llm_provider="openai")
    with pytest.raises(ConfigurationInvalid, match="no name"):
        build_backend(settings)
