"""Changes of what a field may hold: required or not, unique, type, limits, default, closed lists.

Knows the schema; knows no pattern. What is ambiguous or missing raises `Unclear` with the question.
"""

import re
from collections.abc import Mapping
from typing import Any

from schemawire.analysis.attributes import type_word
from schemawire.analysis.naming import pascal_case, split_words
from schemawire.analysis.refining.additions import (
    carrying_fields,
)
from schemawire.analysis.refining.lists_of_values import enum_of, value_removed
from schemawire.analysis.refining.names import Target, article
from schemawire.analysis.refining.proposals import NotUnderstood, Step
from schemawire.analysis.refining.reshaping import remove
from schemawire.analysis.refining.scene import Said, Scene, listed
from schemawire.schema.model import Enum, Field
from schemawire.schema.operations import Create, Operation, Update

_OFF = re.compile(r"\b(?:not|no longer)\b")
_NUMERIC = frozenset({"integer", "bigint", "float", "decimal", "money"})


def mark(scene: Scene, said: Said) -> Step:
    """Make a field required, optional, unique, or no longer so."""
    target = scene.one(said["thing"], "field")
    words = said["marks"].lower()
    off = _OFF.search(words) is not None
    patch: dict[str, Any] = {}
    if re.search(r"required|mandatory", words):
        patch["required"] = not off
    if re.search(r"optional|nullable", words):
        patch["required"] = off
    if re.search(r"empty|null|missing|left out", words) and "nullable" not in words:
        patch["required"] = re.search(r"not|can't", words) is not None
    patch |= {name: not off for name in ("unique", "sensitive", "immutable") if name in words}
    update = Update(target="field", name=target.name, entity=target.entity, patch=patch)
    related = _ends_follow(scene, target, patch)
    words_of = {("required", False): "optional"}
    said_so = " and ".join(words_of.get(pair, f"{'' if pair[1] else 'not '}{pair[0]}") for pair in patch.items())
    return Step(operations=(*related, update), explanation=f"Make {target.path} {said_so}.")


def _ends_follow(scene: Scene, target: Target, patch: Mapping[str, Any]) -> list[Operation]:
    """Return the change of the relationship that a reference carries, so that both go on saying the same."""
    field = scene.names.field(target)
    if field is None or field.references is None or "required" not in patch:
        return []
    for link in scene.schema.relationships:
        if any(found is field for _, found in carrying_fields(scene.schema, link)):
            is_source = link.source == field.references.entity
            end = "sourceCardinality" if is_source else "targetCardinality"
            wanted = "1" if patch["required"] else "0..1"
            return [Update(target="relationship", name=link.name, patch={end: wanted})]
    return []


def change_type(scene: Scene, said: Said) -> Step:
    """Give a field another type."""
    kind = type_word(said["type"].lower())
    if kind is None:
        raise NotUnderstood(f"{said['type']!r} is no type")
    target = scene.one(said["thing"], "field")
    field = scene.names.field(target)
    stale = {"enum": None} if field is not None and field.enum else {}
    stale |= {"items": None} if field is not None and field.items else {}
    if field is not None and field.max_length is not None and kind not in ("string", "text", "email", "url", "phone"):
        stale |= {"maxLength": None}
    if field is not None and kind not in _NUMERIC:
        stale |= {name: None for name in ("min", "max") if getattr(field, name) is not None}
    update = Update(target="field", name=target.name, entity=target.entity, patch={"type": kind, **stale})
    return Step(operations=(update,), explanation=f"Make {target.path} {article(kind)}.")


def length(scene: Scene, said: Said) -> Step:
    """Limit how long a text may be."""
    target = scene.one(said["thing"], "field")
    update = Update(target="field", name=target.name, entity=target.entity, patch={"maxLength": int(said["high"])})
    return Step(operations=(update,), explanation=f"Limit {target.path} to {said['high']} characters.")


def limits(scene: Scene, said: Said) -> Step:
    """Limit the values of a field."""
    target = scene.one(said["thing"], "field")
    field = scene.names.field(target)
    kind = field.type if field is not None and field.type in _NUMERIC else "integer"
    patch: dict[str, Any] = {} if field is not None and field.type == kind else {"type": kind, "maxLength": None}
    patch |= {end: _bound(kind, said[key]) for end, key in (("min", "low"), ("max", "high")) if said.get(key)}
    update = Update(target="field", name=target.name, entity=target.entity, patch=patch)
    shown = " to ".join(said[key] for key in ("low", "high") if said.get(key))
    return Step(operations=(update,), explanation=f"Limit {target.path} to {shown}.")


def _bound(kind: str, text: str) -> int | float | str:
    if kind in ("decimal", "money"):
        return text
    return float(text) if kind == "float" else int(float(text))


def default(scene: Scene, said: Said) -> Step:
    """Give a field a default value."""
    target = scene.one(said["thing"], "field")
    field = scene.names.field(target)
    value = _value(field, said["value"].strip().strip("\"'"))
    update = Update(target="field", name=target.name, entity=target.entity, patch={"default": value})
    return Step(operations=(update,), explanation=f"Let {target.path} be {value!r} by default.")


def _value(field: Field | None, text: str) -> Any:
    if field is not None and field.type == "boolean":
        return text.lower() in ("true", "yes", "on", "1")
    if field is not None and field.type in ("integer", "bigint") and re.fullmatch(r"-?\d+", text):
        return int(text)
    if field is not None and field.type == "float" and re.fullmatch(r"-?\d+(?:\.\d+)?", text):
        return float(text)
    return {"function": "now"} if text == "now" else text


def make_enum(scene: Scene, said: Said) -> Step:
    """Make a field one of a closed list of values."""
    target = scene.one(said["thing"], "field")
    field = scene.names.field(target)
    values = tuple(listed(said["values"]))
    name = field.enum if field is not None and field.enum else None
    if name is not None:
        update = Update(target="enum", name=name, patch={"values": list(values)})
        return Step(operations=(update,), explanation=f"Let {target.path} be one of {', '.join(values)}.")
    name = pascal_case([*split_words(target.entity or ""), *split_words(target.name)])
    create = Create(target="enum", part=Enum(name=name, values=values))
    patch = {"type": "enum", "enum": name, "maxLength": None}
    change = Update(target="field", name=target.name, entity=target.entity, patch=patch)
    return Step(operations=(create, change), explanation=f"Let {target.path} be one of {', '.join(values)}.")


def add_value(scene: Scene, said: Said) -> Step:
    """Add values to a closed list."""
    enum = enum_of(scene.schema, said["thing"])
    if enum is None:
        raise NotUnderstood(f"{said['thing']!r} has no closed list of values")
    new = [value for value in listed(said["value"]) if value not in enum.values]
    if not new:
        return Step(explanation=f"Nothing to do: {enum.name} has {said['value']} already.")
    update = Update(target="enum", name=enum.name, patch={"values": [*enum.values, *new]})
    return Step(operations=(update,), explanation=f"Add {', '.join(new)} to {enum.name}.")


def remove_value(scene: Scene, said: Said) -> Step:
    """Take values out of a closed list."""
    enum = enum_of(scene.schema, said["thing"])
    gone = {value.lower() for value in listed(said["value"])}
    if enum is None or not gone <= {value.lower() for value in enum.values}:
        return remove(scene, {"thing": f"{said['value']} of {said['thing']}"})
    return value_removed(enum, said["value"])
