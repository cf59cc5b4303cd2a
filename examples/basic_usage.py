"""Words in, a stored schema out: `schemawire dev` in another terminal, then run this."""

import asyncio

from schemawire import DomainSchemaHandler


async def main() -> None:
    """Analyse one description, store it, and read it back."""
    async with DomainSchemaHandler() as handler:
        result = await handler.analyze_and_send_domain(
            domain_description="Create a blog system with posts and comments. Each post has a title and a body.",
            project_id="blog-project-001",
            session_id="session-001",
        )
        print(f"{result.message} Version {result.version}, digest {(result.digest or '')[:12]}")
        for entity in result.data["entities"]:
            print(f"  {entity['name']}: {', '.join(field['name'] for field in entity['fields'])}")

        health = await handler.health_check()
        print(f"Service healthy: {health.is_healthy}, answered in {health.response_time:.3f} s")
        metrics = await handler.get_metrics()
        print(f"Total requests: {metrics['service']['totalRequests']}")


if __name__ == "__main__":
    asyncio.run(main())
