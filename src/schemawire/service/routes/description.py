"""The machine-readable description of this interface."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from schemawire.service.replies import JSON, REVALIDATE, encode
from schemawire.service.routes.declaring import new_router, route

router: APIRouter = new_router()


class Description(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str


@route(router, "GET", "/openapi.json", needs="read", summary="This description", answers=Description)
async def openapi(request: Request) -> Response:
    """Every path, body, reply and error, for tools that read OpenAPI."""
    return Response(encode(request.app.openapi()), 200, {"Cache-Control": REVALIDATE}, JSON)
