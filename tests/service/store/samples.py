"""Schemas and writes that the store's tests share."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.schema import DomainSchema, apply, parse_operations, parse_schema
from schemawire.service.store import SqlView, WriteNote, Written, replace_schema, write_changes


def entity(name: str, **more: Any) -> dict[str, Any]:
    """Return an entity with a key."""
    return {"name": name, "fields": [{"name": "id", "type": "uuid", "primaryKey": True, "required": True}], **more}


def schema_of(*names: str, **more: Any) -> DomainSchema:
    """Return a schema with these entities."""
    return parse_schema({"formatVersion": "1", "name": "sample", "entities": [entity(name) for name in names], **more})


def note(expected_version: int | None = None, *, now: float = 1_000.0) -> WriteNote:
    """Return what goes with a write."""
    return WriteNote(now=now, created_by="tester", message="why", expected_version=expected_version)


def put(project_id: str, schema: DomainSchema, expected_version: int | None = None) -> Callable[[Connection], Written]:
    """Return the work that stores a whole schema."""
    return partial(replace_schema, project_id=project_id, schema=schema, note=note(expected_version))


def edit(
    project_id: str, *operations: Mapping[str, Any], expected_version: int | None = None
) -> Callable[[Connection], Written]:
    """Return the work that carries out operations."""

    def work(conn: Connection) -> Written:
        view = SqlView(conn, project_id, is_writing=True)
        return write_changes(view, apply(view, parse_operations(list(operations))), note(expected_version))

    return work


def create(name: str) -> dict[str, Any]:
    """Return the operation that creates an entity."""
    return {"operation": "create_entity", "data": entity(name)}


def names_in(document: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of a document's entities, in order."""
    return [each["name"] for each in document["entities"]]
