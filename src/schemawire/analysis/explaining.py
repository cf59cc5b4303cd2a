"""For each element the sentence that it came from, the rule that made it, and how sure that is.

Knows the evidence that schemas carry; knows no analyser.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemawire.analysis.sentences import split_sentences
from schemawire.schema.model import DomainSchema, Evidence, Field, kind_of

_TECHNICAL = {"uuid": "the key that every entity gets", "now": "the time of its creation, added by option",
              "update": "the time of its last change, added by option"}  # fmt: skip
_DEFAULTS = {
    "default:usual-field": "usual for such a thing; the description gives it no fields",
    "default:dependant": "usual between these two; the description does not relate them",
    "default:many-to-many": "usual between these two; the description does not relate them",
    "default:classified": "usual between these two; the description does not relate them",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one element or field is there."""

    path: str
    """Such as `Post.title`."""
    kind: str
    tier: str
    """patterns, parser, model, or default for what was added without being said."""
    rule: str
    sentence: str
    """The whole sentence that says so; empty for what was added."""
    quote: str
    start: int
    end: int
    confidence: float

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    def __str__(self) -> str:
        sure = f"{self.confidence:.0%} sure"
        if self.tier == "default":
            return f"{self.path}: {_DEFAULTS.get(self.rule, self.rule)} ({sure})"
        return f"{self.path}: “{self.sentence}” ({self.tier}, rule {self.rule}, {sure})"


def explain(schema: DomainSchema, text: str | None = None) -> list[Explanation]:
    """Return why each element and field is there, in the schema's order, the best evidence of each.

    Args:
        schema: with its evidence.
        text: the description that was analysed; the schema's own description if not given.
    """
    text = text if text is not None else schema.description or ""
    spans = [(sentence.start, sentence.end) for sentence in split_sentences(text)]
    found = []
    for path, kind, part in _parts(schema):
        evidence: Sequence[Evidence] = getattr(part, "evidence", ())
        best = max(evidence, key=lambda one: one.confidence, default=None)
        found.append(_added(path, kind, part) if best is None else _said(path, kind, best, (text, spans)))
    return found


def explain_part(schema: DomainSchema, path: str) -> str:
    """Return in words why one thing is there, with all of its evidence."""
    text = schema.description or ""
    spans = [(sentence.start, sentence.end) for sentence in split_sentences(text)]
    for found, kind, part in _parts(schema):
        if found == path:
            evidence: Sequence[Evidence] = getattr(part, "evidence", ())
            told = [_said(path, kind, one, (text, spans)) for one in evidence] or [_added(path, kind, part)]
            return "\n".join(dict.fromkeys(map(str, told)))
    return f"{path} is not in this schema."


def _parts(schema: DomainSchema) -> Iterator[tuple[str, str, object]]:
    for element in schema.elements():
        yield element.key, kind_of(element), element
        for field in getattr(element, "fields", ()):
            yield f"{element.key}.{field.name}", "field", field


def _added(path: str, kind: str, part: object) -> Explanation:
    rule = "added by option, or by hand"
    if isinstance(part, Field) and part.generated:
        rule = _TECHNICAL.get(part.generated, rule)
    return Explanation(
        path=path, kind=kind, tier="default", rule=rule, sentence="", quote="", start=0, end=0, confidence=1.0
    )


def _said(path: str, kind: str, evidence: Evidence, source: tuple[str, Sequence[tuple[int, int]]]) -> Explanation:
    is_default = evidence.rule.startswith("default:")
    return Explanation(
        path=path, kind=kind, tier="default" if is_default else evidence.analyser, rule=evidence.rule,
        sentence="" if is_default else _sentence(evidence, *source), quote=evidence.text, start=evidence.start,
        end=evidence.end, confidence=evidence.confidence,
    )  # fmt: skip


def _sentence(evidence: Evidence, text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return the sentence around a span, if the text is still the one that was analysed; else what was quoted."""
    if text[evidence.start : evidence.end] != evidence.text:
        return evidence.text
    around = [span for span in spans if span[0] <= evidence.start < span[1]]
    return " ".join(text[around[0][0] : around[0][1]].split()) if around else evidence.text


def by_path(explanations: Sequence[Explanation]) -> Mapping[str, Explanation]:
    """Return explanations by what they explain."""
    return {explanation.path: explanation for explanation in explanations}
