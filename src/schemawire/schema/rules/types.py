"""Whether a field's options fit its type: lengths, bounds, precision, pattern, items, enum, default, generation.

Knows nothing of other entities; an enum's values are looked up.
"""

from collections.abc import Iterator

from schemawire.schema.issues import Issue, Severity, pointer_to
from schemawire.schema.model import Entity, Enum, Field, FunctionDefault
from schemawire.schema.rules.patterns import contradicts, may_explode, pattern_fault
from schemawire.schema.rules.values import DECIMALS, INTEGERS, MEASURES, MOMENTS, TEXTS, is_above, read_value
from schemawire.schema.view import SchemaView

_GENERATED_TYPES = {
    "identity": INTEGERS,
    "uuid": frozenset({"uuid", "string"}),
    "now": MOMENTS,
    "update": MOMENTS,
}
_FUNCTION_TYPES = {"now": MOMENTS, "today": frozenset({"date", "datetime"}), "uuid": frozenset({"uuid", "string"})}


def type_issues(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    """Yield where the options of an entity's fields do not fit their types."""
    for position, field in enumerate(entity.fields):
        place = pointer_to("fields", position)
        for issue in _field_issues(view, field, f"field '{entity.name}.{field.name}'"):
            yield issue.under(place)


def _field_issues(view: SchemaView, field: Field, who: str) -> Iterator[Issue]:
    yield from _list_issues(field, who)
    yield from _enum_issues(field, who)
    yield from _length_issues(field, who)
    yield from _precision_issues(field, who)
    yield from _bound_issues(field, who)
    yield from _pattern_issues(field, who)
    yield from _generated_issues(field, who)
    if field.default is not None:
        yield from _default_issues(view, field, who)


def value_type(field: Field) -> str:
    """Return the type that a field's values have: of a list, the type of its items."""
    return field.items or "list" if field.type == "list" else field.type


def _list_issues(field: Field, who: str) -> Iterator[Issue]:
    if field.type == "list" and field.items is None:
        yield _issue("items_missing", "/items", f"{who} is a list of nothing known", "Give `items`, such as string.")
    if field.type != "list" and field.items is not None:
        yield _unfit("/items", who, "items", field.type, "Use the type list, or leave `items` out.")
    if field.type == "list" and field.primary_key:
        message = f"{who} is a list and cannot be a primary key"
        yield _issue("key_unfit", "/primaryKey", message, "Choose another key.")


def _enum_issues(field: Field, who: str) -> Iterator[Issue]:
    if value_type(field) == "enum" and field.enum is None:
        yield _issue("enum_missing", "/enum", f"{who} does not say which enum it takes its values from", "Give `enum`.")
    if value_type(field) != "enum" and field.enum is not None:
        yield _unfit("/enum", who, "enum", value_type(field), "Use the type enum, or leave `enum` out.")


def _length_issues(field: Field, who: str) -> Iterator[Issue]:
    for option, value in (("minLength", field.min_length), ("maxLength", field.max_length)):
        if value is not None and field.type not in TEXTS | {"binary", "list"}:
            yield _unfit(f"/{option}", who, option, field.type, "Use a text type, or leave it out.")
    if field.max_length == 0:
        yield _issue("limit_unfit", "/maxLength", f"{who} has room for nothing", "Give at least 1.")
    if field.min_length is not None and field.max_length is not None and field.min_length > field.max_length:
        message = f"{who} has a minLength of {field.min_length} above its maxLength of {field.max_length}"
        yield _issue("limits_crossed", "/minLength", message, "Exchange them.")


def _precision_issues(field: Field, who: str) -> Iterator[Issue]:
    for option, value in (("precision", field.precision), ("scale", field.scale)):
        if value is not None and value_type(field) not in DECIMALS:
            yield _unfit(f"/{option}", who, option, value_type(field), "Use the type decimal or money.")
    if field.scale is not None and field.precision is not None and field.scale > field.precision:
        message = f"{who} has {field.scale} digits after the point but only {field.precision} in all"
        yield _issue("limits_crossed", "/scale", message, "Lower the scale, or raise the precision.")


def _bound_issues(field: Field, who: str) -> Iterator[Issue]:
    kind = value_type(field)
    values: dict[str, object] = {}
    for option, value, exclusive in (
        ("min", field.min, field.exclusive_min),
        ("max", field.max, field.exclusive_max),
    ):
        flag = f"exclusive{option.capitalize()}"
        if exclusive and value is None:
            yield _issue("exclusive_without_bound", f"/{flag}", f"{who} has {flag} but no {option}", f"Give {option}.")
        if value is None:
            continue
        if kind not in MEASURES:
            yield _unfit(f"/{option}", who, option, kind, "Use a type whose values have an order.")
        elif (read := read_value(kind, value)) is None:
            message = f"{who} has the {option} {value!r}, which is no {kind}"
            yield _issue("value_unfit", f"/{option}", message, _example(kind))
        else:
            values[option] = read
    yield from _order_issues(field, values, who)


def _order_issues(field: Field, values: dict[str, object], who: str) -> Iterator[Issue]:
    if len(values) < 2:
        return
    above = is_above(values["min"], values["max"])
    empty = values["min"] == values["max"] and (field.exclusive_min or field.exclusive_max)
    if above or empty:
        message = f"{who} has bounds {field.min!r} and {field.max!r} that leave no value"
        yield _issue("limits_crossed", "/min", message, "Correct one of them.")


def _pattern_issues(field: Field, who: str) -> Iterator[Issue]:
    if field.pattern is None:
        return
    if value_type(field) not in TEXTS:
        yield _unfit("/pattern", who, "pattern", value_type(field), "Use a text type, or leave it out.")
    fault = pattern_fault(field.pattern)
    if fault:
        yield _issue("pattern_invalid", "/pattern", f"the pattern of {who} {fault}", "Correct it, or write a rule.")
    elif may_explode(field.pattern):
        message = f"the pattern of {who} repeats a group that holds a repetition, so matching may take very long"
        yield _issue("pattern_slow", "/pattern", message, "Rewrite it without nested repetition.", "warning")


def _generated_issues(field: Field, who: str) -> Iterator[Issue]:
    if field.generated is None:
        return
    if field.type not in _GENERATED_TYPES[field.generated]:
        fitting = ", ".join(sorted(_GENERATED_TYPES[field.generated]))
        yield _unfit("/generated", who, f"generated {field.generated!r}", field.type, f"Use one of {fitting}.")
    if field.default is not None:
        message = f"{who} is generated and has a default"
        yield _issue("default_and_generated", "/default", message, "Leave one of them out.", "warning")


def _default_issues(view: SchemaView, field: Field, who: str) -> Iterator[Issue]:
    default = field.default
    if isinstance(default, FunctionDefault):
        if field.type not in _FUNCTION_TYPES[default.function]:
            fitting = ", ".join(sorted(_FUNCTION_TYPES[default.function]))
            yield _unfit("/default", who, f"the default {default.function!r}", field.type, f"Use one of {fitting}.")
        return
    if isinstance(default, tuple) != (field.type == "list") and field.type != "json":
        fix = "Give a list." if field.type == "list" else "Give one value."
        yield _issue("value_unfit", "/default", f"{who} has a default that is no {field.type}", fix)
        return
    for position, value in enumerate(default if isinstance(default, tuple) else (default,)):
        pointer = pointer_to("default", position) if isinstance(default, tuple) else "/default"
        fault = None if field.type == "json" else _value_fault(view, field, value)
        if fault:
            yield _issue("value_unfit", pointer, f"{who} has the default {str(value)[:60]!r}, {fault}", "Correct it.")


def _value_fault(view: SchemaView, field: Field, value: object) -> str | None:
    kind = value_type(field)
    if kind == "enum":
        enum = view.get("enum", field.enum) if field.enum else None
        known = enum.values if isinstance(enum, Enum) else None
        return f"which is no value of {field.enum!r}" if known is not None and value not in known else None
    read = read_value(kind, value)
    if read is None:
        return None if kind == "list" else f"which is no {kind}"
    if isinstance(value, str) and field.type != "list" and kind in TEXTS:
        return _text_fault(field, value)
    return _bound_fault(field, kind, read)


def _text_fault(field: Field, text: str) -> str | None:
    if field.max_length is not None and len(text) > field.max_length:
        return f"which is longer than {field.max_length}"
    if field.min_length is not None and len(text) < field.min_length:
        return f"which is shorter than {field.min_length}"
    if field.pattern and contradicts(field.pattern, text):
        return "which does not match the pattern"
    return None


def _bound_fault(field: Field, kind: str, value: object) -> str | None:
    low = None if field.min is None else read_value(kind, field.min)
    high = None if field.max is None else read_value(kind, field.max)
    if low is not None and (is_above(low, value) or (field.exclusive_min and low == value)):
        return f"which is below the min of {field.min!r}"
    if high is not None and (is_above(value, high) or (field.exclusive_max and high == value)):
        return f"which is above the max of {field.max!r}"
    return None


def _example(kind: str) -> str:
    match kind:
        case "decimal" | "money":
            return "Write it as text, such as '12.50'."
        case "integer" | "bigint":
            return "Write a whole number."
        case "date" | "time" | "datetime" | "duration":
            examples = {
                "date": "2026-01-31",
                "time": "08:30:00",
                "datetime": "2026-01-31T08:30:00Z",
                "duration": "P1DT2H",
            }
            return f"Write it as text, such as {examples[kind]!r}."
        case _:
            return "Write a number."


def _unfit(pointer: str, who: str, option: str, kind: str, fix: str) -> Issue:
    return _issue("option_unfit", pointer, f"{who} is of type {kind}, to which {option} does not apply", fix)


def _issue(code: str, pointer: str, message: str, fix: str, severity: Severity = "error") -> Issue:
    return Issue(code=code, pointer=pointer, message=message, fix=fix, severity=severity)
