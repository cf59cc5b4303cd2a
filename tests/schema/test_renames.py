"""Renaming follows every reference."""

import pytest
from tests.schema.samples import Document, after, blog, changes_of, issues_of, refused

from schemawire.schema import Entity


def test_renamed_entity_is_followed_everywhere() -> None:
    """`extends`, references, ends, rules' entities and names in expressions follow; words for people do not."""
    result = after(
        blog(),
        ("rename_entity", {"name": "Post", "newName": "Story"}),
        ("rename_entity", {"name": "User", "newName": "Person"}),
        ("rename_entity", {"name": "Article", "newName": "Essay"}),
    )
    story, essay = result.entity("Story"), result.entity("Essay")
    assert story is not None
    assert essay is not None
    assert (essay.extends, story.renamed_from) == ("Story", "Post")
    author = story.field("authorId")
    assert author is not None
    assert author.references is not None
    assert author.references.entity == "Person"
    assert story.rules[0].expression == "length(title) > 3  and Person.email is not null"
    assert (result.relationships[0].source, result.relationships[0].target) == ("Person", "Story")
    assert [rule.key for rule in result.rules] == ["Essay.named", "polite"]
    assert result.rules[1].expression == "Be nice to the User."


def test_renamed_things_keep_their_places() -> None:
    """A document does not get shuffled by a new name, and a change says which place the element takes."""
    result = after(blog(), ("rename_entity", {"name": "User", "newName": "Person"}))
    assert [entity.name for entity in result.entities] == ["Person", "Post", "Article"]
    changes = changes_of(blog(), ("rename_entity", {"name": "User", "newName": "Person"}))
    assert {change.key: change.former_key for change in changes.elements}["Person"] == "User"


def test_renamed_field_is_followed_by_heirs_indexes_references_and_rules() -> None:
    """The field is the same one in every entity that inherits it."""
    result = after(
        blog(),
        ("rename_field", {"entity": "Post", "name": "title", "newName": "order"}),
        ("rename_field", {"entity": "User", "name": "id", "newName": "key"}),
    )
    post, article = result.entity("Post"), result.entity("Article")
    assert post is not None
    assert article is not None
    assert post.indexes[0].fields == ("order", "authorId")
    assert article.indexes[0].fields == ("order",)
    assert post.rules[0].expression == "length(order) > 3  and User.email is not null"
    assert result.rules[0].expression == "order != 'x'"
    author = post.field("authorId")
    assert author is not None
    assert author.references is not None
    assert author.references.field == "key"
    assert post.field("id") is not None  # the field of the same name in another entity is another field


def test_renamed_enum_is_followed_by_fields() -> None:
    """A field of type enum names its enum."""
    result = after(blog(), ("rename_enum", {"name": "Status", "newName": "State"}))
    post = result.entity("Post")
    assert post is not None
    assert [field.enum for field in post.fields] == [None, None, None, "State"]


def test_transition_rule_follows_the_value_before() -> None:
    """In a transition rule `old.status` is the field `status` before the change."""
    rule = {"name": "flow", "kind": "transition", "entity": "Post", "expression": "old.status != status"}
    result = after(
        blog(),
        ("create_rule", rule),
        ("rename_field", {"entity": "Post", "name": "status", "newName": "state"}),
    )
    assert result.rules[-1].expression == "old.state != state"


def test_self_relation_is_renamed_at_both_ends() -> None:
    """An entity may refer to itself, and its new name holds at once at both ends."""
    result = after(
        blog(),
        ("create_field", {"entity": "User", "name": "bossId", "type": "uuid", "references": {"entity": "User"}}),
        ("create_relationship", {"name": "leads", "source": "User", "target": "User", "sourceCardinality": "0..1"}),
        ("rename_entity", {"name": "User", "newName": "Person"}),
    )
    person = result.entity("Person")
    assert isinstance(person, Entity)
    boss = person.field("bossId")
    assert boss is not None
    assert boss.references is not None
    assert boss.references.entity == "Person"
    assert (result.relationships[1].source, result.relationships[1].target) == ("Person", "Person")


def test_names_can_be_swapped_in_one_list() -> None:
    """A third name in between is enough, and both end in their old places."""
    result = after(
        blog(),
        ("rename_entity", {"name": "User", "newName": "Temp"}),
        ("rename_entity", {"name": "Post", "newName": "User"}),
        ("rename_entity", {"name": "Temp", "newName": "Post"}),
    )
    assert result.relationships[0].source == "Post"
    assert sorted(entity.name for entity in result.entities) == ["Article", "Post", "User"]


@pytest.mark.parametrize(
    ("operation", "data"),
    [
        ("rename_entity", {"name": "Post", "newName": "User"}),
        ("rename_entity", {"name": "Post", "newName": "Status"}),
        ("rename_enum", {"name": "Status", "newName": "Post"}),
        ("rename_field", {"entity": "Post", "name": "title", "newName": "id"}),
        ("rename_rule", {"entity": "Article", "name": "named", "newName": "named2"}),
    ],
)
def test_a_taken_name_is_refused(operation: str, data: Document) -> None:
    """Entities and enums share one set of names; fields have one per entity, and rules one per scope."""
    schema = after(blog(), ("create_rule", {"name": "named2", "kind": "text", "entity": "Article"}))
    error = refused(schema, (operation, data))
    assert issues_of(error) == [("duplicate_name", "/operations/0/data/newName")]


def test_a_name_that_an_heir_has_already_is_refused() -> None:
    """The check reaches the entities below the one that is renamed in."""
    error = refused(blog(), ("rename_field", {"entity": "Post", "name": "title", "newName": "body"}))
    assert issues_of(error) == [("duplicate_name", "/operations/0/data")]


def test_renaming_to_the_same_name_changes_nothing() -> None:
    """Not even `renamedFrom`."""
    changes = changes_of(blog(), ("rename_entity", {"name": "Post", "newName": "Post"}))
    assert changes.is_empty
    assert not changes.outcomes[0].changed
