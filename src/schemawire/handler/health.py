"""How the backend is, seen from here; a backend that is away is an answer, not an error."""

import asyncio

from pydantic import ValidationError

from schemawire.errors import SchemawireError
from schemawire.handler.backend import Backend
from schemawire.handler.results import HealthStatus
from schemawire.protocol import paths
from schemawire.protocol.messages import HealthReply


async def ask_health(backend: Backend, *, deadline: float) -> HealthStatus:
    """Ask `/health` and judge the answer.

    Args:
        backend: whom to ask.
        deadline: seconds until it counts as unreachable.
    """
    clock = asyncio.get_running_loop()
    start = clock.time()
    try:
        response = await backend.client.request("GET", paths.HEALTH, deadline=deadline)
    except SchemawireError as error:
        return HealthStatus(
            is_healthy=False,
            response_time=clock.time() - start,
            status="unreachable",
            detail=str(error),
            error=error,
        )
    elapsed = clock.time() - start
    try:
        reply = HealthReply.model_validate_json(response.body)
    except ValidationError as error:
        detail = f"{paths.HEALTH} was answered with status {response.status}, and not by a schemawire service"
        return HealthStatus(is_healthy=False, response_time=elapsed, status="unhealthy", detail=detail, error=error)
    failing = [f"{part.name}: {part.detail}" for part in reply.dependencies if not part.healthy]
    return HealthStatus(
        is_healthy=response.is_success and reply.status in ("healthy", "degraded"),
        response_time=elapsed,
        status=reply.status,
        detail="; ".join(failing),
        service_version=reply.version,
        store_id=reply.store_id,
        dependencies=reply.dependencies,
    )
