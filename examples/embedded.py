"""The handler and the real service in one process: nothing to start, everything in one SQLite file."""

import asyncio

import schemawire


async def main() -> None:
    """Make two versions, look at the difference, go back."""
    async with schemawire.embedded("schemas.db") as handler:
        first = await handler.analyze_and_send_domain("A clinic has doctors and patients.", "clinic")
        await handler.batch_operations(
            [{"operation": "create_field", "data": {"entity": "Patient", "name": "birthday", "type": "date"}}], "clinic"
        )
        for version in await handler.versions("clinic"):
            print(f"version {version.version}: {version.element_count} elements, {version.digest[:12]}")
        restored = await handler.restore("clinic", first.version or 1)
        print(f"version {restored.version} is version {first.version} again: {restored.digest == first.digest}")


if __name__ == "__main__":
    asyncio.run(main())
