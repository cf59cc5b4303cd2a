"""Being told how each write ended; callbacks may be plain functions or coroutines."""

import asyncio
from typing import Any

from schemawire import DomainSchemaHandler, SchemawireError
from schemawire.handler import DomainResult


def on_success(response: DomainResult, project_id: str) -> None:
    """Hear of a write that is stored."""
    print(f"{project_id}: {response.message}")


async def on_error(error: Exception, method: str, url: str, data: Any) -> None:
    """Hear of a write that failed for good, after every retry."""
    print(f"{method} failed: {error}")


async def main() -> None:
    """Send one description that can be understood and one batch that cannot be applied."""
    async with DomainSchemaHandler() as handler:
        handler.register_callback("success", on_success)
        handler.register_callback("error", on_error)
        await handler.analyze_and_send_domain("A shop has products and customers.", "shop")
        try:
            await handler.batch_operations([{"operation": "delete_entity", "data": {"name": "Nothing"}}], "shop")
        except SchemawireError as error:
            print(f"raised as well: {error.code}")


if __name__ == "__main__":
    asyncio.run(main())
