"""The handler's conversation and its choice of who reads words, against the real service in the same process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.model.conftest import DRAFT, KEY, TEXT

import schemawire
from schemawire import Conflict, DomainSchemaHandler, NotFound, SyncDomainSchemaHandler, VersionConflict
from schemawire.analysis import ModelAnalyser, OfflineAnalyser
from schemawire.errors import ConfigurationInvalid
from schemawire.testing import LlmReply, ScriptedLlm
from schemawire.testing.service_process import ServiceProcess

BLOG = "A post has a title and a body. A comment has a body. Each comment belongs to one post."


@pytest.fixture
async def handler(tmp_path: Path) -> AsyncIterator[DomainSchemaHandler]:
    """A handler joined with the real service, and a project with a small blog."""
    async with schemawire.embedded(tmp_path / "schemas.db") as handler:
        await handler.analyze_and_send_domain(BLOG, "blog")
        yield handler


async def test_refine_proposes_asks_applies_and_undoes(handler: DomainSchemaHandler) -> None:
    """One conversation: a question, its answer, yes, and undo."""
    told: list[Any] = []
    handler.register_callback("success", lambda response, project_id: told.append((response, project_id)))
    asked = await handler.refine("blog", "make body optional", "s-1")
    assert (asked.kind, asked.choices) == ("question", ("Post.body", "Comment.body"))
    proposed = await handler.refine("blog", "2", "s-1")
    assert (proposed.kind, proposed.applied, proposed.version) == ("change", False, 1)
    applied = await handler.refine("blog", "yes", "s-1")
    assert (applied.applied, applied.version) == (True, 2)
    assert (await handler.get_schema("blog")).digest == applied.digest
    undone = await handler.undo("blog", "s-1")
    assert undone.data == {"undone": 2, "restored": 1, "version": 3}
    assert [project_id for _, project_id in told] == ["blog"] * 4


async def test_a_conversation_is_read_back(handler: DomainSchemaHandler) -> None:
    """Every turn in order, page by page; a session in which nothing was said is not found."""
    await handler.analyze_and_send_domain("A post has a title.", "blog")
    for sentence in ("make title unique", "yes", "add a slug to posts"):
        await handler.refine("blog", sentence, "s-1")
    first = await handler.conversation("blog", "s-1", limit=2)
    assert [(turn.number, turn.said, turn.version) for turn in first.turns] == [
        (1, "make title unique", None),
        (2, "yes", 2),
    ]
    last = await handler.conversation("blog", "s-1", after=first.next, limit=2)
    assert ([turn.said for turn in last.turns], last.next) == (["add a slug to posts"], None)
    with pytest.raises(NotFound, match="s-2"):
        await handler.conversation("blog", "s-2")


async def test_refine_raises_what_the_backend_refuses(handler: DomainSchemaHandler) -> None:
    """A stale expectation and an undo at the first version are typed errors."""
    with pytest.raises(VersionConflict):
        await handler.refine("blog", "make title unique", "s-1", apply=True, expected_version=9)
    with pytest.raises(Conflict):
        await handler.undo("blog")


def test_the_synchronous_handler_refines_too(tmp_path: Path) -> None:
    """The same methods without an event loop."""
    with ServiceProcess(tmp_path) as service, SyncDomainSchemaHandler(service.base_url, service.admin_key) as handler:
        result = handler.refine("shop", "a shop has orders. each order has a total", "s-1", apply=True)
        assert result.applied
        assert handler.refine("shop", "make total optional", "s-1", apply=True).version == 2
        assert [turn.version for turn in handler.conversation("shop", "s-1").turns] == [1, 2]
        assert handler.undo("shop").version == 3


async def test_a_draft_explains_itself(handler: DomainSchemaHandler) -> None:
    """Each element names its sentence; what is stored keeps the evidence."""
    draft = await handler.analyze(BLOG)
    told = {found.path: found for found in draft.explain()}
    assert told["Post.title"].sentence == "A post has a title and a body."
    assert (told["Post.id"].tier, told["Post.title"].tier) == ("default", "patterns")
    stored = (await handler.get_schema("blog")).document
    assert stored["entities"][0]["fields"][1]["evidence"][0]["rule"] == told["Post.title"].rule


async def test_the_environment_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handler and service ask the model of SCHEMAWIRE_LLM_*; /health lists it and stays healthy when it fails."""
    async with ScriptedLlm(DRAFT, DRAFT, then=LlmReply(status=401, text="no")) as model:
        monkeypatch.setenv("SCHEMAWIRE_LLM_PROVIDER", "openai")
        monkeypatch.setenv("SCHEMAWIRE_LLM_BASE_URL", f"{model.url}/v1")
        monkeypatch.setenv("SCHEMAWIRE_LLM_MODEL", "scripted")
        monkeypatch.setenv("SCHEMAWIRE_LLM_API_KEY", KEY)
        async with schemawire.embedded(tmp_path / "schemas.db") as handler:
            result = await handler.analyze_and_send_domain(TEXT, "shop")
            assert {e["analyser"] for e in result.data["entities"][1]["evidence"]} == {"patterns", "model"}
            assert result.usage is not None
            assert result.usage.output_tokens == 50
            status = await handler.submit("shop2", description=TEXT)
            assert (await handler.wait_for_operation(status.operation_id)).state == "succeeded"
            assert len(model.requests) == 2
            health = await handler.health_check()
            (listed,) = [found for found in health.dependencies if found.name.startswith("language model")]
            assert listed.healthy
            await handler.submit("shop3", description=TEXT + " An order has a note.")
            asked = await handler.refine("shop", "whoever pens things ought to be traceable", "s")
            assert asked.kind == "question"
            health = await handler.health_check()
            assert health.is_healthy
            (listed,) = [found for found in health.dependencies if found.name.startswith("language model")]
            assert not listed.healthy
            assert KEY not in str(health)
            metrics = (await handler.client.request("GET", "/metrics")).text()
            shown = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("schemawire_language"))
            assert shown["schemawire_language_model_input_tokens_total"] == "100", shown
            assert int(shown["schemawire_language_model_failures_total"]) >= 1


async def test_who_reads_words_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by the environment, or an analyser of one's own; a half-set model is refused."""
    assert isinstance(DomainSchemaHandler()._analyser, OfflineAnalyser)
    mine = OfflineAnalyser(tier="patterns")
    assert DomainSchemaHandler(analyser=mine)._analyser is mine
    with pytest.raises(ValueError, match="SCHEMAWIRE_LLM_PROVIDER"):
        DomainSchemaHandler(analyser="model")
    with pytest.raises(ValueError, match="magic"):
        DomainSchemaHandler(analyser="magic")
    monkeypatch.setenv("SCHEMAWIRE_LLM_PROVIDER", "openai")
    with pytest.raises(ConfigurationInvalid, match="no name"):
        DomainSchemaHandler()
    monkeypatch.setenv("SCHEMAWIRE_LLM_MODEL", "m")
    assert isinstance(DomainSchemaHandler()._analyser, ModelAnalyser)
    assert isinstance(DomainSchemaHandler(analyser="offline")._analyser, OfflineAnalyser)
