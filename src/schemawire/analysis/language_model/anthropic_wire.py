"""The wire of Anthropic's messages; pure.

*Source:* Anthropic API reference, messages, streaming and structured outputs.
"""

import json
from typing import Any

from schemawire.analysis.analyser import Usage
from schemawire.analysis.language_model.answers import (
    MAX_SHOWN,
    Answer,
    Finish,
    Manner,
    Question,
)
from schemawire.analysis.language_model.openai_wire import error_text, parse_event, whole
from schemawire.analysis.language_model.options import LlmProvider, Mode
from schemawire.errors import ModelFailed
from schemawire.framing import ServerSentEvent

API_VERSION = "2023-06-01"
_FINISH: dict[str, Finish] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "declined",
}


class AnthropicWire:
    """Requests and replies of `/v1/messages`."""

    path = "/v1/messages"
    modes: tuple[Mode, ...] = ("json_schema", "tools", "prompt")

    def headers(self, provider: LlmProvider) -> dict[str, str]:
        """Return the version of the interface, and the key if there is one."""
        return {"anthropic-version": API_VERSION} | ({"x-api-key": provider.api_key} if provider.api_key else {})

    def body(self, question: Question, provider: LlmProvider, manner: Manner) -> dict[str, Any]:
        """Return the body of a request."""
        body: dict[str, Any] = {
            "model": provider.model,
            "system": question.instructions,
            "messages": [{"role": turn.role, "content": turn.content} for turn in question.messages],
            "max_tokens": question.max_tokens,
        }
        if "no_temperature" not in manner.quirks:
            body["temperature"] = 0
        if manner.stream:
            body["stream"] = True
        return body | _form(question, manner)

    def read(self, document: Any) -> Answer:
        """Return the answer that a reply holds.

        Raises:
            ModelFailed: it has not the form of a message.
        """
        if isinstance(document, dict) and document.get("type") == "error":
            raise ModelFailed(f"The model's server reports: {error_text(document)}")
        blocks = document.get("content") if isinstance(document, dict) else None
        if not isinstance(blocks, list):
            raise ModelFailed(f"The model's reply is no message: {json.dumps(document)[:MAX_SHOWN]}")
        called = [block["input"] for block in blocks if _is(block, "tool_use") and "input" in block]
        spoken = "".join(str(block.get("text", "")) for block in blocks if _is(block, "text"))
        finish = _FINISH.get(str(document.get("stop_reason")), "done")
        text = json.dumps(called[0]) if called else spoken
        return Answer(text=text, finish=finish, usage=_usage(document.get("usage")))

    def reader(self) -> "AnthropicEvents":
        """Return what reads a streamed reply."""
        return AnthropicEvents()


def _form(question: Question, manner: Manner) -> dict[str, Any]:
    match manner.mode:
        case "json_schema":
            return {"output_config": {"format": {"type": "json_schema", "schema": question.form}}}
        case "tools":
            tool = {"name": question.name, "description": "Hands in the result.", "input_schema": question.form}
            return {"tools": [tool], "tool_choice": {"type": "tool", "name": question.name}}
        case "json_object" | "prompt":
            return {}


def _is(block: object, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def _usage(counts: object) -> Usage:
    counts = counts if isinstance(counts, dict) else {}
    sent = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Usage(
        input_tokens=sum(whole(counts.get(name)) for name in sent),
        output_tokens=whole(counts.get("output_tokens")),
        calls=1,
    )


class AnthropicEvents:
    """Puts an answer together from `message_start` to `message_stop`."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._arguments: list[str] = []
        self._finish: Finish | None = None
        self._input = 0
        self._output = 0
        self._stopped = False

    def feed(self, event: ServerSentEvent) -> str:
        """Return the text that an event adds; see `EventReader.feed`."""
        found = parse_event(event)
        match found.get("type"):
            case "error":
                raise ModelFailed(f"The model's server reports: {error_text(found)}")
            case "message_start":
                message = found.get("message")
                self._count(message.get("usage") if isinstance(message, dict) else None)
            case "content_block_delta":
                return self._add(found.get("delta"))
            case "message_delta":
                delta = found.get("delta")
                reason = delta.get("stop_reason") if isinstance(delta, dict) else None
                self._finish = _FINISH.get(str(reason), "done") if reason else self._finish
                self._count(found.get("usage"))
            case "message_stop":
                self._stopped = True
        return ""

    def _count(self, counts: object) -> None:
        usage = _usage(counts)
        self._input = usage.input_tokens or self._input
        self._output = usage.output_tokens or self._output

    def _add(self, delta: object) -> str:
        if _is(delta, "input_json_delta") and isinstance(delta, dict):
            text = str(delta.get("partial_json", ""))
            self._arguments.append(text)
            return text
        if _is(delta, "text_delta") and isinstance(delta, dict):
            text = str(delta.get("text", ""))
            self._parts.append(text)
            return text
        return ""

    def finish(self) -> Answer:
        """Return the answer; see `EventReader.finish`."""
        if not self._stopped:
            raise ModelFailed("The stream of the model's answer ended before the answer did.")
        usage = Usage(input_tokens=self._input, output_tokens=self._output, calls=1)
        text = "".join(self._arguments) or "".join(self._parts)
        return Answer(text=text, finish=self._finish or "done", usage=usage)
