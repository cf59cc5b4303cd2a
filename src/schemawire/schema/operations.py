"""What may be asked of a schema: the operations as typed values, and their wire form.

Knows nothing of how they are carried out; `schema.apply` does that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError

from schemawire.errors import SchemaInvalid
from schemawire.schema.issues import MAX_ISSUES, Issue, did_you_mean, invalid, pointer_to, refuse
from schemawire.schema.model import ELEMENT_TYPES, DomainSchema, Element, Field, Name, Part
from schemawire.schema.plain import is_storable, json_issues
from schemawire.schema.reading import issues_from_validation, read_part

Target = Literal["entity", "field", "relationship", "enum", "rule"]
Verb = Literal["create", "update", "rename", "delete"]

TARGETS: tuple[Target, ...] = ("entity", "field", "relationship", "enum", "rule")
OPERATIONS: tuple[str, ...] = (
    *(f"{verb}_{target}" for target in TARGETS for verb in ("create", "update", "rename", "delete")),
    "replace_schema",
    "merge_schema",
)
"""The names of all operations."""
_PARTS: dict[str, tuple[str, str]] = {name: (name.partition("_")[0], name.partition("_")[2]) for name in OPERATIONS}
MAX_OPERATIONS = 100_000
"""How many operations one call may carry."""

_NAMES: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Add an entity, relationship, enum or top-level rule, or a field to an entity."""

    target: Target
    part: Element | Field
    entity: str | None = None
    """The entity that gets the field; of a rule, the rule itself says it."""

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return f"create_{self.target}"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        scope = {"entity": self.entity} if self.target == "field" else {}
        return {"operation": self.operation, "data": {**scope, **self.part.to_document()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Change what a merge patch names (RFC 7396: null removes); names and named lists stay as they are."""

    target: Target
    name: str
    entity: str | None = None
    """The entity of a field, or of a rule that has one."""
    patch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return f"update_{self.target}"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"operation": self.operation, "data": {**_named(self.name, self.entity), **self.patch}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Give something another name, and follow every reference to it."""

    target: Target
    name: str
    new_name: str
    entity: str | None = None

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return f"rename_{self.target}"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"operation": self.operation, "data": {**_named(self.name, self.entity), "newName": self.new_name}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Take something away; refused while it is used, unless an entity is deleted with `cascade`."""

    target: Target
    name: str
    entity: str | None = None
    cascade: bool = False

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return f"delete_{self.target}"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        cascade = {"cascade": True} if self.cascade else {}
        return {"operation": self.operation, "data": {**_named(self.name, self.entity), **cascade}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceSchema:
    """Make the schema exactly this one, header included."""

    schema: DomainSchema

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return "replace_schema"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"operation": self.operation, "data": self.schema.to_document()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSchema:
    """Add the elements and fields that are missing; fail where what is there differs. The header stays."""

    schema: DomainSchema

    @property
    def operation(self) -> str:
        """The name on the wire."""
        return "merge_schema"

    def to_document(self) -> dict[str, Any]:
        """Return the wire form."""
        return {"operation": self.operation, "data": self.schema.to_document()}


Operation = Create | Update | Rename | Delete | ReplaceSchema | MergeSchema


def _named(name: str, entity: str | None) -> dict[str, str]:
    return {"name": name} if entity is None else {"entity": entity, "name": name}


_SCOPED: frozenset[Target] = frozenset({"field", "rule"})
_NAMED_LISTS: dict[Target, dict[str, str]] = {
    "entity": {
        "fields": "create_field, update_field and delete_field",
        "rules": "create_rule, update_rule and delete_rule",
    }
}


def parse_operations(documents: object, pointer: str = "/operations") -> list[Operation]:
    """Read a list of operations; all faulty ones are reported at once.

    Args:
        documents: the decoded JSON list.
        pointer: where the list stands in the request.

    Raises:
        SchemaInvalid: it is no list, or too long, or one of its operations is malformed.
    """
    if not isinstance(documents, list | tuple):
        raise invalid([_fault("wrong_type", pointer, "a list of operations is needed", "Send a JSON list.")])
    if len(documents) > MAX_OPERATIONS:
        message = f"{len(documents)} operations are more than the {MAX_OPERATIONS} of one call"
        raise invalid([_fault("too_many", pointer, message, "Send several calls.")])
    found: list[Operation] = []
    issues: list[Issue] = []
    first: int | None = None
    parse = _parse_storable if is_storable(documents) else parse_operation
    for index, document in enumerate(documents):
        try:
            found.append(_parsed(parse, document, pointer, index))
        except SchemaInvalid as error:
            first = index if first is None else first
            issues.extend(issue for issue in error.issues if isinstance(issue, Issue))
        if len(issues) >= MAX_ISSUES:
            break
    refuse(issues, operation=first)
    return found


def _parsed(parse: Callable[[object, str], Operation], document: object, pointer: str, index: int) -> Operation:
    """Read one operation of a list; its place is put together only where something has to be said about it."""
    try:
        return parse(document, "")
    except SchemaInvalid:
        return parse(document, pointer + pointer_to(index))


def parse_operation(document: object, pointer: str = "") -> Operation:
    """Read one operation.

    Args:
        document: the decoded JSON object `{"operation": NAME, "data": {…}}`.
        pointer: where it stands in the request.

    Raises:
        SchemaInvalid: the operation is unknown or malformed.
    """
    if isinstance(document, Operation):
        return document
    refuse(islice(json_issues(document, pointer), MAX_ISSUES))
    return _parse_storable(document, pointer)


def _parse_storable(document: object, pointer: str) -> Operation:
    if isinstance(document, Operation):
        return document
    envelope = _object(document, pointer)
    _only_keys(envelope, ("operation", "data"), pointer)
    name = envelope.get("operation")
    parts = _PARTS.get(name) if isinstance(name, str) else None
    if parts is None:
        raise invalid([_unknown_operation(name, pointer)])
    place = f"{pointer}/data"
    data = _object(envelope.get("data"), place)
    match parts:
        case ["replace", _]:
            return ReplaceSchema(schema=read_part(DomainSchema, data, place))
        case ["merge", _]:
            return MergeSchema(schema=read_part(DomainSchema, data, place))
        case [verb, target]:
            return _parse_one(cast(Verb, verb), cast(Target, target), data, place)


def _parse_one(verb: Verb, target: Target, data: Mapping[str, Any], pointer: str) -> Operation:
    if verb == "create":
        return _parse_create(target, data, pointer)
    name = _name(data, "name", pointer)
    entity = (
        _name(data, "entity", pointer) if target == "field" or (target == "rule" and _given(data, "entity")) else None
    )
    named = ("entity", "name") if target in _SCOPED else ("name",)
    match verb:
        case "update":
            patch = {key: value for key, value in data.items() if key not in named}
            _check_patch(target, patch, pointer)
            return Update(target=target, name=name, entity=entity, patch=patch)
        case "rename":
            _only_keys(data, (*named, "newName"), pointer)
            return Rename(target=target, name=name, entity=entity, new_name=_name(data, "newName", pointer))
        case "delete":
            _only_keys(data, (*named, "cascade") if target == "entity" else named, pointer)
            return Delete(target=target, name=name, entity=entity, cascade=_flag(data, "cascade", pointer))


def _parse_create(target: Target, data: Mapping[str, Any], pointer: str) -> Create:
    if target != "field":
        return Create(target=target, part=read_part(ELEMENT_TYPES[target], data, pointer))
    entity = _name(data, "entity", pointer)
    rest = {key: value for key, value in data.items() if key != "entity"}
    return Create(target=target, entity=entity, part=read_part(Field, rest, pointer))


def _check_patch(target: Target, patch: Mapping[str, Any], pointer: str) -> None:
    for key, operations in _NAMED_LISTS.get(target, {}).items():
        if key in patch:
            message = f"an update does not replace {key!r}, whose items have names"
            raise invalid([_fault("not_patchable", pointer + pointer_to(key), message, f"Use {operations}.")])
    part: type[Part] = Field if target == "field" else ELEMENT_TYPES[target]
    known = tuple(option.alias or name for name, option in part.model_fields.items())
    _only_keys({key: None for key in patch if not key.startswith("x-")}, known, pointer)


def _fault(code: str, pointer: str, message: str, fix: str) -> Issue:
    return Issue(code=code, pointer=pointer, message=message, fix=fix)


def _object(value: object, pointer: str) -> Mapping[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):
        code = "missing" if value is None else "wrong_type"
        raise invalid([_fault(code, pointer, "an object is needed here", 'Send {"operation": NAME, "data": {…}}.')])
    return value


def _only_keys(document: Mapping[str, Any], known: tuple[str, ...], pointer: str) -> None:
    if document.keys() <= set(known):
        return
    unknown = [key for key in document if key not in known]
    refuse(
        _fault("unknown_key", pointer + pointer_to(key), f"{key[:40]!r} is not a key of this object",
               did_you_mean(key, known, f"Use only {', '.join(known)}."))
        for key in unknown
    )  # fmt: skip


def _given(data: Mapping[str, Any], key: str) -> bool:
    return data.get(key) is not None


def _name(data: Mapping[str, Any], key: str, pointer: str) -> str:
    place = pointer + pointer_to(key)
    if not _given(data, key):
        raise invalid([_fault("missing", place, f"{key!r} is missing", f"Give {key!r}.")])
    try:
        return _NAMES.validate_python(data[key])
    except ValidationError as error:
        raise invalid(issues_from_validation(error, place)) from error


def _flag(data: Mapping[str, Any], key: str, pointer: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise invalid(
            [_fault("wrong_type", pointer + pointer_to(key), f"{key!r} must be true or false", "Correct it.")]
        )
    return value


def _unknown_operation(name: object, pointer: str) -> Issue:
    fix = f"Use one of {', '.join(OPERATIONS)}."
    place = pointer + pointer_to("operation")
    if not isinstance(name, str):
        return _fault("missing" if name is None else "wrong_type", place, "the operation's name is missing", fix)
    return _fault("unknown_operation", place, f"{name[:60]!r} is not an operation", did_you_mean(name, OPERATIONS, fix))
