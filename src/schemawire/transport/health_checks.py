"""Active health checks: asks every endpoint now and then how it is; knows no call and no breaker."""

import asyncio
import random
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from schemawire.errors import SchemawireError
from schemawire.events import EndpointHealthChanged, Listener
from schemawire.resilience.ranges import require_count, require_number
from schemawire.transport.address import target_of
from schemawire.transport.endpoints import Endpoint, EndpointPick
from schemawire.transport.message import Headers, Request
from schemawire.transport.stream import collect
from schemawire.transport.wire import Wire

MAX_REPLY_BYTES = 1024 * 1024
AT_ONCE = 16
"""Checks under way at once, so that a long list is not asked in one burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckConfig:
    """How endpoints are asked for their health.

    Args:
        path: from `/`; any status from 200 to 299 is good.
        interval: seconds from one round to the next, above 0.
        jitter: share of the interval by which each round is drawn shorter or longer, 0 to 0.5.
        timeout: seconds for one check as a whole, above 0.
        unhealthy_threshold: failed checks in a row that take an endpoint out of rotation, from 1.
        healthy_threshold: good checks in a row that bring it back, from 1.

    Raises:
        ConfigurationInvalid: a value is out of range.
        ValueError: `path` is no path.

    *Source:* Envoy, `HealthCheck` (thresholds and interval jitter).
    """

    path: str = "/health"
    interval: float = 10.0
    jitter: float = 0.1
    timeout: float = 2.0
    unhealthy_threshold: int = 3
    healthy_threshold: int = 2

    def __post_init__(self) -> None:
        target_of(self.path)
        require_number(self, "interval", low=0.0, above=True, high=86_400.0)
        require_number(self, "jitter", low=0.0, high=0.5)
        require_number(self, "timeout", low=0.0, above=True, high=3600.0)
        require_count(self, "unhealthy_threshold", low=1)
        require_count(self, "healthy_threshold", low=1)


class CheckRecord:
    """What the checks of one endpoint have said; a plain state.

    Invariant: `is_healthy` changes only after as many equal outcomes in a row as its threshold.
    """

    __slots__ = ("_in_a_row", "_options", "is_healthy")

    def __init__(self, options: HealthCheckConfig) -> None:
        self._options = options
        self._in_a_row = 0
        self.is_healthy = True
        """A new endpoint is taken for healthy until checks say otherwise: its listing vouches for it."""

    def replace_options(self, options: HealthCheckConfig) -> None:
        """Judge by other thresholds from the next check on."""
        self._options = options

    def note(self, *, is_good: bool) -> bool:
        """Take note of one check, and return whether it changed `is_healthy`."""
        if is_good == self.is_healthy:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        enough = self._options.healthy_threshold if is_good else self._options.unhealthy_threshold
        if self._in_a_row < enough:
            return False
        self.is_healthy = is_good
        self._in_a_row = 0
        return True


class HealthChecker:
    """Asks the endpoints of a client in rounds, straight over its wire.

    Args:
        pick: whose endpoints are asked, and who is told; held weakly, so that the checks end with it.
        wire: what sends a check.
        options: path, pace and thresholds.
        listener: hears `EndpointHealthChanged`.
        draw: a source of uniform draws from [0, 1).
    """

    # Invariant: `_records` holds the endpoints of the last round, and only those.

    def __init__(
        self,
        pick: EndpointPick,
        wire: Wire,
        options: HealthCheckConfig,
        *,
        listener: Listener | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._pick = weakref.ref(pick)
        self._wire = wire
        self._options = options
        self._listener = listener
        self._draw = draw
        self._records: dict[Endpoint, CheckRecord] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin on the running event loop; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="health checks")

    def replace_options(self, options: HealthCheckConfig) -> None:
        """Put other options in force: a round begins at once, and what the rounds before have seen still counts."""
        self._options = options
        for record in self._records.values():
            record.replace_options(options)
        task = self._task
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()
            self._task = task.get_loop().create_task(self._run(), name="health checks")

    async def aclose(self) -> None:
        """Stop; checks under way are cut. Safe to call twice, and on another event loop."""
        task, self._task = self._task, None
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.wait([task])

    async def _run(self) -> None:
        options, clock = self._options, asyncio.get_running_loop().time
        while (pick := self._pick()) is not None:
            due = clock() + options.interval * (1.0 + options.jitter * (2.0 * self._draw() - 1.0))
            await self._round(pick)
            # Without the reference: this pause must not be what keeps an abandoned client alive.
            del pick
            await asyncio.sleep(due - clock())

    async def _round(self, pick: EndpointPick) -> None:
        endpoints = pick.endpoints
        self._records = {each: self._records.get(each) or CheckRecord(self._options) for each in endpoints}
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for endpoint in endpoints:
                group.create_task(self._check(pick, endpoint, places))

    async def _check(self, pick: EndpointPick, endpoint: Endpoint, places: asyncio.Semaphore) -> None:
        async with places:
            problem = await self._problem(endpoint)
        record = self._records[endpoint]
        if not record.note(is_good=problem is None):
            return
        pick.set_health(endpoint, is_healthy=record.is_healthy)
        if self._listener is not None:
            self._listener.on_event(
                EndpointHealthChanged(
                    name="health checks",
                    endpoint=endpoint.url,
                    healthy=record.is_healthy,
                    reason=problem or "the checks are good again",
                )
            )

    async def _problem(self, endpoint: Endpoint) -> str | None:
        """Return what is wrong with an endpoint, or `None`."""
        options = self._options
        url = endpoint.url + target_of(options.path)
        named = {"Host": endpoint.place.authority} if endpoint.place.authority else {}
        request = Request(method="GET", url=url, headers=Headers(named))
        try:
            async with asyncio.timeout(options.timeout):
                return await self._answer(request)
        except TimeoutError:
            return f"no answer for {options.timeout:g} s"
        except Exception as error:
            # Whatever a wire raises is an answer to the question asked here, and must not end the checks.
            return error.message if isinstance(error, SchemawireError) else f"{type(error).__name__}: {error}"

    async def _answer(self, request: Request) -> str | None:
        limit = self._options.timeout
        reply = await self._wire.send(request, connect_timeout=limit, read_timeout=limit)
        try:
            # To the end, so that the connection can serve the next check.
            await collect(reply, request.url, MAX_REPLY_BYTES)
        finally:
            await reply.aclose()
        return None if 200 <= reply.status < 300 else f"status {reply.status}"
