"""What is added: fields, relationships and entities, put into words that the analyser reads.

Knows how people ask for more; knows no pattern. What is missing raises `Unclear` with the question.
"""

import re

from schemawire.analysis.attributes import type_word
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.naming import field_name, pascal_case, plural, split_words
from schemawire.analysis.refining.additions import (
    read_addition,
)
from schemawire.analysis.refining.constraining import add_value
from schemawire.analysis.refining.lists_of_values import enum_of
from schemawire.analysis.refining.names import Target, article, bare, folded, new_entity_name
from schemawire.analysis.refining.proposals import Choice, NotUnderstood, Step, Unclear
from schemawire.analysis.refining.scene import Said, Scene, listed
from schemawire.schema.model import Field, FieldType
from schemawire.schema.operations import Create

_TYPED = re.compile(
    r"(?:an?\s+)?(?P<type>[a-z]+)(?:\s+field)?(?:\s+(?:called|named))?\s+(?P<name>[A-Za-z]\w*(?:\s+\w+){0,3})",
    re.IGNORECASE,
)
"""A field named behind its type: "a boolean is pinned"."""

_EVERYTHING = frozenset({"entity", "everything", "table", "of them", ""})
"""What is left of "all entities" and the like."""


def participle(scene: Scene, said: Said) -> Step:
    """Read "posts can be tagged": what that needs, or a flag where nothing is known of it."""
    entity = scene.names.entity(said["thing"])
    if entity is None:
        raise NotUnderstood(f"{said['thing']!r} is no entity")
    words = split_words(entity.name)
    one, many = " ".join(words), " ".join([*words[:-1], plural(words[-1])])
    template = scene.participles.get(said["participle"].lower())
    if template is None:
        flag = f"add a boolean is {said['participle'].lower()} to {entity.name}"
        raise Unclear(
            f"What does it mean that {article(one)} can be {said['participle']}?",
            (
                Choice(label=f"it has a flag is_{said['participle'].lower()}", sentence=flag),
                Choice(label="nothing is recorded", sentence="no"),
            ),
        )
    return read_addition(template.format(one=one, many=many), scene.schema, scene.analyser)


def add_entity(scene: Scene, said: Said) -> Step:
    """Add an entity, with the fields that are listed or else the usual ones."""
    words = new_entity_name(said["name"])
    name = pascal_case(words)
    if scene.names.entity(name) is not None and not said.get("parts"):
        return Step(explanation=f"Nothing to do: {name} is there already.")
    one = " ".join(words)
    parts = said.get("parts")
    text = (
        f"{article(one).capitalize()} has {_with_articles(parts)}." if parts else f"Create an app with {plural(one)}."
    )
    return read_addition(text, scene.schema, scene.analyser)


def add(scene: Scene, said: Said) -> Step:
    """Add fields or relationships to an entity, or a value to a closed list, or an entity."""
    what, owner_phrase = said["what"].strip(), said.get("owner")
    if not owner_phrase:
        return _add_somewhere(scene, what)
    enum = enum_of(scene.schema, owner_phrase) if scene.names.entity(owner_phrase) is None else None
    if enum is not None:
        return add_value(scene, {"thing": owner_phrase, "value": bare(what)})
    if folded(bare(owner_phrase)) in _EVERYTHING:
        return _add_everywhere(scene, what)
    owner = scene.one(owner_phrase, "entity")
    typed = _TYPED.fullmatch(what)
    kind = type_word(typed["type"].lower()) if typed else None
    if typed and kind is not None:
        return _typed_field(scene, owner, typed["name"], kind)
    if split_words(what)[-1:] in (["at"], ["by"]) and "," not in what:
        return _typed_field(scene, owner, bare(what), "datetime" if what.endswith("at") else "string")
    one = " ".join(split_words(owner.name))
    tail = f" {said['tail']}" if said.get("tail") else ""
    text = f"{article(one).capitalize()} has {_as_things(scene, what)}{tail}."
    return read_addition(text, scene.schema, scene.analyser)


def _add_everywhere(scene: Scene, what: str) -> Step:
    """Add the same to every entity that is no kind of another one."""
    owners = [entity for entity in scene.schema.entities if entity.extends is None]
    steps = [add(scene, {"what": part, "owner": owner.name}) for owner in owners for part in listed(what)]
    operations = tuple(operation for step in steps for operation in step.operations)
    return Step(operations=operations, explanation=f"Add {what} to every entity.")


def _typed_field(scene: Scene, owner: Target, name: str, kind: FieldType) -> Step:
    key = field_name(split_words(name), scene.case)
    if scene.names.find(f"{owner.name}.{key}"):
        return Step(explanation=f"Nothing to do: {owner.name}.{key} is there already.")
    part = Field(name=key, type=kind, required=True)
    create = Create(target="field", entity=owner.name, part=part)
    return Step(operations=(create,), explanation=f"Add {key} to {owner.name}.")


def _add_somewhere(scene: Scene, what: str) -> Step:
    """Add an entity if the word names one that is usual or plural; else ask where the field belongs."""
    name = bare(re.split(r"\s+(?:with|that|which|from|between|of)\s+|\(", what)[0])
    words = new_entity_name(name)
    lexicon = load_lexicon()
    is_being = words[-1:] and words[-1] in lexicon.nouns.people
    is_thing = is_being or "_".join(words) in lexicon.domains.defaults or name.lower() != " ".join(words)
    is_field = " ".join(words) in lexicon.nouns.types and name.lower() == " ".join(words)
    if is_thing and not is_field:
        parts = re.split(r"\s+with\s+", what, maxsplit=1)
        return add_entity(scene, {"name": name} | ({"parts": parts[1]} if len(parts) > 1 else {}))
    choices = [Choice(label=entity.name, sentence=f"add {what} to {entity.name}") for entity in scene.schema.entities]
    choices = [*choices[:8], Choice(label=f"a new entity {pascal_case(words)}", sentence=f"add an entity {name}")]
    raise Unclear(f"Where does {name} belong?", tuple(choices), f"add {what} to {{}}")


def _with_articles(parts: str | None) -> str:
    items = [item if re.match(r"(?:an?|the|many|some|several|one|its|optional|unique|\d)\b", item) else f"a {item}"
             for item in listed(parts or "")]  # fmt: skip
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _as_things(scene: Scene, what: str) -> str:
    """Return what is added in words that the analyser reads right: many of what is a thing, one of what is a field."""
    words = new_entity_name(what)
    lexicon = load_lexicon()
    is_known = scene.names.entity(what) is not None or "_".join(words) in lexicon.domains.dependants
    is_usual = "_".join(words) in lexicon.domains.many_to_many
    plural_said = what.lower() not in (" ".join(words), f"a {' '.join(words)}", f"an {' '.join(words)}")
    if (is_known or is_usual) and plural_said and "," not in what:
        return f"many {bare(what)}"
    if is_known:
        return f"one {bare(what)}"
    return _with_articles(what) if "(" not in what else what
