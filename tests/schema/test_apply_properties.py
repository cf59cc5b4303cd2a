"""Properties of applying operations, over generated schemas and operations."""

from hypothesis import HealthCheck, given, settings
from tests.schema.strategies import edits, schemas

from schemawire.errors import SchemaInvalid
from schemawire.schema import (
    DigestIndex,
    DomainSchema,
    MemoryView,
    Operation,
    Overlay,
    apply,
    apply_each,
    apply_to_schema,
    check,
    diff_operations,
    parse_operation,
    parse_schema,
    references_of,
    schema_digest,
)

Edit = tuple[DomainSchema, list[Operation]]

relaxed = settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def is_valid(schema: DomainSchema) -> bool:
    """Tell whether a schema breaks no rule."""
    return not any(issue.severity == "error" for issue in check(schema))


@relaxed
@given(edits(max_size=4))
def test_apply_never_leaves_an_invalid_schema(edit: Edit) -> None:
    """What `apply` accepts passes the check of the whole document, though it looked at the touched part alone."""
    schema, steps = edit
    try:
        result = apply_to_schema(schema, steps)
    except SchemaInvalid:
        return
    assert is_valid(result), [issue for issue in check(result) if issue.severity == "error"]


@relaxed
@given(edits(max_size=6))
def test_incremental_digest_equals_the_one_from_scratch(edit: Edit) -> None:
    """A digest index that follows the changes gives the digest of the resulting document."""
    schema, steps = edit
    changes = apply_each(MemoryView(schema), steps)
    good = [step for step, outcome in zip(steps, changes.outcomes, strict=True) if outcome.error is None]
    index = DigestIndex(schema.header(), schema.elements())
    index.update(changes)
    result = schema
    for step in good:
        result = apply_to_schema(result, [step])
    assert is_valid(result)
    assert index.digest == schema_digest(result)
    assert dict(index) == dict(DigestIndex(result.header(), result.elements()))


@relaxed
@given(edits(max_size=5))
def test_one_by_one_outcome_equals_applying_the_good_ones_alone(edit: Edit) -> None:
    """An operation that fails leaves no trace for those after it, and the renamed keep their places."""
    schema, steps = edit
    changes = apply_each(MemoryView(schema), steps)
    overlay = Overlay(MemoryView(schema))
    result = schema
    for step, outcome in zip(steps, changes.outcomes, strict=True):
        if outcome.error is None:
            result = apply_to_schema(result, [step])
    for change in changes.elements:
        assert overlay.get(change.kind, change.key) == change.before
        assert MemoryView(result).get(change.kind, change.key) == change.after


@relaxed
@given(schemas, schemas)
def test_diff_then_apply_reproduces_the_target(old: DomainSchema, new: DomainSchema) -> None:
    """The operations of a diff lead to the digest of the target, whatever the two schemas are."""
    steps = diff_operations(old, new)
    assert schema_digest(apply_to_schema(old, steps)) == schema_digest(new)
    assert (steps == []) == (schema_digest(old) == schema_digest(new))


@relaxed
@given(edits(max_size=3))
def test_diff_of_an_edited_schema_reproduces_the_edit(edit: Edit) -> None:
    """Close schemas, with renamings between them, are where a diff has small steps to choose."""
    schema, steps = edit
    changes = apply_each(MemoryView(schema), steps)
    good = [step for step, outcome in zip(steps, changes.outcomes, strict=True) if outcome.error is None]
    target = schema
    for step in good:
        target = apply_to_schema(target, [step])
    diff = diff_operations(schema, target)
    assert schema_digest(apply_to_schema(schema, diff)) == schema_digest(target)
    assert [parse_operation(step.to_document()) for step in diff] == diff


@relaxed
@given(edits(max_size=5))
def test_overlay_shows_what_a_fresh_view_of_the_result_shows(edit: Edit) -> None:
    """Keys, counts and referrers of a view with changes on top are those of the changed schema."""
    schema, steps = edit
    good = [
        step
        for step, outcome in zip(steps, apply_each(MemoryView(schema), steps).outcomes, strict=True)
        if outcome.error is None
    ]
    result = schema
    overlay = Overlay(MemoryView(schema))
    for step in good:
        result = apply_to_schema(result, [step])
        above = Overlay(overlay)
        for change in apply(overlay, [step]).elements:
            if change.after is None:
                above.remove(change.kind, change.key)
            else:
                above.put(change.after)
        overlay.absorb(above)
    fresh = MemoryView(result)
    for kind in ("entity", "enum", "relationship", "rule"):
        assert set(overlay.keys(kind)) == set(fresh.keys(kind))
        assert overlay.count(kind) == fresh.count(kind)
    for name in {name for element in result.elements() for name in references_of(element)}:
        assert set(overlay.referrers(name)) == set(fresh.referrers(name))


@relaxed
@given(schemas)
def test_replacing_and_merging_a_schema_with_itself_changes_nothing(schema: DomainSchema) -> None:
    """Both ways of sending a whole schema are idempotent."""
    document = schema.to_document()
    for name in ("replace_schema", "merge_schema"):
        changes = apply(MemoryView(schema), [parse_operation({"operation": name, "data": document})])
        assert changes.is_empty
        assert not changes.outcomes[0].changed
    assert parse_schema(document).to_document() == document
