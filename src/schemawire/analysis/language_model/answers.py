"""What is asked of a language model and what comes back, whatever the wire; knows no wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from schemawire.analysis.analyser import Usage
from schemawire.analysis.language_model.options import LlmProvider, Mode
from schemawire.framing import ServerSentEvent

Finish = Literal["done", "length", "declined"]
Role = Literal["user", "assistant"]
Quirk = Literal["max_completion_tokens", "no_temperature", "no_usage_in_stream"]
"""Ways in which a server wants a request put otherwise; learned from its refusals."""

MAX_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of the conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the model is asked: instructions, the conversation so far, and the form that the answer must have."""

    instructions: str
    messages: tuple[Message, ...]
    name: str
    """Of the answer's form, such as `schema`."""
    form: Mapping[str, Any] = field(repr=False)
    """A JSON schema without recursion, in which every object is closed."""
    max_tokens: int = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered: `length` says that it was cut, `declined` that it would not answer."""

    text: str
    finish: Finish = "done"
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a question is put to one server: by which mode and with which quirks, streamed or not."""

    mode: Mode
    quirks: frozenset[Quirk] = frozenset()
    stream: bool = False


class EventReader(Protocol):
    """Puts an answer together from the events of a stream."""

    def feed(self, event: ServerSentEvent) -> str:
        """Return the text that an event adds.

        Raises:
            ModelFailed: the event tells of a failure, or cannot be understood.
        """

    def finish(self) -> Answer:
        """Return the answer, once the stream has ended.

        Raises:
            ModelFailed: the stream ended before the answer did.
        """


class WireFormat(Protocol):
    """The JSON that one kind of provider speaks."""

    @property
    def path(self) -> str:
        """Where requests go, below the provider's address."""

    @property
    def modes(self) -> Sequence[Mode]:
        """What it may offer, the surest first."""

    def headers(self, provider: LlmProvider) -> dict[str, str]:
        """Return the headers that carry the key."""

    def body(self, question: Question, provider: LlmProvider, manner: Manner) -> dict[str, Any]:
        """Return the body of a request."""

    def read(self, document: Any) -> Answer:
        """Return the answer that a reply holds.

        Raises:
            ModelFailed: the reply does not have the form that the wire promises.
        """

    def reader(self) -> EventReader:
        """Return what reads a streamed reply."""
