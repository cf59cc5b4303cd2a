"""The wire of OpenAI's chat completions, which most servers of language models speak; pure.

*Source:* OpenAI API reference, chat completions; llama.cpp server and Ollama for what they leave out.
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
from schemawire.analysis.language_model.options import MODES, LlmProvider
from schemawire.errors import ModelFailed
from schemawire.framing import ServerSentEvent

_END = "[DONE]"
_FINISH: dict[str, Finish] = {"length": "length", "content_filter": "declined"}


class OpenAiWire:
    """Requests and replies of `/chat/completions`."""

    path = "/chat/completions"
    modes = MODES

    def headers(self, provider: LlmProvider) -> dict[str, str]:
        """Return the bearer token, if there is a key."""
        return {"Authorization": f"Bearer {provider.api_key}"} if provider.api_key else {}

    def body(self, question: Question, provider: LlmProvider, manner: Manner) -> dict[str, Any]:
        """Return the body of a request."""
        turns = [{"role": turn.role, "content": turn.content} for turn in question.messages]
        limit = "max_completion_tokens" if "max_completion_tokens" in manner.quirks else "max_tokens"
        body: dict[str, Any] = {
            "model": provider.model,
            "messages": [{"role": "system", "content": question.instructions}, *turns],
            limit: question.max_tokens,
        }
        if "no_temperature" not in manner.quirks:
            body["temperature"] = 0
        if manner.stream:
            body["stream"] = True
        if manner.stream and "no_usage_in_stream" not in manner.quirks:
            body["stream_options"] = {"include_usage": True}
        return body | _form(question, manner)

    def read(self, document: Any) -> Answer:
        """Return the answer that a reply holds.

        Raises:
            ModelFailed: it has not the form of a chat completion.
        """
        _refuse_error(document)
        choices = document.get("choices") if isinstance(document, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise ModelFailed(f"The model's reply is no chat completion: {json.dumps(document)[:MAX_SHOWN]}")
        finish = _FINISH.get(str(choice.get("finish_reason")), "done") if isinstance(choice, dict) else "done"
        refusal = message.get("refusal")
        if refusal:
            return Answer(text=str(refusal), finish="declined", usage=_usage(document))
        return Answer(text=_content(message), finish=finish, usage=_usage(document))

    def reader(self) -> "OpenAiEvents":
        """Return what reads a streamed reply."""
        return OpenAiEvents()


def _form(question: Question, manner: Manner) -> dict[str, Any]:
    match manner.mode:
        case "json_schema":
            named = {"name": question.name, "strict": True, "schema": question.form}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case "tools":
            function = {"name": question.name, "strict": True, "parameters": question.form}
            choice = {"type": "function", "function": {"name": question.name}}
            return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "prompt":
            return {}


def _content(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        function = calls[0].get("function") if isinstance(calls[0], dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        return arguments if isinstance(arguments, str) else json.dumps(arguments)
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(document: dict[str, Any]) -> Usage:
    counts = document.get("usage")
    counts = counts if isinstance(counts, dict) else {}
    return Usage(
        input_tokens=whole(counts.get("prompt_tokens")), output_tokens=whole(counts.get("completion_tokens")), calls=1
    )


def whole(value: object) -> int:
    """Return a count of tokens; what is no such number counts as none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _refuse_error(document: Any) -> None:
    """Refuse what some servers answer with status 200."""
    if isinstance(document, dict) and document.get("error"):
        raise ModelFailed(f"The model's server reports: {error_text(document)}")


def error_text(document: Any) -> str:
    """Return the message of an error document of either wire, cropped."""
    error = document.get("error", document) if isinstance(document, dict) else document
    text = error.get("message") if isinstance(error, dict) else error
    return str(text if text else error)[:MAX_SHOWN]


class OpenAiEvents:
    """Puts an answer together from `chat.completion.chunk` events."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._finish: Finish | None = None
        self._refused: list[str] = []
        self._usage = Usage(calls=1)
        self._ended = False

    def feed(self, event: ServerSentEvent) -> str:
        """Return the text that an event adds; see `EventReader.feed`."""
        if event.data.strip() == _END:
            self._ended = True
            return ""
        chunk = parse_event(event)
        _refuse_error(chunk)
        if isinstance(chunk.get("usage"), dict):
            self._usage = _usage(chunk)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        reason = choice.get("finish_reason")
        if reason:
            self._finish = _FINISH.get(str(reason), "done")
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if delta.get("refusal"):
            self._refused.append(str(delta["refusal"]))
        text = _content(delta)
        self._parts.append(text)
        return text

    def finish(self) -> Answer:
        """Return the answer; see `EventReader.finish`."""
        if self._finish is None and not self._ended:
            raise ModelFailed("The stream of the model's answer ended before the answer did.")
        if self._refused:
            return Answer(text="".join(self._refused), finish="declined", usage=self._usage)
        return Answer(text="".join(self._parts), finish=self._finish or "done", usage=self._usage)


def parse_event(event: ServerSentEvent) -> dict[str, Any]:
    """Return the JSON object of one event.

    Raises:
        ModelFailed: it holds none.
    """
    try:
        found = json.loads(event.data)
    except (ValueError, RecursionError) as error:
        raise ModelFailed(f"An event of the model's stream is not JSON: {event.data[:80]!r}") from error
    if not isinstance(found, dict):
        raise ModelFailed(f"An event of the model's stream is no object: {event.data[:80]!r}")
    return found
