"""Asks one language model over HTTP; the only file of this room that sends anything.

Knows the transport and both wires; knows no prompt and no schema. What a user wrote is passed on as data, and the key
appears in no message and no log.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from schemawire.analysis.analyser import Usage
from schemawire.analysis.language_model.answers import MAX_SHOWN, Answer, Manner, Question, Quirk, WireFormat
from schemawire.analysis.language_model.anthropic_wire import AnthropicWire
from schemawire.analysis.language_model.openai_wire import OpenAiWire, error_text
from schemawire.analysis.language_model.options import LlmOptions, LlmProvider, Mode, ProviderKind
from schemawire.errors import (
    BadReply,
    DeadlineExceeded,
    Forbidden,
    Invalid,
    ModelFailed,
    NotFound,
    PayloadTooLarge,
    Rejected,
    SchemawireError,
    ServerFailed,
    StreamBroken,
    Throttled,
    Unauthenticated,
)
from schemawire.events import Listener
from schemawire.framing import ServerSentEvent, SseDecoder
from schemawire.resilience import RetryConfig
from schemawire.transport import Client, PoolConfig, TimeoutConfig, Wire
from schemawire.transport.stream import StreamResponse

_WIRES: dict[ProviderKind, Callable[[], WireFormat]] = {"openai": OpenAiWire, "anthropic": AnthropicWire}
_REJECTIONS: dict[int, type[Rejected]] = {
    400: Invalid, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 413: PayloadTooLarge, 422: Invalid,
    429: Throttled,
}  # fmt: skip
_FIXES: dict[int, str] = {
    401: "Set SCHEMAWIRE_LLM_API_KEY to a valid key of the model's provider.",
    403: "Use a key that may use this model.",
    404: "Check SCHEMAWIRE_LLM_BASE_URL and SCHEMAWIRE_LLM_MODEL.",
    429: "Wait, or raise the limits of your account with the model's provider.",
}
_MODE_WORDS = re.compile(
    r"response_format|json_schema|json_object|output_config|output_format|tool|schema|grammar", re.I
)
_QUIRKS: tuple[tuple[Quirk, re.Pattern[str]], ...] = (
    ("max_completion_tokens", re.compile("max_completion_tokens")),
    ("no_temperature", re.compile("temperature")),
    ("no_usage_in_stream", re.compile("stream_options|include_usage")),
)
_LONGEST_WAIT = 5.0
"""Seconds of a Retry-After that are waited for; with a longer one the next model, or the offline draft, is sooner."""
_SECRETS = re.compile(r"\b(?:sk|key|pk)-[A-Za-z0-9_*.-]{6,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatistics:
    """What one model was asked and how that ended; `healthy` is `None` before the first question."""

    model: str
    healthy: bool | None = None
    questions: int = 0
    failures: int = 0
    usage: Usage = Usage()  # noqa: RUF009  # frozen
    detail: str = ""
    """Of the last failure; empty after a success."""


class LlmClient:
    """One language model behind one address.

    It learns which way of asking for JSON the server understands, and keeps to that.

    Args:
        provider: which model, where.
        options: time and size limits.
        wire: the HTTP wire, by name or itself.
        listener: hears what happens to calls and attempts.
    """

    def __init__(
        self,
        provider: LlmProvider,
        options: LlmOptions,
        *,
        wire: str | Wire = "aiohttp",
        listener: Listener | None = None,
    ) -> None:
        self.provider = provider
        self._options = options
        self._format = _WIRES[provider.kind]()
        self._modes = [provider.mode] if provider.mode else list(self._format.modes)
        self._quirks: frozenset[Quirk] = frozenset()
        self._statistics = ModelStatistics(model=provider.label)
        self._client = Client(
            provider.address,
            timeout=TimeoutConfig(connect=min(10.0, options.silence), read=options.silence, total=options.deadline),
            pool=PoolConfig(max_connections=8, max_queue=100),
            retry=RetryConfig(max_retries=options.max_retries, max_hint=min(_LONGEST_WAIT, options.deadline)),
            headers=self._format.headers(provider),
            wire=wire,
            listener=listener,
            max_body_bytes=options.max_answer_bytes,
            name="llm",
        )

    async def ask(self, question: Question, *, until: float, on_text: Callable[[str], None] | None = None) -> Answer:
        """Return the model's answer, its cost included.

        Args:
            question: what to ask.
            until: the end of the whole call, on the event loop's clock.
            on_text: gets the answer piece by piece, as it arrives.

        Raises:
            DeadlineExceeded: there was no answer by then.
            Refused, Failed, Rejected: as the transport and the provider say; 429 is `Throttled`, 5xx `ServerFailed`.
            ModelFailed: the reply has not the form of its wire.

        *Cancelled:* the connection is closed.
        """
        try:
            answer = await self._ask_in_some_mode(question, until, on_text)
        except SchemawireError as error:
            failures, detail = self._statistics.failures + 1, f"{error.code}: {error.message[:MAX_SHOWN]}"
            self._note(Usage(), healthy=False, failures=failures, detail=detail)
            raise
        usage = replace(answer.usage, cost=self._cost(answer.usage))
        self._note(usage, healthy=True, detail="")
        return replace(answer, usage=usage)

    def _note(self, usage: Usage, **changes: Any) -> None:
        known = self._statistics
        self._statistics = replace(known, questions=known.questions + 1, usage=known.usage + usage, **changes)

    def _cost(self, usage: Usage) -> float:
        provider = self.provider
        paid = usage.input_tokens * provider.input_price + usage.output_tokens * provider.output_price
        return round(paid / 1_000_000, 9)

    async def _ask_in_some_mode(
        self, question: Question, until: float, on_text: Callable[[str], None] | None
    ) -> Answer:
        """Ask in the surest mode that the server has not refused yet."""
        while True:
            manner = Manner(mode=self._modes[0], quirks=self._quirks, stream=on_text is not None)
            try:
                return await self._send(question, manner, until, on_text)
            except Invalid as error:
                if not self._learns_from(error.message, manner):
                    raise

    def _learns_from(self, said: str, manner: Manner) -> bool:
        """Note what a refusal tells about the server; tell whether asking otherwise may help."""
        for quirk, pattern in _QUIRKS:
            if quirk not in manner.quirks and pattern.search(said):
                self._quirks |= {quirk}
                return True
        if len(self._modes) > 1 and self._modes[0] == manner.mode and _MODE_WORDS.search(said):
            self._modes = self._modes[1:]
            return True
        return self._modes[0] != manner.mode  # another call has learned it meanwhile

    @property
    def mode(self) -> Mode:
        """How JSON is asked for now."""
        return self._modes[0]

    async def _send(
        self, question: Question, manner: Manner, until: float, on_text: Callable[[str], None] | None
    ) -> Answer:
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineExceeded(f"{self.provider.label} had no time left to answer.", fix="Give it more time.")
        body = json.dumps(self._format.body(question, self.provider, manner), ensure_ascii=False).encode()
        if on_text is not None:
            return await self._read_stream(body, left, on_text)
        # Asking twice costs tokens and changes nothing, so a key makes the request repeatable.
        response = await self._client.request(
            "POST", self._format.path, body=body, headers={"Content-Type": "application/json"},
            idempotency_key=uuid4().hex, deadline=left,
        )  # fmt: skip
        self._check(response.status, response.headers, response.body)
        return self._format.read(response.json())

    async def _read_stream(self, body: bytes, left: float, on_text: Callable[[str], None]) -> Answer:
        reader = self._format.reader()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        async with self._client.stream(
            "POST", self._format.path, body=body, headers=headers, idempotency_key=uuid4().hex, deadline=left
        ) as response:
            is_events = "event-stream" in response.headers.get("content-type", "")
            if not response.is_success or not is_events:
                content = await response.read(max_bytes=self._options.max_answer_bytes)
                self._check(response.status, response.headers, content)
                return self._format.read(_parse(content, self.provider))  # a server that does not stream
            async with aclosing(_events(response, self._options.max_answer_bytes)) as events:
                async for event in events:
                    on_text(reader.feed(event))
        return reader.finish()

    def _check(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Refuse a reply that is no success, or no JSON."""
        who = self.provider.label
        if 200 <= status < 300:
            kind = headers.get("content-type", "application/json")
            if "json" not in kind:
                raise BadReply(f"{who} answered with {kind[:60]!r}, not with JSON.", fix=_FIXES[404])
            return
        said = self._without_secrets(_said(body))
        message = f"{who} answered with status {status}: {said}"
        retry_after = _seconds(headers.get("retry-after"))
        if status >= 500:
            raise ServerFailed(message, retry_after=retry_after, fix="Try again later, or set a second provider.")
        if status not in _REJECTIONS:
            raise BadReply(message, fix=_FIXES[404])
        raise _REJECTIONS[status](message, fix=_FIXES.get(status), retry_after=retry_after, status=status)

    def _without_secrets(self, text: str) -> str:
        if self.provider.api_key:
            text = text.replace(self.provider.api_key, "…")
        return _SECRETS.sub("…", text)

    def statistics(self) -> ModelStatistics:
        """Return what the model was asked so far."""
        return self._statistics

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


async def _events(response: StreamResponse, max_bytes: int) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the events of a streamed answer.

    Raises:
        BadReply: it is larger than allowed.
        ModelFailed: it ended in the middle of an event, or is no event stream.
    """
    decoder, size_bytes = SseDecoder(max_event_bytes=max_bytes), 0
    try:
        async for chunk in response:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise BadReply(f"The answer of {response.url} is larger than {max_bytes} bytes.")
            for event in decoder.feed(chunk):
                yield event
        decoder.finish()
    except StreamBroken as error:
        raise ModelFailed(f"The stream of the model's answer is broken: {error.message}") from error


def _said(body: bytes) -> str:
    try:
        return error_text(json.loads(body))
    except (ValueError, RecursionError):
        return body[:MAX_SHOWN].decode("utf-8", "replace")


def _parse(body: bytes, provider: LlmProvider) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"The reply of {provider.label} is not JSON: {body[:80]!r}") from error


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
