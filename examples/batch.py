"""Several operations on one project: all or none, and one by one with a result for each."""

import asyncio

from schemawire import DomainSchemaHandler, Rejected

BOOK = {"name": "Book", "fields": [{"name": "title", "type": "string", "required": True}]}
AUTHOR = {"name": "Author", "fields": [{"name": "name", "type": "string", "required": True}]}


async def main() -> None:
    """Create two entities, then see what becomes of a batch with a mistake in it."""
    async with DomainSchemaHandler() as handler:
        created = await handler.batch_operations(
            operations=[
                {"operation": "create_entity", "data": BOOK},
                {"operation": "create_entity", "data": AUTHOR},
                {"operation": "create_relationship", "data": {"name": "writes", "source": "Author", "target": "Book"}},
            ],
            project_id="library",
        )
        print(f"{len(created)} operations, now at version {created.version}")

        mixed = [
            {"operation": "create_field", "data": {"entity": "Book", "name": "pages", "type": "integer"}},
            {"operation": "delete_entity", "data": {"name": "Magazine"}},
        ]
        try:
            await handler.batch_operations(operations=mixed, project_id="library")
        except Rejected as refusal:
            print(f"all or none: {refusal}. {refusal.fix}")
        for result in await handler.batch_operations(operations=mixed, project_id="library", atomic=False):
            print(f"one by one: {result.operation} {'applied' if result.success else (result.error or {}).get('code')}")


if __name__ == "__main__":
    asyncio.run(main())
