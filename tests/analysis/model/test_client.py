"""The client of one model: cancelled at every await it leaves nothing behind; streams are read however they are cut."""

import asyncio
import json

import pytest
from tests.analysis.model.conftest import DRAFT, KEY

from schemawire.analysis.language_model.answers import Answer, Message, Question
from schemawire.analysis.language_model.anthropic_wire import AnthropicWire
from schemawire.analysis.language_model.openai_wire import OpenAiWire
from schemawire.analysis.language_model.options import LlmOptions, LlmProvider
from schemawire.analysis.llm import LlmClient
from schemawire.errors import BadReply, ConfigurationInvalid, ModelFailed, ServerFailed
from schemawire.framing import SseDecoder
from schemawire.testing import LlmReply, LlmScriptRanOut, Reply, ScriptedLlm, ScriptedWire, cancel_at_every_await
from schemawire.testing.scripted_llm import _completion_events, _message_events

QUESTION = Question(instructions="i", messages=(Message(role="user", content="u"),), name="schema", form={})
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}
COMPLETION = json.dumps(
    {"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
).encode()


def client_of(wire: ScriptedWire, **limits: float) -> LlmClient:
    provider = LlmProvider(kind="openai", base_url="http://model", model="m", api_key=KEY)
    options = LlmOptions(deadline=limits.get("deadline", 60.0), max_retries=2)
    return LlmClient(provider, options, wire=wire)


async def asked(client: LlmClient, **more: bool) -> Answer:
    pieces: list[str] = []
    until = asyncio.get_running_loop().time() + 60
    return await client.ask(QUESTION, until=until, on_text=pieces.append if more.get("streams") else None)


@pytest.mark.parametrize("streams", [False, True])
def test_a_cancelled_question_leaves_nothing_behind(streams: bool) -> None:
    """Whenever the caller goes away, during a retry, a refusal or a body, no request stays in flight."""
    chunks = tuple(_completion_events(LlmReply(text="{}"))) if streams else (COMPLETION[:20], COMPLETION[20:])
    refused = Reply(status=400, headers=JSON, chunks=(b'{"error": {"message": "response_format"}}',), delay=0.1)
    good = Reply(headers=EVENTS if streams else JSON, chunks=chunks, delay=0.2, chunk_delay=0.1)

    def prepare() -> tuple[ScriptedWire, LlmClient]:
        wire = ScriptedWire(Reply(status=503, delay=0.1), refused, then=good)
        return wire, client_of(wire)

    async def scenario(subject: tuple[ScriptedWire, LlmClient]) -> None:
        assert (await asked(subject[1], streams=streams)).text == "{}"

    def check(subject: tuple[ScriptedWire, LlmClient]) -> None:
        assert subject[0].statistics().in_flight == 0

    report = cancel_at_every_await(prepare, scenario, check=check)
    assert report.suspensions > 3


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_stream_is_read_however_it_is_cut(kind: str) -> None:
    """Cut at every byte, the events give the same answer; without its end there is no answer."""
    reply = LlmReply(text=DRAFT, input_tokens=7, output_tokens=9)
    body = b"".join(_completion_events(reply) if kind == "openai" else _message_events(reply))
    wire = OpenAiWire() if kind == "openai" else AnthropicWire()
    for position in range(0, len(body), 7):
        decoder, reader = SseDecoder(), wire.reader()
        for piece in (body[:position], body[position:]):
            for event in decoder.feed(piece):
                reader.feed(event)
        answer = reader.finish()
        assert (json.loads(answer.text), answer.finish) == (DRAFT, "done")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 9)
    reader = wire.reader()
    for event in SseDecoder().feed(body[: len(body) // 2]):
        reader.feed(event)
    with pytest.raises(ModelFailed, match="ended before"):
        reader.finish()


async def test_errors_are_typed_and_name_no_key() -> None:
    """The message says who failed and how, without the key that the server repeats."""
    wire = ScriptedWire(then=Reply(status=500, headers=JSON, chunks=(f'{{"error": "{KEY} is bad"}}'.encode(),)))
    with pytest.raises(ServerFailed) as caught:
        await asked(client_of(wire))
    assert KEY not in str(caught.value)
    assert "m at model answered with status 500" in caught.value.message
    page = ScriptedWire(Reply(headers={"Content-Type": "text/html"}, chunks=(b"<html>",)))
    with pytest.raises(BadReply, match="text/html"):
        await asked(client_of(page))


async def test_a_script_that_ran_out_says_so() -> None:
    """Leaving the block of a scripted model that was asked too often raises."""
    model = await ScriptedLlm().__aenter__()
    client = LlmClient(LlmProvider(kind="openai", base_url=f"{model.url}/v1", model="m"), LlmOptions(max_retries=0))
    with pytest.raises(ServerFailed):
        await asked(client)
    await client.aclose()
    with pytest.raises(LlmScriptRanOut):
        await model.__aexit__(None, None, None)


def test_limits_are_checked() -> None:
    """Each limit out of its range is refused where it is made."""
    for name, value in (("deadline", 0), ("silence", 0), ("max_rounds", 0), ("max_tokens", 1), ("max_retries", 99)):
        with pytest.raises(ConfigurationInvalid, match=name):
            LlmOptions(**{name: value})
