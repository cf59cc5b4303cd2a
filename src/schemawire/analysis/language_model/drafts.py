"""The answer of a language model to a schema: what is wrong becomes an issue.

Knows the form of answers and the rules of schemas; knows no wire.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from schemawire.analysis.attributes import type_word
from schemawire.analysis.language_model.quotes import Quotes
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.naming import camel_case, entity_words, pascal_case, snake_case, split_words
from schemawire.errors import SchemaInvalid
from schemawire.schema.issues import Issue, errors_only, pointer_to
from schemawire.schema.model import DomainSchema, EntityKind, FieldType, RelationshipKind
from schemawire.schema.reading import parse_schema
from schemawire.schema.rules import check

MAX_ENTITIES = 300
MAX_FIELDS = 150
MAX_RELATIONSHIPS = 1_000
MAX_VALUES = 100
_MAX_RULES = 100
_MANY = re.compile(r"\*|n|m|many|0\.\.(?:n|m|many)|zero[ -]?or[ -]?more", re.IGNORECASE)
_SOME = re.compile(r"\+|1\.\.(?:\*|n|m|many)|one[ -]?or[ -]?more", re.IGNORECASE)
_MAYBE = re.compile(r"\?|0\.\.1|zero[ -]?or[ -]?one|optional", re.IGNORECASE)
_BOUNDS = re.compile(r"\d{1,9}(?:\.\.(?:\d{1,9}|\*))?")
_NUMBERS = ("integer", "bigint", "float")
_EXACT = ("decimal", "money")
_TEXTS = ("string", "text", "email", "url", "phone")


@dataclass(slots=True)
class Reading:
    """A document in the making, and what was wrong with the answer."""

    document: dict[str, Any]
    issues: list[Issue] = field(default_factory=list)

    def complain(self, code: str, pointer: str, message: str, fix: str) -> None:
        """Note a fault."""
        self.issues.append(Issue(code=code, pointer=pointer, message=message, fix=fix))


def read_draft(answer: Mapping[str, Any], text: str, model: str) -> tuple[DomainSchema, list[Issue]]:
    """Return what an answer says as a valid schema, and the issues of what had to be left out.

    Args:
        answer: the JSON object; members that it should not have are passed over.
        text: the description; evidence is located in it.
        model: what evidence names as its rule.
    """
    answer = _unwrapped(answer)
    quotes = Quotes(text, model)
    reading = Reading({"formatVersion": "1", "name": _schema_name(answer), "enums": [], "rules": []})
    entities = list(_entities(answer, reading, quotes))
    reading.document["entities"] = entities
    names = {entity["name"] for entity in entities}
    _check_parents(entities, names, reading)
    reading.document["relationships"] = list(_relationships(answer, names, reading, quotes))
    reading.document["rules"] = list(_rules(answer, quotes))
    schema, more = salvage(reading.document)
    return schema, [*reading.issues, *more]


def _unwrapped(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object that an answer wraps in another one: `{"schema": {"entities": …}}`."""
    inner = [value for value in answer.values() if isinstance(value, dict) and "entities" in value]
    return inner[0] if "entities" not in answer and len(inner) == 1 else answer


def _schema_name(answer: Mapping[str, Any]) -> str:
    return camel_case(split_words(_text(answer.get("name")))) or "domain"


def _text(value: object) -> str:
    return value.strip()[:200] if isinstance(value, str) else ""


def _rows(
    value: object, most: int, pointer: str, reading: Reading | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a list with their pointers."""
    rows = value if isinstance(value, list) else []
    if reading is not None and value is not None and not isinstance(value, list):
        reading.complain("wrong_type", pointer, "this must be a list", "Give a list of objects.")
    for position, row in enumerate(rows[:most]):
        place = pointer + pointer_to(position)
        if isinstance(row, dict):
            yield place, row
        elif reading is not None:
            reading.complain("wrong_type", place, "this must be an object", "Give an object as the form says.")


def _entities(answer: Mapping[str, Any], reading: Reading, quotes: Quotes) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for place, row in _rows(answer.get("entities"), MAX_ENTITIES, "/entities", reading):
        words = entity_words(split_words(_text(row.get("name"))))
        name = pascal_case(words)
        if not name or name in seen:
            what = f"there is already an entity {name!r}" if name else "the entity has no name"
            reading.complain(
                "duplicate_name" if name else "missing", place, what, "Give each entity a name of its own."
            )
            continue
        seen.add(name)
        kind = row.get("kind") if row.get("kind") in get_args(EntityKind) else "entity"
        entity: dict[str, Any] = {"name": name} | ({"kind": kind} if kind != "entity" else {})
        parent = pascal_case(entity_words(split_words(_text(row.get("extends")))))
        if parent and parent != name:
            entity["extends"] = parent
        entity["evidence"] = quotes.locate(row.get("evidence"), words)
        entity["fields"] = list(_fields(row, name, place, reading, quotes))
        yield entity


def _check_parents(entities: list[dict[str, Any]], names: set[str], reading: Reading) -> None:
    for position, entity in enumerate(entities):
        if entity.get("extends") not in (None, *names):
            parent = entity.pop("extends")
            place = pointer_to("entities", position, "extends")
            reading.complain("unknown_entity", place, f"there is no entity {parent!r}", "Add it, or extend nothing.")


def _fields(
    row: Mapping[str, Any], owner: str, pointer: str, reading: Reading, quotes: Quotes
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for place, given in _rows(row.get("fields"), MAX_FIELDS, f"{pointer}/fields", reading):
        words = split_words(_text(given.get("name")))
        name = snake_case(words)
        if not name or name in seen:
            continue
        seen.add(name)
        found = {"name": name, **_type(given, owner, words, place, reading), **_marks(given)}
        found |= _limits(given, found["type"])
        yield {**found, "evidence": quotes.locate(given.get("evidence"), words, split_words(owner))}


def _marks(given: Mapping[str, Any]) -> dict[str, bool]:
    required = given.get("required")
    return {"required": required if isinstance(required, bool) else True} | (
        {"unique": True} if given.get("unique") is True else {}
    )


def _type(given: Mapping[str, Any], owner: str, words: list[str], place: str, reading: Reading) -> dict[str, Any]:
    stated = _text(given.get("type")).lower()
    kind: str | None = stated if stated in get_args(FieldType) else type_word(stated)
    listed = given.get("values")
    values = (
        list(dict.fromkeys(v.strip()[:200] for v in listed if isinstance(v, str) and v.strip()))
        if isinstance(listed, list)
        else []
    )
    if kind is None:
        reading.complain("wrong_type", f"{place}/type", f"{stated[:40]!r} is no field type", "Use a type of the form.")
        kind = "string"
    if kind in ("enum", "list"):
        kind = "string" if not values else "enum"
    if values and kind in ("string", "text", "enum"):
        name = _enum_name(owner, words, reading)
        reading.document["enums"].append({"name": name, "values": values[:MAX_VALUES]})
        kind = "enum"
        return (
            {"type": "list", "items": kind, "enum": name} if given.get("many") is True else {"type": kind, "enum": name}
        )
    return {"type": "list", "items": kind} if given.get("many") is True else {"type": kind}


def _enum_name(owner: str, words: list[str], reading: Reading) -> str:
    """Return what a closed list is called: `OrderStatus` where the field's word says little, else by the field."""
    whole, short = pascal_case([*split_words(owner), *words]), pascal_case(words)
    taken = {enum["name"] for enum in reading.document["enums"]}
    says_little = len(words) == 1 and load_lexicon().grammar.is_in(words[-1], "state_nouns")
    return whole if says_little or short in taken else short


def _limits(given: Mapping[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("min", "max"):
        value = given.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53:
            continue
        if kind in _NUMBERS:
            found[name] = value if kind == "float" else int(value)
        elif kind in _EXACT:
            found[name] = f"{value:.10f}".rstrip("0").rstrip(".")
    length = given.get("maxLength")
    if kind in _TEXTS and isinstance(length, int) and not isinstance(length, bool) and 0 < length < 2**31:
        found["maxLength"] = length
    return found


def _relationships(
    answer: Mapping[str, Any], names: set[str], reading: Reading, quotes: Quotes
) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    for place, row in _rows(answer.get("relationships"), MAX_RELATIONSHIPS, "/relationships", reading):
        ends = {end: pascal_case(entity_words(split_words(_text(row.get(end))))) for end in ("source", "target")}
        missing = [(end, name) for end, name in ends.items() if name not in names]
        for end, name in missing:
            fix = "Name an entity that the answer lists, or add it."
            reading.complain("unknown_entity", f"{place}/{end}", f"there is no entity {name!r}", fix)
        if missing:
            continue
        kind = row.get("kind") if row.get("kind") in get_args(RelationshipKind) else "association"
        yield {
            "name": _free(camel_case(split_words(_text(row.get("name")))) or "relates", ends["target"], taken),
            **ends,
            "kind": kind,
            "sourceCardinality": _cardinality(row.get("sourceCardinality"), "1"),
            "targetCardinality": _cardinality(row.get("targetCardinality"), "0..*"),
            "evidence": quotes.locate(
                row.get("evidence"), [*split_words(ends["source"]), *split_words(ends["target"])]
            ),
        }


def _free(name: str, target: str, taken: set[str]) -> str:
    candidates = (name, f"{name}{target}", *(f"{name}{target}{number}" for number in range(2, MAX_RELATIONSHIPS + 2)))
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free


def _cardinality(value: object, otherwise: str) -> str:
    """Return a cardinality as documents write it, from the many ways in which models do.

    >>> [_cardinality(text, "1") for text in ("1..n", "many", "0..1", "2..5", 1, "some")]
    ['1..*', '0..*', '0..1', '2..5', '1', '1']
    """
    text = str(value).strip().replace("0...", "0..") if isinstance(value, str | int) else ""
    for pattern, written in ((_MANY, "0..*"), (_SOME, "1..*"), (_MAYBE, "0..1")):
        if pattern.fullmatch(text):
            return written
    if not _BOUNDS.fullmatch(text):
        return otherwise
    low, _, high = text.partition("..")
    is_empty = high not in ("", "*") and (int(high) < int(low) or int(high) == 0)
    return otherwise if is_empty or text == "0" else text


def _rules(answer: Mapping[str, Any], quotes: Quotes) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    for _, row in _rows(answer.get("rules"), _MAX_RULES, "/rules"):
        message = row.get("message")
        name = camel_case(split_words(_text(row.get("name"))))
        if not name or name in taken or not isinstance(message, str) or not message.strip():
            continue
        taken.add(name)
        kind = "authorization" if row.get("kind") == "authorization" else "text"
        evidence = quotes.locate(row.get("evidence"), ())
        yield {"name": name, "kind": kind, "message": message.strip()[:2_000], "evidence": evidence}


def salvage(document: dict[str, Any]) -> tuple[DomainSchema, list[Issue]]:
    """Return a document as a valid schema, without the elements that break the rules, and what was wrong with them."""
    found: list[Issue] = []
    while True:
        try:
            schema = parse_schema(document)
            faults = errors_only(check(schema))
        except SchemaInvalid as error:
            faults = [issue for issue in error.issues if isinstance(issue, Issue)]
        if not faults:
            return schema, found
        found.extend(faults)
        if not _drop(document, faults):
            bare = {"formatVersion": "1", "name": "domain"}
            return parse_schema(bare), found


def _drop(document: dict[str, Any], faults: Iterable[Issue]) -> bool:
    """Take the parts out of a document that issues point at: a field by itself, anything else as a whole element."""
    places = {_part_at(issue.pointer) for issue in faults}
    for collection, position, inner in sorted((p for p in places if p is not None), reverse=True):
        rows = document[collection]
        if inner >= 0 and inner < len(rows[position].get("fields", ())):
            del rows[position]["fields"][inner]
        elif position < len(rows):
            del rows[position]
    return any(place is not None for place in places)


def _part_at(pointer: str) -> tuple[str, int, int] | None:
    parts = pointer.split("/")[1:]
    if len(parts) < 2 or parts[0] not in ("entities", "enums", "relationships", "rules") or not parts[1].isdigit():
        return None
    is_field = len(parts) > 3 and parts[2] == "fields" and parts[3].isdigit()
    return parts[0], int(parts[1]), int(parts[3]) if is_field else -1
