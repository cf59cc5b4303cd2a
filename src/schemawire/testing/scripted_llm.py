"""A server on loopback that speaks the wires of language models and answers from a script; it models no language.

It is a real HTTP server, so that what is tested against it has really been sent; nothing leaves the machine.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web

Finish = Literal["done", "length", "declined"]


class LlmScriptRanOut(AssertionError):
    """The model was asked more often than its script has answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmReply:
    """What one question gets.

    Args:
        text: of the answer; a mapping is written as JSON.
        finish: how the answer ended: complete, cut at its limit of tokens, or declined.
        status: of the response; from 400 on `text` is the message of an error document.
        headers: further headers, such as `Retry-After`.
        delay: seconds before the response begins.
        chunk_delay: seconds before each event of a streamed answer.
        input_tokens: that the usage reports.
        output_tokens: that the usage reports.
        raw: sent as the body in place of a well-formed one.
        content_type: of `raw`.
        cuts: after how many bytes of the body the connection is cut; `None` for not at all.
    """

    text: str | Mapping[str, Any] = ""
    finish: Finish = "done"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    chunk_delay: float = 0.0
    input_tokens: int = 100
    output_tokens: int = 50
    raw: bytes | None = None
    content_type: str = "application/json"
    cuts: int | None = None

    @property
    def content(self) -> str:
        """The answer as text."""
        return self.text if isinstance(self.text, str) else json.dumps(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmRequest:
    """One question as the server got it."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    @property
    def mode(self) -> str:
        """How it asks for JSON: json_schema, tools, json_object or prompt."""
        if self.body.get("tools"):
            return "tools"
        wanted = self.body.get("response_format") or (self.body.get("output_config") or {}).get("format") or {}
        return str(wanted.get("type", "prompt"))

    @property
    def turns(self) -> list[tuple[str, str]]:
        """Role and text of each message, instructions apart."""
        return [(turn["role"], turn["content"]) for turn in self.body["messages"] if turn["role"] != "system"]


class ScriptedLlm:
    """Answers each question with the next entry of a script, on the wire on which it came.

    `async with ScriptedLlm(LlmReply(text={…})) as model:` serves `/v1/chat/completions` (OpenAI) and `/v1/messages`
    (Anthropic) at `model.url`, streamed or not, as the request asks.

    Args:
        script: the answers to the first questions; text or a mapping stands for a plain `LlmReply`.
        then: the answer to every later question; without it a further one is answered with status 500 and remembered
            as `LlmScriptRanOut`, which leaving the block raises.
        refuses_modes: ways of asking for JSON that get status 400; such a question uses up no answer.
    """

    def __init__(
        self,
        *script: LlmReply | str | Mapping[str, Any],
        then: LlmReply | str | Mapping[str, Any] | None = None,
        refuses_modes: Sequence[str] = (),
    ) -> None:
        self._script = [_as_reply(entry) for entry in script]
        self._then = None if then is None else _as_reply(then)
        self._refused = frozenset(refuses_modes)
        self._failure: LlmScriptRanOut | None = None
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.requests: list[LlmRequest] = []
        """Every question so far, oldest first; those in a refused mode too."""

    @property
    def url(self) -> str:
        """The address for the wire of Anthropic; with `/v1` behind it, that for the wire of OpenAI."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/messages", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()
        if self._failure is not None and details[0] is None:
            raise self._failure

    async def aclose(self) -> None:
        """Stop listening; later questions find nobody."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked = LlmRequest(path=request.path, headers=dict(request.headers), body=body)
        self.requests.append(asked)
        if asked.mode in self._refused:
            return _error(LlmReply(text=f"{asked.mode}: response_format is not supported", status=400))
        reply = self._next()
        await asyncio.sleep(reply.delay)
        if reply.raw is not None or reply.status >= 400:
            return await _send_raw(request, reply)
        if body.get("stream"):
            return await _send_stream(request, reply)
        document = _message(reply, asked) if request.path.endswith("/messages") else _completion(reply, asked)
        return await _send_raw(request, reply, json.dumps(document).encode())

    def _next(self) -> LlmReply:
        if self._script:
            return self._script.pop(0)
        if self._then is None:
            self._failure = LlmScriptRanOut(f"the script has no answer for question {len(self.requests)}")
            return LlmReply(status=500, text="the script ran out")
        return self._then


def _as_reply(entry: LlmReply | str | Mapping[str, Any]) -> LlmReply:
    return entry if isinstance(entry, LlmReply) else LlmReply(text=entry)


def _error(reply: LlmReply) -> web.Response:
    document = {"error": {"message": reply.content, "type": "scripted"}}
    return web.json_response(document, status=reply.status, headers=reply.headers)


async def _send_raw(request: web.Request, reply: LlmReply, body: bytes | None = None) -> web.StreamResponse:
    if body is None and reply.raw is None:
        return _error(reply)
    content = body if body is not None else reply.raw or b""
    kind = reply.content_type if body is None else "application/json"
    response = web.StreamResponse(status=reply.status, headers={**reply.headers, "Content-Type": kind})
    response.content_length = len(content)
    await response.prepare(request)
    await _write(request, response, content, reply)
    return response


async def _write(request: web.Request, response: web.StreamResponse, content: bytes, reply: LlmReply) -> None:
    with suppress(ConnectionError):  # who asked has gone
        if reply.cuts is None:
            await response.write(content)
            await response.write_eof()
            return
        await response.write(content[: reply.cuts])
        _hang_up(request)


async def _send_stream(request: web.Request, reply: LlmReply) -> web.StreamResponse:
    response = web.StreamResponse(headers={**reply.headers, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    events = _message_events(reply) if request.path.endswith("/messages") else _completion_events(reply)
    left = reply.cuts
    with suppress(ConnectionError):  # who asked has gone
        for event in events:
            await asyncio.sleep(reply.chunk_delay)
            await response.write(event if left is None else event[:left])
            left = None if left is None else left - len(event)
            if left is not None and left < 0:
                _hang_up(request)
                return response
        await response.write_eof()
    return response


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _completion(reply: LlmReply, asked: LlmRequest) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.finish == "declined":
        message = {"role": "assistant", "content": None, "refusal": reply.content}
    elif asked.mode == "tools":
        call = {"id": "call_1", "type": "function", "function": {"name": "schema", "arguments": reply.content}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": "scripted", "object": "chat.completion", "model": str(asked.body.get("model")),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish_reason(reply)}],
        "usage": {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens},
    }  # fmt: skip


def _finish_reason(reply: LlmReply) -> str:
    return "length" if reply.finish == "length" else "stop"


def _message(reply: LlmReply, asked: LlmRequest) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": reply.content}
    if asked.mode == "tools" and reply.finish == "done":
        block = {"type": "tool_use", "id": "toolu_1", "name": "schema", "input": json.loads(reply.content)}
    return {
        "id": "scripted", "type": "message", "role": "assistant", "model": str(asked.body.get("model")),
        "content": [block], "stop_reason": _stop_reason(reply),
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
    }  # fmt: skip


def _stop_reason(reply: LlmReply) -> str:
    return {"done": "end_turn", "length": "max_tokens", "declined": "refusal"}[reply.finish]


def _pieces(text: str) -> list[str]:
    return [text[start : start + 40] for start in range(0, len(text), 40)]


def _completion_events(reply: LlmReply) -> list[bytes]:
    kind = "refusal" if reply.finish == "declined" else "content"
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {kind: piece}, "finish_reason": None}]} for piece in _pieces(reply.content)
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": _finish_reason(reply)}]})
    usage = {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens}
    chunks.append({"choices": [], "usage": usage})
    return [*(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"]


def _message_events(reply: LlmReply) -> list[bytes]:
    counts = {"input_tokens": reply.input_tokens, "output_tokens": 1}
    start: dict[str, Any] = {"type": "message_start", "message": {"usage": counts}}
    deltas: list[dict[str, Any]] = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in _pieces(reply.content)
    ]
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(reply)},
        "usage": {"output_tokens": reply.output_tokens},
    }
    events: list[dict[str, Any]] = [start, {"type": "ping"}, *deltas, end, {"type": "message_stop"}]
    return [b"event: %s\ndata: %s\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events]
