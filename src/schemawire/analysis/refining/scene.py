"""What an intent works with: the schema as it is by now, the sentence, and how its phrases are resolved."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemawire.analysis.offline import OfflineAnalyser
from schemawire.analysis.refining.additions import (
    habits_of,
)
from schemawire.analysis.refining.names import Names, Target, TargetKind, bare
from schemawire.analysis.refining.proposals import Choice, Unclear
from schemawire.schema.model import DomainSchema

Said = Mapping[str, str]
_LISTED = re.compile(r"\s*(?:,\s*(?:and|or)\s+|,|\s+and\s+|\s+or\s+|/|\|)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an intent works with: the schema as it is by now, the sentence, and who reads words."""

    schema: DomainSchema
    sentence: str
    analyser: OfflineAnalyser
    participles: Mapping[str, str]

    @property
    def names(self) -> Names:
        """The names of the schema."""
        return Names(self.schema)

    @property
    def case(self) -> Any:
        """How the schema's fields are named."""
        return habits_of(self.schema).field_case

    def one(self, phrase: str, *kinds: TargetKind) -> Target:
        """Return the one thing of these kinds (any, if none is given) that a phrase means.

        Raises:
            Unclear: it means nothing or several things; the question offers what there is.
        """
        found = [target for target in self.names.find(phrase) if not kinds or target.kind in kinds]
        if not found and "field" in kinds:
            found = self.names.references(phrase)
        if len(found) == 1:
            return found[0]
        owner = self.names.entity(phrase) if kinds == ("field",) else None
        if not found and owner is not None and owner.fields:
            paths = [f"{owner.name}.{field.name}" for field in owner.fields if not field.primary_key]
            raise Unclear(f"{owner.name} is an entity. Which field of it?", self._choices(phrase, paths))
        if found:
            raise Unclear(f"Which {bare(phrase)} do you mean?", self._choices(phrase, [t.path for t in found]))
        near = self.names.near(phrase)
        if near:
            raise Unclear(f"There is no {bare(phrase)!r}. Did you mean one of these?", self._choices(phrase, near))
        raise Unclear(
            f"There is no {bare(phrase)!r} in this schema. What do you mean?", (), self._instead(phrase, "{}")
        )

    def _choices(self, phrase: str, paths: list[str]) -> tuple[Choice, ...]:
        return tuple(Choice(label=path, sentence=self._instead(phrase, path)) for path in paths)

    def _instead(self, phrase: str, path: str) -> str:
        return self.sentence.replace(phrase, path, 1)


def listed(text: str) -> list[str]:
    """Return the items of a list in words.

    >>> listed("first name, last name and age")
    ['first name', 'last name', 'age']
    """
    return [item for item in (part.strip().strip("\"'().") for part in _LISTED.split(text)) if item]
