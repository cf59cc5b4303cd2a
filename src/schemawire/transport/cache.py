"""The cache around a client's calls: answers from stored responses, and lets equal calls share one request.

The rules live in `freshness`, `validation` and `invalidation`, what is stored in `shelf`; this file decides between
them for each call. It knows neither endpoints' health nor retries.
"""

import asyncio
import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

from schemawire.errors import Closed, Failed, Refused, WrongEventLoop
from schemawire.events import CacheUsed, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler
from schemawire.resilience.single_flight import SingleFlight, SingleFlightStatistics
from schemawire.transport import cache_status
from schemawire.transport.attempt import Call
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.cache_control import directives_of
from schemawire.transport.entry import Entry
from schemawire.transport.freshness import ERROR_STATUSES, Decision, Use, age_of, decide
from schemawire.transport.invalidation import doubtful_targets
from schemawire.transport.message import Headers, Response
from schemawire.transport.refreshing import Refreshing
from schemawire.transport.shelf import Read, Shelf
from schemawire.transport.stores.record import CacheStore, StoreStatistics
from schemawire.transport.stream import StreamResponse
from schemawire.transport.validation import (
    PRECONDITIONS,
    conditional,
    confirms,
    has_validator,
    unconditional,
)
from schemawire.transport.verdict import SAFE_METHODS

_READS = frozenset({"GET", "HEAD"})
_RESERVE = 0.05
"""Seconds before its deadline at which a call takes a stale response rather than none."""
_NEVER_COVERED = (Closed, WrongEventLoop)
"""Refusals that are the caller's own mistake: no stored response hides them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """What became of the calls that passed a cache; `refreshing` and `flight.flying` are zero when nobody uses it."""

    hits: int
    """Answered from the store without asking the service, fresh or knowingly stale."""
    validated: int
    """Answered from the store after the service had confirmed it with 304."""
    stood_in: int
    """Answered with a stale response because the service failed."""
    misses: int
    """Answered by the service."""
    bypassed: int
    """Passed through unread: other methods, streams, ranges, `no-store`."""
    stored: int
    invalidated: int
    """Stored responses that writes have removed."""
    refreshing: int
    store: StoreStatistics
    flight: SingleFlightStatistics


class Cache(Standalone):
    """Keeps responses as RFC 9111 allows, and collapses equal reads and equal keyed writes that run at the same time.

    Args:
        options: what is kept, and for whom.
        store: where.
        service: tells the resources of one service from those of another in the same store.
        flight: what equal calls share.
        listener: hears `CacheUsed`.
        name: what `describe()` and events call it.

    *Cancelled:* nothing is stored by halves; a shared request goes on as long as another caller waits for it.
    """

    def __init__(
        self,
        options: CacheConfig,
        *,
        store: CacheStore,
        service: str,
        flight: SingleFlight | None = None,
        listener: Listener | None = None,
        name: str = "cache",
    ) -> None:
        self.name = name
        self.options = options
        self.flight = flight or SingleFlight(name=f"{name}-flight")
        self._shelf = Shelf(options, store, service=service)
        self._listener = listener
        self._clock = options.clock
        self._refreshing = Refreshing(options.max_refreshes)
        self._counts = dict.fromkeys(("hit", "validated", "stood-in", "miss", "bypass"), 0)

    def bind(self, inner: Handler[Any]) -> Handler[Any]:
        """Return `inner` behind this cache."""

        async def cached(context: Context) -> Any:
            call: Call = context.call
            passing = _passes(context, call)
            if passing is None:
                return await self._read(context, inner)
            if call.method in SAFE_METHODS:
                return self._passed(await inner(context), passing)
            return await self._write(context, inner)

        return cached

    async def _read(self, context: Context, inner: Handler[Any]) -> Response:
        call: Call = context.call
        read = await self._shelf.look_up(context)
        if read.entry is not None:
            decision = decide(read.entry, read.wanted, self._clock(), self.options)
            if decision.use is not Use.VALIDATE:
                return self._hit(read, read.entry, decision, inner)
            read.reason = decision.reason
        if "only-if-cached" in read.wanted:
            return cache_status.gateway_timeout(self.options.name, call.target)
        return await self._shared(read, inner)

    def _hit(self, read: Read, entry: Entry, decision: Decision, inner: Handler[Any]) -> Response:
        if decision.use is Use.REFRESH:
            self._refreshing.start(f"{read.resource} {read.partition}", lambda: self._refreshed(read, inner))
        detail = "" if decision.use is Use.FRESH else decision.use.value
        status = cache_status.hit(self.options.name, decision, detail=detail)
        self._tell("hit", decision.age)
        return self._from_store(read, entry, status, decision.age)

    def _from_store(self, read: Read, entry: Entry, status: str, age: float) -> Response:
        took = asyncio.get_running_loop().time() - read.call.started
        return cache_status.answer(entry, read.call.headers, read.call.method, age=age, status=status, elapsed=took)

    async def _refreshed(self, read: Read, inner: Handler[Any]) -> None:
        """Ask the service anew, with as much time as the call that noticed the need had."""
        now = asyncio.get_running_loop().time()
        context = read.context.fork()
        context.deadline = now + (read.context.deadline - read.call.started)
        headers = unconditional(read.call.headers)
        context.call = replace(read.call, started=now, method="GET", headers=headers, sent=0)
        again = Read(context, read.resource, read.partition, read.wanted)
        again.entry, again.reason = read.entry, "stale"
        await self.flight.run(self._key(again.call), lambda: self._fetch(again, inner))

    async def _shared(self, read: Read, inner: Handler[Any]) -> Response:
        own = False

        async def fetch() -> Response:
            nonlocal own
            own = True
            return await self._fetch(read, inner)

        timer = asyncio.timeout_at(self._latest(read))
        try:
            async with timer:
                response = await self.flight.run(self._key(read.call), fetch)
        except TimeoutError:
            if not timer.expired():
                raise
            return self._stand_in(read, None)
        except (Failed, Refused) as error:
            if isinstance(error, _NEVER_COVERED) or not self._shelf.may_stand_in(read, unreachable=True):
                raise
            return self._stand_in(read, None)
        return response if own else cache_status.collapsed(response)

    def _latest(self, read: Read) -> float | None:
        """Return when to stop waiting for the service, where a stored response can stand in before the deadline."""
        deadline = read.context.deadline
        if deadline == math.inf or not self._shelf.may_stand_in(read, unreachable=True):
            return None
        left = deadline - asyncio.get_running_loop().time()
        return deadline - min(_RESERVE, left / 10)

    def _key(self, call: Call) -> str:
        """Return what makes two calls equal: all that is sent, and that no write has ended between them."""
        body = call.body if isinstance(call.body, bytes) else b""
        fields = sorted((name.lower(), value) for name, value in call.headers.pairs)
        text = repr((self._shelf.writes, call.method, call.target, fields)).encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text + b"\0" + body, digest_size=20).hexdigest()

    async def _fetch(self, read: Read, inner: Handler[Any]) -> Response:
        with self._shelf.under_way(read):
            return await self._sent(read, inner)

    async def _sent(self, read: Read, inner: Handler[Any]) -> Response:
        call, entry = read.call, read.entry
        requested_at = self._clock()
        if entry is None or call.method != "GET" or not has_validator(entry):
            return await self._received(read, await _ask(read, call.headers, inner), requested_at)
        response = await _ask(read, conditional(call.headers, entry), inner)
        if response.status != 304:
            return await self._received(read, response, requested_at)
        if confirms(entry, response.headers):
            return await self._confirmed(read, entry, response, requested_at)
        # The origin confirms something that is not stored here, so nothing stored may answer (RFC 9111 §4.3.4).
        requested_at = self._clock()
        return await self._received(read, await _ask(read, unconditional(call.headers), inner), requested_at)

    async def _confirmed(self, read: Read, entry: Entry, response: Response, requested_at: float) -> Response:
        fresh, stored = await self._shelf.confirm(read, entry, response.headers, requested_at)
        status = cache_status.forwarded(self.options.name, read.reason, status=304, stored=stored)
        self._tell("validated", fresh.initial_age)
        answer = self._from_store(read, fresh, status, fresh.initial_age)
        return replace(answer, attempts=response.attempts, elapsed=response.elapsed)

    async def _received(self, read: Read, response: Response, requested_at: float) -> Response:
        if response.status in ERROR_STATUSES and self._shelf.may_stand_in(read, unreachable=False):
            return self._stand_in(read, response)
        stored = False
        if read.call.method == "HEAD":
            await self._shelf.after_head(read, response, requested_at)
        elif response.status != 304:
            stored = await self._shelf.keep(read, response, requested_at)
        self._tell("miss")
        status = cache_status.forwarded(self.options.name, read.reason, stored=stored)
        return replace(response, headers=cache_status.marked(response.headers, status))

    def _stand_in(self, read: Read, response: Response | None) -> Response:
        assert read.entry is not None  # noqa: S101  # checked by `may_stand_in`; tells the type checker
        age = age_of(read.entry, self._clock())
        told = None if response is None else response.status
        status = cache_status.forwarded(self.options.name, read.reason, status=told, detail="stale-if-error")
        self._tell("stood-in", age)
        answer = self._from_store(read, read.entry, status, age)
        return answer if response is None else replace(answer, attempts=response.attempts)

    async def _write(self, context: Context, inner: Handler[Any]) -> Any:
        call: Call = context.call
        try:
            response = await self._written(context, inner)
        except Refused:
            raise  # Nothing was sent.
        except BaseException:
            # Whether the write was applied is unknown, so what is stored is doubtful.
            await self._shelf.invalidate((call.target,))
            raise
        if response.status < 400:
            await self._shelf.invalidate(doubtful_targets(call.target, response.url, response.headers))
        if call.method == "POST" and isinstance(response, Response):
            await self._shelf.keep_posted(context, response)
        return self._passed(response, "method")

    async def _written(self, context: Context, inner: Handler[Any]) -> Any:
        call: Call = context.call
        body = call.body
        if not call.repeat.keyed or context.scope is not None or not (body is None or isinstance(body, bytes)):
            return await inner(context)
        return await self.flight.run(self._key(call), lambda: inner(context))

    def _passed(self, response: Any, reason: str) -> Any:
        self._tell("bypass")
        headers = cache_status.marked(response.headers, cache_status.forwarded(self.options.name, reason))
        if isinstance(response, StreamResponse):
            response.headers = headers
            return response
        return replace(response, headers=headers)

    def _tell(self, outcome: str, age: float | None = None) -> None:
        self._counts[outcome] += 1
        if self._listener is not None:
            self._listener.on_event(CacheUsed(name=self.name, outcome=outcome, age=age))

    async def forget(self, target: str) -> int:
        """Forget what is stored for a target and everything below it, and return how many responses that were."""
        return await self._shelf.forget(target)

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        options = self.options
        kind = "shared" if options.shared else "private"
        place = "memory" if options.path is None else str(options.path)
        limits = f"max_bytes={options.max_bytes} max_entry_bytes={options.max_entry_bytes}"
        return f"{self.name}: {kind} cache in {place}, {limits} stale_if_error={options.stale_if_error:g}"

    def statistics(self) -> CacheStatistics:
        """Return what became of the calls, and how full the store is."""
        counts = self._counts
        return CacheStatistics(
            hits=counts["hit"],
            validated=counts["validated"],
            stood_in=counts["stood-in"],
            misses=counts["miss"],
            bypassed=counts["bypass"],
            stored=self._shelf.stored,
            invalidated=self._shelf.invalidated,
            refreshing=self._refreshing.running,
            store=self._shelf.store.statistics(),
            flight=self.flight.statistics(),
        )

    async def aclose(self) -> None:
        """End what runs in the background; the store is its owner's business."""
        await self._refreshing.aclose()


def _passes(context: Context, call: Call) -> str | None:
    """Return why a call is neither answered from the store nor kept there, or `None`."""
    if call.method not in _READS:
        return "method"
    if context.scope is not None or call.body is not None or not PRECONDITIONS.isdisjoint(call.headers):
        return "bypass"
    return "request" if "no-store" in directives_of(call.headers) else None


async def _ask(read: Read, headers: Headers, inner: Handler[Any]) -> Response:
    """Send a read to the service with other fields; what is sent counts for the call that asked."""
    twin = read.context.fork()
    twin.call = call = replace(read.call, headers=headers, sent=0)
    twin.state = read.context.state
    try:
        response: Response = await inner(twin)
    finally:
        read.call.sent += call.sent
    return response
