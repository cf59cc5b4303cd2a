"""Health checks for load balancers; open to everybody."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import HealthReply
from schemawire.protocol.paths import HEALTH, HEALTH_LIVE, HEALTH_READY, HEALTH_STARTUP
from schemawire.service.health import check_health
from schemawire.service.replies import JSON, NO_STORE
from schemawire.service.routes.declaring import backend_of, new_router, route

router: APIRouter = new_router()


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


@route(router, "GET", HEALTH, needs=None, summary="Is everything well?", answers=HealthReply, also=(503,))
async def health(request: Request) -> Response:
    """The state of the service and of each thing it needs; 503 unless all is well."""
    return _send(await check_health(backend_of(request)))


@route(router, "GET", HEALTH_READY, needs=None, summary="May requests be sent here?", answers=HealthReply, also=(503,))
async def ready(request: Request) -> Response:
    """503 before the store is open, while it does not answer, and from the moment that the service stops."""
    return _send(await check_health(backend_of(request)))


@route(router, "GET", HEALTH_STARTUP, needs=None, summary="Has it started?", answers=HealthReply, also=(503,))
async def startup(request: Request) -> Response:
    """503 while the store is being opened and brought up to date; from then on 200, whatever happens later."""
    backend = backend_of(request)
    state = await check_health(backend)
    return Response(state.to_json(), 200 if backend.is_started else 503, {"Cache-Control": NO_STORE}, JSON)


@route(router, "GET", HEALTH_LIVE, needs=None, summary="Does the process answer?", answers=Alive)
async def live(request: Request) -> Response:
    """200 as long as the event loop turns; it looks at nothing else, so that a slow store restarts nobody."""
    return Response(b'{"status":"alive"}', 200, {"Cache-Control": NO_STORE}, JSON)


def _send(state: HealthReply) -> Response:
    status = 200 if state.status in ("healthy", "degraded") else 503
    return Response(state.to_json(), status, {"Cache-Control": NO_STORE}, JSON)
