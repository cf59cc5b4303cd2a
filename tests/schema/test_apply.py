"""Applying operations: what each does, what it refuses, whom it blames, and what it looks at."""

import time
from collections.abc import Iterable

import pytest
from tests.schema.samples import BLOG, Document, after, blog, changes_of, issues_of, refused, wire

from schemawire.schema import (
    DomainSchema,
    Element,
    ElementKind,
    Header,
    MemoryView,
    apply,
    apply_each,
    parse_operations,
    parse_schema,
    schema_digest,
)


def test_changes_are_net_per_element() -> None:
    """Two edits of one entity are one change, and what ends as it was is none."""
    changes = changes_of(
        blog(),
        ("create_field", {"entity": "User", "name": "age", "type": "integer"}),
        ("update_field", {"entity": "User", "name": "age", "min": 0}),
        ("create_entity", {"name": "Tag"}),
        ("delete_entity", {"name": "Tag"}),
    )
    (change,) = changes.elements
    assert (change.kind, change.key, change.former_key) == ("entity", "User", None)
    assert [outcome.changed for outcome in changes.outcomes] == [True] * 4
    assert changes.outcomes[2].elements == (("entity", "Tag"),)


def test_update_is_a_merge_patch() -> None:
    """Objects merge, null removes, lists without names are replaced, and what is not named stays."""
    result = after(
        blog(),
        ("update_field", {"entity": "Post", "name": "authorId", "references": {"onDelete": "cascade"}}),
        ("update_field", {"entity": "Post", "name": "title", "maxLength": None, "x-a": {"b": 1}}),
        ("update_enum", {"name": "Status", "values": ["draft", "live"]}),
        ("update_entity", {"name": "Post", "indexes": [{"fields": ["title"], "unique": True}]}),
        ("update_rule", {"entity": "Post", "name": "titled", "message": "Give a title."}),
        ("update_rule", {"entity": "Article", "name": "named", "message": "Name it."}),
    )
    post = result.entity("Post")
    assert post is not None
    documents = {field.name: field.to_document() for field in post.fields}
    assert documents["authorId"]["references"] == {"entity": "User", "onDelete": "cascade"}
    assert documents["title"] == {"name": "title", "type": "string", "x-a": {"b": 1}}
    assert post.rules[0].message == "Give a title."
    assert result.rules[0].message == "Name it."
    assert result.enums[0].values == ("draft", "live")


def test_update_that_says_what_is_there_changes_nothing() -> None:
    """So sending it twice makes no second version."""
    changes = changes_of(blog(), ("update_field", {"entity": "Post", "name": "title", "maxLength": 200}))
    assert changes.is_empty
    assert not changes.outcomes[0].changed


@pytest.mark.parametrize(
    ("operation", "data", "code", "place"),
    [
        ("create_entity", {"name": "Post"}, "duplicate_name", "/data/name"),
        ("create_entity", {"name": "Status"}, "duplicate_name", "/data/name"),
        ("create_field", {"entity": "Post", "name": "title", "type": "text"}, "duplicate_name", "/data/name"),
        ("create_field", {"entity": "Nope", "name": "f", "type": "text"}, "unknown_entity", "/data/entity"),
        (
            "create_field",
            {"entity": "Post", "name": "f", "type": "uuid", "references": {"entity": "Nope"}},
            "unknown_entity",
            "/data/references/entity",
        ),
        ("create_relationship", {"name": "r", "source": "Post", "target": "Nope"}, "unknown_entity", "/data/target"),
        ("create_rule", {"name": "titled", "kind": "text", "entity": "Post"}, "duplicate_name", "/data/name"),
        ("update_entity", {"name": "Nope"}, "unknown_entity", "/data/name"),
        ("update_field", {"entity": "Post", "name": "titel"}, "unknown_field", "/data/name"),
        ("update_field", {"entity": "Post", "name": "title", "maxLength": "5"}, "wrong_type", "/data/maxLength"),
        ("update_field", {"entity": "Post", "name": "title", "type": None}, "missing", "/data/type"),
        ("update_field", {"entity": "Post", "name": "title", "type": "integer"}, "option_unfit", "/data"),
        ("update_entity", {"name": "Post", "extends": "Article"}, "cyclic_extends", "/data"),
        ("update_enum", {"name": "Status", "values": ["live"]}, "value_unfit", "/data"),
        ("delete_rule", {"name": "named"}, "unknown_rule", "/data/name"),
        ("delete_relationship", {"name": "nope"}, "unknown_relationship", "/data/name"),
        ("delete_entity", {"name": "User"}, "still_used", "/data/name"),
        ("delete_entity", {"name": "Post"}, "still_used", "/data/name"),
        ("delete_enum", {"name": "Status"}, "still_used", "/data/name"),
        ("delete_field", {"entity": "Post", "name": "title"}, "still_used", "/data/name"),
        ("delete_field", {"entity": "User", "name": "id"}, "still_used", "/data/name"),
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operation: str, data: Document, code: str, place: str) -> None:
    """The error names the operation, the place in it and the reason; an earlier good one does not take the blame."""
    error = refused(blog(), ("create_entity", {"name": "Fine"}), (operation, data))
    assert (code, f"/operations/1{place}") in issues_of(error)
    assert error.operation == 1


def test_the_operation_that_brought_a_fault_is_blamed() -> None:
    """A later edit of the same entity, harmless in itself, is not."""
    error = refused(
        blog(),
        ("create_field", {"entity": "Post", "name": "n", "type": "integer", "maxLength": 3}),
        ("update_field", {"entity": "Post", "name": "title", "required": True}),
    )
    assert issues_of(error) == [("option_unfit", "/operations/0/data/maxLength")]
    assert error.operation == 0


def test_references_are_judged_at_the_end_of_a_list() -> None:
    """A relationship may come before its entity, and an entity may go before what refers to it."""
    result = after(
        blog(),
        ("create_relationship", {"name": "tagged", "source": "Tag", "target": "Post", "sourceCardinality": "*"}),
        ("create_entity", {"name": "Tag"}),
        ("delete_entity", {"name": "Article"}),
        ("delete_rule", {"entity": "Article", "name": "named"}),
    )
    assert [entity.name for entity in result.entities] == ["User", "Post", "Tag"]


def test_one_by_one_each_operation_stands_alone() -> None:
    """Good ones remain, bad ones leave no trace, and every outcome says which it was."""
    operations = parse_operations(wire(
        ("create_relationship", {"name": "tagged", "source": "Tag", "target": "Post"}),
        ("create_entity", {"name": "Tag"}),
        ("create_relationship", {"name": "tagged", "source": "Tag", "target": "Post"}),
        ("delete_entity", {"name": "User"}),
    ))  # fmt: skip
    changes = apply_each(MemoryView(blog()), operations)
    assert [outcome.error is None for outcome in changes.outcomes] == [False, True, True, False]
    assert [(change.kind, change.key) for change in changes.elements] == [("entity", "Tag"), ("relationship", "tagged")]
    failed = changes.outcomes[3].error
    assert failed is not None
    assert failed.operation == 3
    assert issues_of(failed) == [("still_used", "/operations/3/data/name")]


def test_cascade_takes_along_what_would_dangle() -> None:
    """Relationships, reference fields, the indexes and rules over them, and rules that name the entity go."""
    result = after(blog(), ("delete_entity", {"name": "User", "cascade": True}))
    post = result.entity("Post")
    assert post is not None
    assert [field.name for field in post.fields] == ["id", "title", "status"]
    assert (post.indexes, post.rules, result.relationships) == ((), (), ())
    assert [rule.name for rule in result.rules] == ["named", "polite"]


def test_cascade_leaves_heirs_without_their_parent() -> None:
    """`extends` becomes null, and what used inherited fields goes."""
    result = after(blog(), ("delete_entity", {"name": "Post", "cascade": True}))
    article = result.entity("Article")
    assert article is not None
    assert (article.extends, article.indexes) == (None, ())
    assert [field.name for field in article.fields] == ["body"]
    assert [rule.name for rule in result.rules] == ["polite"]


def test_cascade_spares_what_waits_for_a_later_operation() -> None:
    """A reference that dangled before the deletion is not its business."""
    result = after(
        blog(),
        ("create_field", {"entity": "Post", "name": "tag", "type": "uuid", "references": {"entity": "Tag"}}),
        ("delete_entity", {"name": "User", "cascade": True}),
        ("create_entity", {"name": "Tag", "fields": [{"name": "id", "type": "uuid", "primaryKey": True}]}),
    )
    post = result.entity("Post")
    assert post is not None
    assert post.field("tag") is not None


def test_merge_adds_what_is_missing() -> None:
    """New elements, new fields of known entities, and descriptions that nobody had given."""
    document: Document = {
        "name": "other",
        "entities": [
            {
                "name": "Post",
                "description": "A text.",
                "fields": [{"name": "title", "type": "string"}, {"name": "teaser", "type": "text"}],
            },
            {"name": "Tag"},
        ],
    }
    result = after(blog(), ("merge_schema", document))
    post = result.entity("Post")
    assert post is not None
    assert post.description == "A text."
    assert [field.name for field in post.fields] == ["id", "title", "authorId", "status", "teaser"]
    title = post.field("title")
    assert title is not None
    assert title.max_length == 200
    assert (result.name, result.entities[-1].name) == ("blog", "Tag")
    assert schema_digest(after(result, ("merge_schema", document))) == schema_digest(result)


def test_merge_refuses_every_contradiction_at_once() -> None:
    """One issue per conflict, naming both sides, and nothing is merged."""
    document: Document = {
        "name": "other",
        "entities": [{"name": "Post", "kind": "abstract", "fields": [{"name": "title", "type": "text"}]}],
        "enums": [{"name": "Status", "values": ["open"]}],
        "relationships": [{"name": "writes", "source": "Post", "target": "User"}],
    }  # fmt: skip
    error = refused(blog(), ("merge_schema", document))
    place = "/operations/0/data"
    assert issues_of(error) == [
        ("merge_conflict", f"{place}/entities/0/kind"),
        ("merge_conflict", f"{place}/entities/0/fields/0/type"),
        ("merge_conflict", f"{place}/enums/0/values"),
        ("merge_conflict", f"{place}/relationships/0/source"),
        ("merge_conflict", f"{place}/relationships/0/target"),
    ]
    assert "'entity' here and 'abstract'" in str(error)


def test_replace_makes_the_schema_exactly_the_given_one() -> None:
    """Header included; identical elements are not among the changes."""
    document = {**BLOG, "name": "press", "entities": [*BLOG["entities"], {"name": "Tag"}], "rules": []}
    changes = changes_of(blog(), ("replace_schema", document))
    assert changes.header_after.name == "press"
    assert {(change.kind, change.key) for change in changes.elements} == {
        ("rule", "Article.named"),
        ("rule", "polite"),
        ("entity", "Tag"),
    }
    assert after(blog(), ("replace_schema", document)) == parse_schema(document)


@pytest.mark.parametrize("operation", ["replace_schema", "merge_schema"])
def test_a_whole_schema_with_a_name_twice_is_refused(operation: str) -> None:
    """The later one does not win silently."""
    error = refused(blog(), (operation, {"name": "a", "entities": [{"name": "A"}, {"name": "A"}]}))
    assert issues_of(error) == [("duplicate_name", "/operations/0/data/entities/1/name")]


class CountingView:
    """A view that counts what is asked of it."""

    def __init__(self, schema: DomainSchema) -> None:
        self._view = MemoryView(schema)
        self.looks = 0

    def header(self) -> Header:
        return self._view.header()

    def get(self, kind: ElementKind, key: str) -> Element | None:
        self.looks += 1
        return self._view.get(kind, key)

    def referrers(self, name: str) -> Iterable[tuple[ElementKind, str]]:
        self.looks += 1
        return self._view.referrers(name)

    def keys(self, kind: ElementKind) -> Iterable[str]:
        raise AssertionError("a small change must not list the schema")

    def count(self, kind: ElementKind) -> int:
        return self._view.count(kind)


def large(size: int) -> DomainSchema:
    """Return a schema of many entities, each of which refers to the one before."""
    key = {"name": "id", "type": "uuid", "primaryKey": True}
    entities: list[Document] = [{"name": "E0", "fields": [key]}]
    for number in range(1, size):
        reference = {"name": "previous", "type": "uuid", "references": {"entity": f"E{number - 1}"}}
        entities.append({"name": f"E{number}", "fields": [key, reference, {"name": "title", "type": "text"}]})
    return parse_schema({"name": "large", "entities": entities})


@pytest.mark.parametrize(
    ("operation", "data"),
    [
        ("update_field", {"entity": "E5", "name": "title", "type": "string"}),
        ("create_field", {"entity": "E5", "name": "extra", "type": "string"}),
        ("rename_field", {"entity": "E5", "name": "id", "newName": "key"}),
        ("rename_entity", {"name": "E5", "newName": "F5"}),
    ],
)
def test_cost_of_a_change_does_not_depend_on_the_schema(operation: str, data: Document) -> None:
    """A schema of a thousand entities is looked at as often as one of ten."""
    looks = []
    for size in (10, 1000):
        view = CountingView(large(size))
        apply(view, parse_operations(wire((operation, data))))
        looks.append(view.looks)
    assert looks[0] == looks[1]
    assert looks[0] < 40


def test_a_thousand_creations_in_one_list_are_quick() -> None:
    """Each costs its own size: quadratic work over the list would not pass."""
    fields = [{"name": f"f{number}", "type": "string"} for number in range(8)]
    operations = parse_operations(
        wire(*(("create_entity", {"name": f"E{number}", "fields": fields}) for number in range(1000)))
    )
    start = time.perf_counter()
    changes = apply(MemoryView(blog()), operations)
    assert len(changes.elements) == 1000
    assert time.perf_counter() - start < 2
