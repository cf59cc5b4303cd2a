"""A page that shows the description and lets requests be tried; it loads nothing from any other address."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.paths import DOCS
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import REVALIDATE
from schemawire.service.routes.declaring import context_of, new_router, route

router: APIRouter = new_router()

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {"docs.js": "text/javascript; charset=utf-8", "docs.css": "text/css; charset=utf-8"}


class Page(BaseModel):
    """A web page."""


@route(router, "GET", DOCS, needs=None, summary="This description as a page", answers=Page, media_type="text/html")
async def docs(request: Request) -> Response:
    """Open to everybody; what it shows is read with the key that is typed into it."""
    context_of(request).page_policy = POLICY
    return Response(_text("docs.html"), 200, {"Cache-Control": REVALIDATE}, "text/html; charset=utf-8")


@route(
    router, "GET", f"{DOCS}/{{file}}", needs=None, summary="What the page is made of", answers=Page,
    media_type="text/javascript", refuses=("not_found",),
)  # fmt: skip
async def docs_file(request: Request) -> Response:
    """Its script and its style sheet."""
    name = request.path_params["file"]
    if name not in _TYPES:
        raise RequestRefused("not_found", f"There is no such file: {name[:40]!r}.")
    return Response(_text(name), 200, {"Cache-Control": REVALIDATE}, _TYPES[name])


@cache
def _text(name: str) -> bytes:
    return files("schemawire.service.pages").joinpath(name).read_bytes()
