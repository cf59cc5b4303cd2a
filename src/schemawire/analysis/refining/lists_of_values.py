"""Closed lists of values: which one a phrase means, and one without some of its values."""

import re

from schemawire.analysis.refining.additions import enum_named
from schemawire.analysis.refining.names import Names
from schemawire.analysis.refining.proposals import Step
from schemawire.analysis.refining.scene import listed
from schemawire.schema.model import DomainSchema, Enum
from schemawire.schema.operations import Update


def enum_of(schema: DomainSchema, phrase: str) -> Enum | None:
    """Return the closed list that a phrase means, by its own name or by a field's."""
    names = Names(schema)
    for target in names.find(re.sub(r"\s+(?:values|options|states)$", "", phrase)):
        name = target.name
        if target.kind == "field":
            field = names.field(target)
            name = (field.enum if field is not None else None) or ""
        enum = enum_named(schema, name) if target.kind in ("enum", "field") else None
        if enum is not None:
            return enum
    return None


def value_removed(enum: Enum, said: str) -> Step:
    """Return the step that takes values out of a closed list; what is not in it is not missed."""
    gone = {value.lower() for value in listed(said)}
    left = [value for value in enum.values if value.lower() not in gone]
    if len(left) == len(enum.values):
        return Step(explanation=f"Nothing to do: {enum.name} has no {said}.")
    update = Update(target="enum", name=enum.name, patch={"values": left})
    return Step(operations=(update,), explanation=f"Remove {', '.join(sorted(gone))} from {enum.name}.")
