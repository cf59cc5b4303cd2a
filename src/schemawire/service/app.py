"""The application: the parts joined, the routes mounted, started and drained."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from schemawire._version import __version__
from schemawire.analysis import Analyser
from schemawire.errors import ConfigurationInvalid
from schemawire.service.admission import Gate, KeyRates
from schemawire.service.backend import Backend
from schemawire.service.dispatch import Dispatcher, DispatchOptions, Engine, Polling, new_owner
from schemawire.service.frontier import EntryTerms, Frontier
from schemawire.service.keyring import KeyRing
from schemawire.service.language import open_reader
from schemawire.service.openapi import describe
from schemawire.service.routes import ROUTERS
from schemawire.service.store import POSTGRES_SCHEMES, SqliteOptions, SqliteStore, Store
from schemawire.service.submissions import Worker, describe_failure
from schemawire.service.switchboard import Switchboard
from schemawire.service.terms import terms_of
from schemawire.service.tracing import sampled_trace_id, traced_parts
from schemawire.service.watching import figure_options, watch
from schemawire.service.webhook_policy import WebhookPolicy
from schemawire.settings.service import ServiceSettings


def create_app(settings: ServiceSettings, *, store: Store | None = None, analyser: Analyser | None = None) -> FastAPI:
    """Return the service as an ASGI application, opened and closed by its own lifespan.

    Args:
        settings: what to work with.
        store: where to keep everything; the settings' database if not given.
        analyser: who reads words; as the settings say if not given.
    """
    return build_app(build_backend(settings, store=store, analyser=analyser))


def build_backend(
    settings: ServiceSettings, *, store: Store | None = None, analyser: Analyser | None = None
) -> Backend:
    """Return the parts of a service, joined and not yet started."""
    store = store or open_store(settings)
    reader = open_reader(settings, analyser)
    store, analyser = traced_parts(settings, store, reader.analyser)
    terms = terms_of(settings)
    backend = Backend(
        store=store,
        dispatcher=Dispatcher(
            store,
            Worker(analyser),
            engine=open_engine(settings, store),
            options=DispatchOptions(
                concurrency=settings.operation_concurrency,
                lease=settings.operation_lease,
                poll_interval=settings.operation_poll_interval,
                is_working=settings.run_operations,
            ),
            describe=describe_failure,
        ),
        analyser=analyser,
        keys=KeyRing(store, settings.admin_key),
        refiner=reader.refiner,
        models=reader.models,
        companions=[reader],
        terms=terms,
        rates=KeyRates(rate=terms.rate, burst=terms.burst),
        gate=Gate(concurrency=terms.concurrency, queue_delay=terms.queue_delay),
        figure_options=figure_options(settings),
        webhooks=WebhookPolicy.read(
            secrets=settings.webhook_secrets, hosts=settings.webhook_hosts, allows_private=settings.webhook_private
        ),
    )
    if settings.run_operations:
        add_companions(backend, settings)
    if settings.otlp_endpoint:
        backend.recorder.trace_id = sampled_trace_id
    return watch(backend)


def add_companions(backend: Backend, settings: ServiceSettings) -> None:
    """Let a process that carries operations out send webhooks, and take messages in, as the settings say.

    Raises:
        ConfigurationInvalid: messages are wanted and there is no broker, or one that nobody knows.
    """
    if backend.webhooks.is_on:
        from schemawire.service.webhooks import WebhookSender

        sender = WebhookSender(backend.store, backend.webhooks)
        backend.dispatcher.on_end = sender.wake
        backend.companions.append(sender)
        backend.figures.watch("webhooks", lambda: sender.statistics)
    if settings.intake_queue:
        if not settings.broker_url:
            raise ConfigurationInvalid(
                "SCHEMAWIRE_INTAKE_QUEUE names a queue, and there is no broker",
                fix="Set SCHEMAWIRE_BROKER_URL to nats://, amqp:// or redis://.",
            )
        from schemawire.service.intake import Intake

        intake = Intake(backend, settings.broker_url, settings.intake_queue, name=new_owner())
        backend.companions.append(intake)
        backend.figures.watch("intake", lambda: intake.statistics)


def open_engine(settings: ServiceSettings, store: Store) -> Engine:
    """Return how the processes that share a store tell one another of work, not yet started.

    Raises:
        ConfigurationInvalid: there is no broker for such an address, or its extra is not installed.
    """
    if settings.broker_url:
        from schemawire.service.dispatch.queue import BrokerQueue

        return BrokerQueue(settings.broker_url, store, name=new_owner())
    if store.is_exclusive:
        return Polling()
    from schemawire.service.dispatch.notices import PostgresNotices

    return PostgresNotices(settings.database_url)


def open_store(settings: ServiceSettings) -> Store:
    """Return the store that the settings name, not yet started.

    Raises:
        ConfigurationInvalid: there is no store for such an address, or its driver is not installed.
    """
    scheme, _, path = settings.database_url.partition(":///")
    if scheme == "sqlite":
        options = SqliteOptions(readers=settings.database_readers, max_waiting_writes=settings.max_waiting_writes)
        return SqliteStore(path, options=options)
    scheme = settings.database_url.partition("://")[0]
    if scheme in POSTGRES_SCHEMES:
        from schemawire.service.store.postgres import PostgresOptions, PostgresStore

        return PostgresStore(
            settings.database_url,
            options=PostgresOptions(
                connections=settings.database_connections,
                max_waiting_writes=settings.max_waiting_writes,
                statement_timeout=settings.database_timeout,
            ),
        )
    raise ConfigurationInvalid(
        f"SCHEMAWIRE_DATABASE_URL names a database of kind {scheme[:20]!r}, which is not supported",
        fix="Use sqlite:///PATH or postgresql://USER:PASSWORD@HOST:5432/DATABASE.",
    )


class Service(FastAPI):
    """What FastAPI knows of the routes, for their description; requests go to the frontier and the switchboard alone.

    The lifespan opens and closes the backend.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(
            title="schemawire",
            version=__version__,
            summary="Typed, versioned domain schemas.",
            openapi_url=None,  # routes/description.py serves it
            docs_url=None,  # the stock page loads scripts from elsewhere
            redoc_url=None,
            lifespan=partial(_lifespan, backend),
            telemetry={"tracing": False, "metrics": False},
        )
        self.state.backend = backend
        for router in ROUTERS:
            self.router.routes.extend(router.routes)
        self._frontier = Frontier(
            Switchboard(self.router.routes),
            authenticate=backend.keys.authenticate,
            store_id=lambda: backend.store.store_id,
            recorder=backend.recorder,
            terms=EntryTerms(rates=backend.rates, cors_origins=backend.terms.cors_origins, trail=backend.trail),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or open and close the backend."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self._frontier(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the description of the interface, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def build_app(backend: Backend) -> FastAPI:
    """Return the application that serves a backend; it starts and stops the backend with its own lifespan."""
    return Service(backend)


@asynccontextmanager
async def _lifespan(backend: Backend, app: FastAPI) -> AsyncIterator[None]:
    async with backend.running():
        yield
