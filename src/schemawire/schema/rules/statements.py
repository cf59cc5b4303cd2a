"""The expressions of rules: in the language, and naming only fields that exist.

Knows nothing of what an expression evaluates to.
"""

from collections.abc import Iterator, Mapping

from schemawire.schema.expressions import FORMER, parse
from schemawire.schema.issues import Issue, did_you_mean, pointer_to
from schemawire.schema.model import FREE_RULE_KINDS, Element, Entity, Enum, Field, Relationship, Rule
from schemawire.schema.rules.scope import fields_of, visible_fields
from schemawire.schema.syntax import paths_in
from schemawire.schema.tokens import ExpressionError
from schemawire.schema.view import SchemaView


def statement_issues(view: SchemaView, element: Element) -> Iterator[Issue]:
    """Yield what is wrong with the expressions of a rule, or of an entity's own rules."""
    match element:
        case Entity():
            fields = visible_fields(view, element) if element.rules else {}
            for position, rule in enumerate(element.rules):
                place = pointer_to("rules", position)
                yield from (issue.under(place) for issue in _rule_issues(view, rule, fields))
        case Rule():
            yield from _rule_issues(view, element, (fields_of(view, element.entity) or {}) if element.entity else None)
        case Enum() | Relationship():
            return


def _rule_issues(view: SchemaView, rule: Rule, fields: Mapping[str, Field] | None) -> Iterator[Issue]:
    if rule.kind in FREE_RULE_KINDS:
        return
    if not rule.expression:
        message = f"rule {rule.name!r} of kind {rule.kind} has no expression"
        fix = "Give it one, or make it of kind text."
        yield Issue(code="expression_missing", pointer="/expression", message=message, fix=fix, severity="warning")
        return
    try:
        paths = [path.parts for path in paths_in(parse(rule.expression))]
    except ExpressionError as error:
        message = f"the expression of rule {rule.name!r} cannot be read: {error}"
        fix = "Correct it, or make the rule of kind text."
        yield Issue(code="expression_invalid", pointer="/expression", message=message, fix=fix)
        return
    for parts in dict.fromkeys(paths):
        yield from _path_issues(view, rule, parts, fields)


def _path_issues(
    view: SchemaView, rule: Rule, parts: tuple[str, ...], fields: Mapping[str, Field] | None
) -> Iterator[Issue]:
    if rule.kind == "transition" and parts[0] == FORMER and len(parts) > 1:
        parts = parts[1:]
    path = ".".join(parts)
    known: Mapping[str, Field] = fields or {}
    if len(parts) > 1 and parts[0] not in known:
        other = fields_of(view, parts[0])
        if other is None:
            message = f"rule {rule.name!r} names {path[:80]!r}, but there is no entity {parts[0]!r}"
            yield _issue("unknown_entity", message, "Write `field`, or `Entity.field` for a field of another entity.")
            return
        known, parts = other, parts[1:]
    elif fields is None:
        message = f"rule {rule.name!r} names {path[:80]!r} but belongs to no entity"
        yield _issue("unknown_field", message, "Set the rule's entity, or write `Entity.field`.")
        return
    field = known.get(parts[0])
    if field is None:
        fix = did_you_mean(parts[0], known, "Create the field, or name another one.")
        yield _issue("unknown_field", f"rule {rule.name!r} names the unknown field {path[:80]!r}", fix)
    elif len(parts) > 1 and field.type != "json":
        message = f"rule {rule.name!r} reaches into {parts[0]!r}, which is of type {field.type} and has no parts"
        yield _issue("unknown_field", message, "Write `Entity.field` for a field of another entity.")


def _issue(code: str, message: str, fix: str) -> Issue:
    return Issue(code=code, pointer="/expression", message=message, fix=fix)
