"""What a sentence comes to: changes, a question, an answer, or a word about the changes proposed before.

Knows operations; knows no sentence and no store.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from schemawire.analysis.analyser import Tier, Usage
from schemawire.schema.compare import Difference
from schemawire.schema.operations import Operation

ProposalKind = Literal["change", "question", "answer", "apply", "undo", "discard"]
MAX_CHOICES = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer to a question: what is shown, and the sentence that it stands for."""

    label: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a sentence comes to.

    `change` carries operations that were tried on the schema and their differences; `question` wants an answer, by
    number or in words; `answer` tells something; `apply`, `undo` and `discard` are about what was proposed before.
    """

    kind: ProposalKind
    explanation: str = ""
    operations: tuple[Operation, ...] = ()
    differences: tuple[Difference, ...] = ()
    choices: tuple[Choice, ...] = ()
    template: str = ""
    """Of a question that is answered in words: a sentence with `{}` for the answer."""
    tier: Tier = "patterns"
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The part of a sentence that one intent understood."""

    operations: tuple[Operation, ...] = ()
    explanation: str = ""


class Unclear(Exception):
    """A sentence that wants a question back; carries it."""

    def __init__(self, question: str, choices: tuple[Choice, ...] = (), template: str = "") -> None:
        super().__init__(question)
        self.question = question
        self.choices = choices[:MAX_CHOICES]
        self.template = template


class NotUnderstood(Exception):
    """A sentence that no pattern and no rule of language could read as a change."""


class Told(Exception):
    """A sentence that asks something and changes nothing; carries the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """Where a conversation stands: what was asked last, and what was proposed and not yet applied."""

    choices: tuple[Choice, ...] = ()
    template: str = ""
    pending: tuple[dict[str, Any], ...] = field(default=())
    """Operations as JSON."""
    explanation: str = ""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "choices": [{"label": choice.label, "sentence": choice.sentence} for choice in self.choices],
            "template": self.template,
            "pending": list(self.pending),
            "explanation": self.explanation,
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Talk":
        """Return the value of a JSON form that `to_document` wrote."""
        return cls(
            choices=tuple(Choice(**choice) for choice in document.get("choices", ())),
            template=document.get("template", ""),
            pending=tuple(document.get("pending", ())),
            explanation=document.get("explanation", ""),
        )
