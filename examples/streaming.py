"""Reading a large schema element by element: verified at the end, and taken up again after a cut."""

import asyncio
from typing import Any

from schemawire import DomainSchemaHandler

LARGE = {
    "name": "warehouse",
    "entities": [{"name": f"Shelf{number}", "fields": [{"name": "code", "type": "string"}]} for number in range(500)],
}


async def stream_processor(data: dict[str, Any]) -> None:
    """Take one element; the stream waits until this returns."""
    if data["element"]["name"].endswith("00"):
        print(f"{data['kind']} {data['element']['name']}")


async def main() -> None:
    """Store five hundred entities, then stream them."""
    async with DomainSchemaHandler() as handler:
        await handler.save_schema("warehouse", LARGE)
        summary = await handler.stream_large_schema(project_id="warehouse", callback=stream_processor)
        print(f"{summary.element_count} elements, complete and verified: {summary.digest[:12]}")


if __name__ == "__main__":
    asyncio.run(main())
