"""The handler in front of services that do not share their store."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schemawire import DomainSchemaHandler
from schemawire.errors import StoresDiffer
from schemawire.testing import ServiceProcess

KEY = "a-key-that-both-of-them-know-well"


async def test_writes_to_two_services_with_a_file_each_are_refused(tmp_path: Path) -> None:
    """At most the first write is sent; then the error names both stores, and reads go on."""
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(ServiceProcess(tmp_path / name, admin_key=KEY)) for name in ("one", "two")
        ]
        urls = ",".join(each.base_url for each in services)
        handler = await stack.enter_async_context(DomainSchemaHandler(base_url=urls, api_key=KEY))

        async def keep_writing() -> None:
            operations = [{"operation": "create_entity", "data": {"name": "Post"}}]
            for number in range(20):
                await handler.batch_operations(operations=operations, project_id=f"p{number}", session_id="s")

        with pytest.raises(StoresDiffer, match=services[1].base_url):
            await keep_writing()
        assert (await handler.health_check()).is_healthy
