"""What goes wrong between us and a language model, on both wires: the offline result always stands."""

import json
import logging
from typing import Any

import pytest
from tests.analysis.model.conftest import DRAFT, KEY, TEXT, asking, provider_of

from schemawire.analysis import OfflineAnalyser
from schemawire.analysis.language_model.options import LlmProvider, ProviderKind
from schemawire.errors import SchemaInvalid
from schemawire.schema import check
from schemawire.testing import LlmReply, ScriptedLlm

OFFLINE = OfflineAnalyser().analyze_text(TEXT)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_draft_is_merged_and_completed(kind: ProviderKind, streams: bool) -> None:
    """The model's draft, streamed or not, becomes a schema with keys, references and evidence from both readers."""
    grown: list[int] = []
    async with ScriptedLlm(DRAFT) as model, asking(provider_of(model, kind)) as analyser:
        seen = (lambda schema: grown.append(len(schema.entities))) if streams else None
        draft = await analyser.analyze(TEXT, on_partial=seen)
    assert draft.tier == "model"
    assert draft.warnings == ()
    assert [entity.name for entity in draft.schema.entities] == ["Customer", "Order"]
    assert {"id", "customer_id", "status"} <= {field.name for field in draft.schema.entities[1].fields}
    assert {e.analyser for e in draft.evidence["Order.status"]} == {"patterns", "model"}
    assert {e.rule for e in draft.evidence["Order.status"] if e.analyser == "model"} == {"scripted"}
    assert not [issue for issue in check(draft.schema) if issue.severity == "error"]
    assert grown == ([1, 2, 2] if streams else [])
    assert model.requests[0].headers["Authorization" if kind == "openai" else "x-api-key"].endswith(KEY)
    assert model.requests[0].body["temperature"] == 0


FAULTS: dict[str, tuple[LlmReply, str]] = {
    "server failed": (LlmReply(status=500, text="oops"), "server_failed"),
    "overloaded": (LlmReply(status=529, text="overloaded_error"), "server_failed"),
    "throttled": (LlmReply(status=429, text="slow down", headers={"Retry-After": "30"}), "throttled"),
    "wrong key": (LlmReply(status=401, text=f"incorrect key: {KEY}"), "unauthenticated"),
    "forbidden": (LlmReply(status=403, text="no"), "forbidden"),
    "no such model": (LlmReply(status=404, text="model not found"), "not_found"),
    "a web page": (LlmReply(raw=b"<html>hello</html>", content_type="text/html"), "bad_reply"),
    "broken JSON": (LlmReply(raw=b'{"choices": [', content_type="application/json"), "bad_reply"),
    "another form": (LlmReply(raw=b'{"hello": 1}'), "model_failed"),
    "a list": (LlmReply(raw=b"[]"), "model_failed"),
    "an error with status 200": (LlmReply(raw=b'{"type": "error", "error": {"message": "busy"}}'), "model_failed"),
    "nothing": (LlmReply(raw=b""), "bad_reply"),
    "declined": (LlmReply(text="I would rather not.", finish="declined"), "model_declined"),
    "empty answer": (LlmReply(text=""), "model_draft_invalid"),
    "chatter": (LlmReply(text="Sure! Here is what I think about it."), "model_draft_invalid"),
    "empty object": (LlmReply(text="{}"), "model_draft_invalid"),
    "no entities": (LlmReply(text={"name": "x", "entities": [], "relationships": []}), "model_draft_invalid"),
    "wrong types": (LlmReply(text={"name": 3, "entities": "none", "relationships": 7}), "model_draft_invalid"),
    "only numbers": (LlmReply(text="[1, 2, 3]"), "model_draft_invalid"),
    "cut at once": (LlmReply(text='{"name": "shop", "entities": [{"na', finish="length"), "model_truncated"),
    "connection cut": (LlmReply(text=DRAFT, cuts=80), "connection_lost"),
    "too slow": (LlmReply(text=DRAFT, delay=3.0), "attempt_timeout"),
    "too large": (LlmReply(text="x" * 300_000), "bad_reply"),
    "not UTF-8": (LlmReply(raw=b'{"choices": "\xff\xfe"}'), "bad_reply"),
    "deep": (LlmReply(text='{"entities": ' + "[" * 20_000), "model_draft_invalid"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_offline_draft_stands_when_the_model_fails(fault: str, kind: ProviderKind) -> None:
    """Each fault becomes a warning that names it, and the draft is exactly the offline one."""
    reply, code = FAULTS[fault]
    limits: dict[str, Any] = {"silence": 0.2, "max_answer_bytes": 100_000}
    async with ScriptedLlm(then=reply) as model, asking(provider_of(model, kind), **limits) as analyser:
        draft = await analyser.analyze(TEXT)
        (statistics,) = analyser.statistics()
    assert draft.schema == OFFLINE.schema
    assert draft.tier == OFFLINE.tier
    assert f"({code}: " in draft.warnings[-1]
    assert KEY not in str(draft.warnings) + str(statistics) + repr(analyser.models.clients[0].provider)


@pytest.mark.parametrize("fault", ["server failed", "too slow", "throttled"])
async def test_a_failing_model_is_reported(fault: str) -> None:
    """The statistics say that the model does not answer, and why; a later success clears it."""
    async with ScriptedLlm(FAULTS[fault][0], DRAFT) as model, asking(provider_of(model), silence=0.2) as analyser:
        await analyser.analyze(TEXT)
        (down,) = analyser.statistics()
        await analyser.analyze(TEXT)
        (up,) = analyser.statistics()
    assert (down.healthy, down.failures) == (False, 1)
    assert down.detail.startswith(FAULTS[fault][1])
    assert (up.healthy, up.detail, up.questions) == (True, "", 2)


async def test_nobody_listening_is_a_warning() -> None:
    """An address where nothing runs costs no more than the attempt, and the offline draft stands."""
    async with ScriptedLlm() as model:
        gone = provider_of(model)
    async with asking(gone) as analyser:
        draft = await analyser.analyze(TEXT)
    assert draft.schema == OFFLINE.schema
    assert "connect_failed" in draft.warnings[-1]


async def test_the_next_provider_is_asked() -> None:
    """Where one provider fails the next one answers, on another wire, and both are paid for."""
    useless, good = LlmReply(text="no idea", input_tokens=10, output_tokens=1), LlmReply(text=DRAFT)
    async with ScriptedLlm(then=useless) as first, ScriptedLlm(good) as second:
        models = (
            provider_of(first, input_price=1_000_000.0),
            provider_of(second, "anthropic", output_price=2_000_000.0),
        )
        async with asking(*models, max_rounds=2) as analyser:
            draft = await analyser.analyze(TEXT)
    assert draft.tier == "model"
    assert draft.usage is not None
    assert (draft.usage.calls, draft.usage.input_tokens, draft.usage.output_tokens) == (3, 120, 52)
    assert draft.usage.cost == pytest.approx(2 * 10 + 50 * 2)


@pytest.mark.parametrize("kind_and_modes", [("openai", 4), ("anthropic", 3)])
async def test_modes_are_probed_and_remembered(kind_and_modes: tuple[ProviderKind, int]) -> None:
    """The surest way of asking for JSON that a server takes is found once and kept."""
    kind, count = kind_and_modes
    refused = ["json_schema", "tools", "json_object"]
    async with ScriptedLlm(then=DRAFT, refuses_modes=refused) as model, asking(provider_of(model, kind)) as analyser:
        first, second = await analyser.analyze(TEXT), await analyser.analyze(TEXT)
    modes = [request.mode for request in model.requests]
    assert modes[:count] == [mode for mode in (*refused, "prompt") if kind == "openai" or mode != "json_object"]
    assert modes[count:] == ["prompt"]
    assert first == second


@pytest.mark.parametrize("mode", ["json_schema", "tools", "json_object", "prompt"])
async def test_a_configured_mode_is_used_and_not_left(mode: Any) -> None:
    """Whoever names a mode gets that one; a server that refuses it is a failure, not a reason to try another."""
    async with ScriptedLlm(DRAFT) as model, asking(provider_of(model, mode=mode)) as analyser:
        assert (await analyser.analyze(TEXT)).tier == "model"
    assert [request.mode for request in model.requests] == [mode]
    async with ScriptedLlm(refuses_modes=[mode]) as model, asking(provider_of(model, mode=mode)) as analyser:
        refused = mode != "prompt"
        draft = await analyser.analyze(TEXT) if refused else OFFLINE
    assert draft.schema == OFFLINE.schema


async def test_servers_with_quirks_are_asked_otherwise() -> None:
    """A server that wants max_completion_tokens and no temperature is asked so from then on."""
    refusals = [
        LlmReply(status=400, text="Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        LlmReply(status=400, text="Unsupported value: 'temperature' does not support 0."),
    ]
    async with ScriptedLlm(*refusals, then=DRAFT) as model, asking(provider_of(model)) as analyser:
        assert (await analyser.analyze(TEXT)).tier == "model"
    last = model.requests[-1].body
    assert "max_completion_tokens" in last
    assert not {"temperature", "max_tokens"} & last.keys()
    assert model.requests[-1].mode == "json_schema"


@pytest.mark.parametrize(
    "text", ["```json\n{}\n```", "Here it is:\n{}\nDo you like it?", "<think>{{hm}}</think>{}", '{"schema": {}}']
)
async def test_json_is_found_in_chatter(text: str) -> None:
    """Code fences and words around the object do not matter."""
    said = text.replace("{}", json.dumps(DRAFT))
    async with ScriptedLlm(said) as model, asking(provider_of(model)) as analyser:
        draft = await analyser.analyze(TEXT)
    assert draft.tier == "model"
    assert len(model.requests) == 1


async def test_a_stream_that_breaks_leaves_the_offline_draft(kind: ProviderKind) -> None:
    """A streamed answer that is cut in the middle counts as lost, whatever had been shown of it."""
    async with ScriptedLlm(LlmReply(text=DRAFT, cuts=900)) as model, asking(provider_of(model, kind)) as analyser:
        draft = await analyser.analyze(TEXT, on_partial=lambda schema: None)
    assert draft.schema == OFFLINE.schema
    assert "no language model was of use" in draft.warnings[-1]


async def test_one_deadline_covers_all_rounds() -> None:
    """Rounds that would each be quick enough end together by the deadline; what was of use stays."""
    slow = LlmReply(text="{}", delay=0.3)
    async with ScriptedLlm(then=slow) as model, asking(provider_of(model), deadline=0.7, max_rounds=10) as analyser:
        draft = await analyser.analyze(TEXT)
    assert len(model.requests) <= 3
    assert "deadline_exceeded" in draft.warnings[-1]


async def test_a_long_wish_for_patience_is_not_waited_for() -> None:
    """A model that wants half a minute is left for the next one at once."""
    busy = LlmReply(status=429, text="slow down", headers={"Retry-After": "30"})
    async with ScriptedLlm(busy) as first, ScriptedLlm(DRAFT) as second:
        models = (provider_of(first), provider_of(second))
        async with asking(*models, max_retries=2, deadline=60.0) as analyser:
            assert (await analyser.analyze(TEXT)).tier == "model"
    assert len(first.requests) == 1


async def test_a_retry_hides_one_failure() -> None:
    """A question that failed on its way is sent again, since asking twice changes nothing."""
    down = LlmReply(status=503, text="restarting")
    async with ScriptedLlm(down, DRAFT) as model, asking(provider_of(model), max_retries=2) as analyser:
        draft = await analyser.analyze(TEXT)
    assert draft.tier == "model"
    assert len(model.requests) == 2


async def test_the_key_is_in_no_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever happens, the key is sent to the provider and shown nowhere else."""
    reply = LlmReply(status=401, text=f"Incorrect API key provided: {KEY}")
    with caplog.at_level(logging.DEBUG):
        async with ScriptedLlm(then=reply) as model, asking(provider_of(model)) as analyser:
            draft = await analyser.analyze(TEXT)
    printed = capsys.readouterr()
    assert KEY not in caplog.text + printed.out + printed.err + str(draft)


async def test_a_long_description_is_not_sent() -> None:
    """Above the cap no model is asked, and the draft says so."""
    async with ScriptedLlm() as model, asking(provider_of(model), max_prompt_length=100) as analyser:
        draft = await analyser.analyze(TEXT + " " + TEXT)
    assert model.requests == []
    assert "longer than 100 characters" in draft.warnings[-1]


@pytest.mark.parametrize("text", ["", "   ", "\0", 7])
async def test_what_is_no_text_is_refused_unasked(text: Any) -> None:
    """What the offline analyser refuses as unreadable never reaches a model."""
    async with ScriptedLlm() as model, asking(provider_of(model)) as analyser:
        with pytest.raises(SchemaInvalid):
            await analyser.analyze(text)
    assert model.requests == []


async def test_the_model_reads_what_the_rules_cannot() -> None:
    """A text in another script is drafted by the model alone; without it the refusal of the rules is the answer."""
    text = "客户下订单。"
    draft = {"name": "shop", "entities": [{"name": "客户", "fields": []}, {"name": "订单", "fields": []}]}
    async with ScriptedLlm(draft, then=LlmReply(status=500)) as model, asking(provider_of(model)) as analyser:
        found = await analyser.analyze(text)
        assert [entity.name for entity in found.schema.entities] == ["客户", "订单"]


def test_addresses_and_keys_are_checked() -> None:
    """A malformed address, a missing name or a key that no header can carry is refused at once."""
    for wrong in (
        {"base_url": "localhost:1"}, {"base_url": "http://u:p@h"}, {"model": " "}, {"kind": "other"}, {"api_key": "ä"},
        {"api_key": "a\nb"}, {"mode": "magic"}, {"input_price": -1.0},
    ):  # fmt: skip
        good: dict[str, Any] = {"kind": "openai", "model": "m"}
        with pytest.raises(ValueError, match=r"configuration_invalid"):
            LlmProvider(**{**good, **wrong})
