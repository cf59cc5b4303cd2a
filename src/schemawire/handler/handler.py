"""`DomainSchemaHandler`: words in, stored schemas out; the face that the others are joined into."""

import asyncio
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, Self

from schemawire.analysis import Analyser, AnalysisOptions, Draft, ModelAnalyser
from schemawire.events import Listener, step_scope
from schemawire.handler.backend import Backend, read_reply, result_of
from schemawire.handler.callbacks import Callback, CallbackEvent, Callbacks
from schemawire.handler.configuration import build_client, configuration_issues, resolve_settings
from schemawire.handler.health import ask_health
from schemawire.handler.reading import Reading
from schemawire.handler.refining import Refining, chosen_analyser
from schemawire.handler.results import DomainResult, HealthStatus, StreamSummary
from schemawire.handler.streaming import StreamingConfig, StreamRequest, read_stream
from schemawire.handler.submitting import Submitting
from schemawire.handler.uploading import UPLOAD_SILENCE, Uploader
from schemawire.handler.writing import Writing, batch_body
from schemawire.protocol import paths
from schemawire.resilience import CircuitBreakerConfig, Inherited, RetryConfig
from schemawire.schema import schema_digest
from schemawire.settings.client import ClientSettings, get_preset
from schemawire.transport import PoolConfig, TimeoutConfig, Wire


class DomainSchemaHandler(Reading, Writing, Submitting, Refining):
    """Turns descriptions into schemas and keeps them in a backend, over a connection that may fail at any time.

    Every write carries an idempotency key of its own and is sent again until it is acknowledged or its deadline has
    passed, so it is applied once however often the connection breaks. Every call ends with a result or one
    `SchemawireError`, which for writes is also given to the `error` callbacks. May be used from several tasks of one
    event loop; harmless to leave unclosed.

    Args:
        base_url: of the service, one or several separated by commas; `BACKEND_SERVICE_URL` if not given.
        api_key: sent as a bearer token; `BACKEND_API_KEY` if not given.
        environment: development, test, staging or production; chooses the preset and is sent as `X-Environment`.
        retry_config: how failed attempts are repeated.
        circuit_breaker_config: when an endpoint is left alone.
        streaming_config: how large schemas are streamed.
        timeout_config: connect, read, attempt and total limits, in seconds.
        pool_config: how many connections, and how many calls may wait for one.
        settings: everything from the environment; single arguments win over it.
        analyser: what reads descriptions: `offline`, `model` (SCHEMAWIRE_LLM_*, checked by the offline one), or an
            analyser of your own; if not given the models where some are set, else `offline`.
        analysis: what the analyser adds to the words: keys, timestamps, join entities.
        wire: how single requests are sent: a name, or a `Wire`.
        listener: hears what happens to calls, attempts and breakers.

    Raises:
        ConfigurationInvalid: a setting or option is out of range.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        environment: str | None = None,
        retry_config: RetryConfig | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        streaming_config: StreamingConfig | None = None,
        timeout_config: TimeoutConfig | None = None,
        pool_config: PoolConfig | None = None,
        settings: ClientSettings | None = None,
        analyser: Analyser | str | None = None,
        analysis: AnalysisOptions | None = None,
        wire: str | Wire | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.settings = resolve_settings(settings, base_url=base_url, api_key=api_key, environment=environment)
        self.streaming_config = streaming_config or StreamingConfig()
        build = partial(
            build_client,
            self.settings,
            retry=retry_config,
            breaker=circuit_breaker_config,
            pool=pool_config,
            wire=wire,
            listener=listener,
        )
        self.client = build(timeout=timeout_config)
        patience = replace(timeout_config or self.settings.timeout_config(), read=UPLOAD_SILENCE)
        self._uploader = Uploader(lambda: build(timeout=patience))
        self._backend = Backend(self.client, self.settings.backend_service_url)
        self._listener = listener
        self._callbacks = Callbacks()
        self._watchers: set[asyncio.Task[None]] = set()
        self._analyser = chosen_analyser(analyser)
        self._analysis = analysis or AnalysisOptions()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching submitted operations and close every connection; a second call does nothing."""
        await self._stop_watching()
        if isinstance(self._analyser, ModelAnalyser):
            await self._analyser.aclose()
        await self._uploader.aclose()
        await self.client.aclose()

    async def analyze(self, description: str) -> Draft:
        """Turn words into a draft; nothing is sent to the backend and nothing is stored.

        Raises:
            SchemaInvalid: nothing in the description can be understood.
        """
        with step_scope(self._listener, "analyze"):
            return await self._analyser.analyze(description, options=self._analysis)

    async def analyze_and_send_domain(
        self,
        domain_description: str,
        project_id: str,
        session_id: str | None = None,
        *,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> DomainResult:
        """Turn words into a schema and store it; on a project that exists, merge it.

        Args:
            domain_description: plain words, such as "Create a blog system with posts and comments".
            project_id: where it is stored; the project is created when missing.
            session_id: the conversation that it belongs to.
            idempotency_key: give the same one again to repeat a call whose outcome is unknown; made when not given.
            deadline: seconds from now, at most; the client's total timeout if not given.

        Returns:
            The stored version; `data` is the whole schema document.

        Raises:
            SchemaInvalid: nothing in the description can be understood; nothing was sent.
            Conflict: the project says otherwise about the same element; nothing was changed.
            SchemawireError: see `Backend.write`.

        *Cancelled:* it is unknown whether it was stored; the same call with the same key finds out.
        """
        with step_scope(self._listener, "analyze_and_send_domain"):
            return await self._analyze_and_send(
                domain_description, project_id, session_id, idempotency_key=idempotency_key, deadline=deadline
            )

    async def _analyze_and_send(
        self,
        domain_description: str,
        project_id: str,
        session_id: str | None,
        *,
        idempotency_key: str | None,
        deadline: float | None,
    ) -> DomainResult:
        draft = await self.analyze(domain_description)
        document = draft.schema.to_document()
        body = batch_body(
            project_id,
            [{"operation": "merge_schema", "data": document}],
            sessionId=session_id,
            message="from a description",
        )

        async def send() -> DomainResult:
            with Inherited(inf if deadline is None else asyncio.get_running_loop().time() + deadline):
                exchange = await self._backend.write("POST", paths.BATCH, body, idempotency_key=idempotency_key)
                reply = read_reply(exchange, project_id)
                stored = document
                if reply.digest != schema_digest(draft.schema):
                    stored = (await self.get_schema(project_id, version=reply.version)).document
            return replace(result_of(exchange, reply, project_id, stored), warnings=draft.warnings, usage=draft.usage)

        return await self._told("POST", paths.BATCH, body, project_id, send)

    async def stream_large_schema(
        self,
        project_id: str,
        callback: Callback,
        *,
        version: int | None = None,
        after: str | None = None,
    ) -> StreamSummary:
        """Call `callback` with every element of a schema, one at a time, without ever holding the whole schema.

        The stream is pinned to one version. When the connection breaks, it is taken up again behind the last element
        that the callback has seen, without a gap or a repeat. At the end the number of elements and the digest are
        compared with what the backend promised.

        Args:
            project_id: the project.
            callback: sync or async; gets `{"kind": …, "cursor": …, "element": {…}}`. The stream waits for it.
            version: the newest if not given.
            after: the cursor of the last element seen earlier; the digest of the whole is not checked then.

        Raises:
            StreamBroken: it could not be completed, or it does not verify.
            NotFound: there is no such project or version.
            Exception: whatever the callback raises; the stream is closed.

        *Cancelled:* the connection is closed; the callback gets nothing more.
        """
        request = StreamRequest(project_id=project_id, version=version, after=after)
        return await read_stream(self.client, request, self.streaming_config, callback)

    def register_callback(self, event: CallbackEvent, callback: Callback) -> None:
        """Have `callback` called with the outcome of writes.

        `success` callbacks get `(response, project_id)`, `error` callbacks `(error, method, url, data)`.

        Raises:
            ValueError: there is no such event.
            TypeError: the callback cannot be called.
        """
        self._callbacks.register(event, callback)

    def unregister_callback(self, event: CallbackEvent, callback: Callback) -> None:
        """Take a callback back; one that is not registered is no error."""
        self._callbacks.unregister(event, callback)

    def get_configuration_for_environment(self, environment: str) -> dict[str, dict[str, Any]]:
        """Return the preset of an environment: `timeout`, `limits` and `retry_config`.

        Raises:
            ConfigurationInvalid: there is no such environment.
        """
        return get_preset(environment)

    async def validate_configuration(self) -> dict[str, Any]:
        """Judge the configuration in use, and try to reach the backend.

        Returns:
            `valid`, `issues` (what must be corrected), `warnings`, and `reachable`.
        """
        issues, warnings = configuration_issues(self.settings)
        health = await self.health_check()
        if not health.is_healthy:
            warnings.append(f"the backend at {self.settings.backend_service_url} is {health.status}: {health.detail}")
        return {
            "valid": not issues,
            "issues": issues,
            "warnings": warnings,
            "reachable": health.status != "unreachable",
        }

    async def health_check(self, *, deadline: float = 5.0) -> HealthStatus:
        """Return how the backend is; an unreachable one is an answer, not an error."""
        return await ask_health(self._backend, deadline=deadline)
