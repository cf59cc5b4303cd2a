"""The application: the parts joined, the routes mounted, started and drained."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from schemawire._version import __version__
from schemawire.analysis import Analyser, OfflineAnalyser
from schemawire.errors import ConfigurationInvalid
from schemawire.protocol.paths import API_ROOT, PROJECT_ID_FIX, is_project_id
from schemawire.service.backend import Backend
from schemawire.service.dispatch import DispatchOptions, SqlDispatcher
from schemawire.service.frontier import Frontier
from schemawire.service.keyring import KeyRing
from schemawire.service.metrics import new_registry
from schemawire.service.openapi import describe
from schemawire.service.refusals import RequestRefused
from schemawire.service.routes import ROUTERS
from schemawire.service.store import SqliteOptions, SqliteStore, Store
from schemawire.service.submissions import Worker, describe_failure
from schemawire.settings.service import ServiceSettings


def create_app(settings: ServiceSettings, *, store: Store | None = None, analyser: Analyser | None = None) -> FastAPI:
    """Return the service as an ASGI application, opened and closed by its own lifespan.

    Args:
        settings: what to work with.
        store: where to keep everything; the settings' database if not given.
        analyser: who reads words; the offline one if not given.
    """
    return build_app(build_backend(settings, store=store, analyser=analyser))


def build_backend(
    settings: ServiceSettings, *, store: Store | None = None, analyser: Analyser | None = None
) -> Backend:
    """Return the parts of a service, joined and not yet started."""
    store = store or open_store(settings)
    analyser = analyser or OfflineAnalyser()
    return Backend(
        store=store,
        dispatcher=SqlDispatcher(
            store,
            Worker(analyser),
            options=DispatchOptions(concurrency=settings.operation_concurrency, lease=settings.operation_lease),
            describe=describe_failure,
        ),
        analyser=analyser,
        keys=KeyRing(store, settings.admin_key),
    )


def open_store(settings: ServiceSettings) -> Store:
    """Return the store that the settings name, not yet started.

    Raises:
        ConfigurationInvalid: there is no store for such an address.
    """
    scheme, _, path = settings.database_url.partition(":///")
    if scheme != "sqlite":
        raise ConfigurationInvalid(
            f"SCHEMAWIRE_DATABASE_URL names a database of kind {scheme[:20]!r}, which is not supported",
            fix="Use sqlite:///PATH.",
        )
    options = SqliteOptions(readers=settings.database_readers, max_waiting_writes=settings.max_waiting_writes)
    return SqliteStore(path, options=options)


def build_app(backend: Backend) -> FastAPI:
    """Return the application that serves a backend; it starts and stops the backend with its own lifespan."""
    app = FastAPI(
        title="schemawire",
        version=__version__,
        summary="Typed, versioned domain schemas.",
        openapi_url=None,  # routes/description.py serves it
        docs_url=None,  # the stock page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, backend),
        exception_handlers={HTTPException: _refuse_route},
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.backend = backend
    app.state.registry = new_registry(backend)
    for router in ROUTERS:
        # Not `include_router`: its layers of matching cost more than the rest of a small read.
        app.router.routes.extend(router.routes)
    app.add_middleware(
        Frontier,
        authenticate=backend.keys.authenticate,
        store_id=lambda: backend.store.store_id,
        recorder=backend.recorder,
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # the way that FastAPI documents
    return app


@asynccontextmanager
async def _lifespan(backend: Backend, app: FastAPI) -> AsyncIterator[None]:
    async with backend.running():
        yield


async def _refuse_route(request: Request, error: Exception) -> Response:
    """Turn what the router says about an unknown path or method into a refusal; the frontier answers it."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.scope["path"]
    if status == 405:
        allowed = ", ".join(allowed_methods(ROUTERS, path))
        raise RequestRefused(
            "method_not_allowed", f"{request.method} is not possible here.", headers={"Allow": allowed}
        )
    if status == 404:
        _refuse_project_id(request)
        raise RequestRefused("not_found", f"There is nothing at {path[:200]!r}.")
    raise error


def allowed_methods(routers: Sequence[APIRouter], path: str) -> list[str]:
    """Return the methods that some route answers on a path."""
    found = set()
    for router in routers:
        for route in router.routes:
            pattern, _, _ = compile_path(route.path)  # type: ignore[attr-defined]  # ours all have one
            if pattern.match(path):
                found |= route.methods  # type: ignore[attr-defined]  # likewise
    return sorted(found)


def _refuse_project_id(request: Request) -> None:
    # The path as it was sent: `/api/domain-schema/%2e%2e%2fx` no longer shows its project id once it is decoded.
    path: str = request.scope["path"]
    if path.startswith(f"{API_ROOT}/"):
        segment = path.removeprefix(f"{API_ROOT}/").partition("/")[0]
        if not is_project_id(segment) and segment not in ("operations", "keys"):
            raise RequestRefused("invalid_project_id", f"{segment[:40]!r} is not a project id.", fix=PROJECT_ID_FIX)
