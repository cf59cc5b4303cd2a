"""A broker's queue as an engine: an announcement for each operation, taken by one worker with a free hand.

What must be announced stands in the outbox, written with the operation itself; it is published after the commit and,
if this process dies in between, by another one a little later. An announcement too many is harmless, one too few is
found by polling.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from schemawire.service.dispatch.brokers import BrokerLink, Letter, Subscription, Verdict
from schemawire.service.dispatch.brokers.link import BrokerAway, broker_class
from schemawire.service.dispatch.engine import Ears, EngineStatistics
from schemawire.service.logs import log
from schemawire.service.operations import Operation
from schemawire.service.store.outbox import forget_announced, note_in_outbox, unannounced
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store
from schemawire.telemetry.work_spans import WorkSpans, carried_headers

REDELIVER_AFTER = 5.0
"""Seconds after which an announcement whose reader has gone silent is given to another one."""
GRACE = 5.0
"""Seconds after which an announcement that its own process did not make is made by another one."""
SWEEP_INTERVAL = 2.0
PORTION = 200
MAX_FRESH = 10_000
"""Announcements that wait in memory; the rest are found in the outbox."""


class BrokerQueue:
    """Announces operations through a broker.

    Args:
        url: the broker's address.
        store: where the outbox is.
        name: this process among all that share the store.
        grace: seconds after which another process announces what its own process did not.
        clock: seconds since 1970-01-01 UTC.

    Raises:
        ConfigurationInvalid: no broker has such an address, or its extra is not installed.
    """

    name = "broker"
    poll_interval = 5.0

    def __init__(
        self, url: str, store: Store, *, name: str, grace: float = GRACE, clock: Callable[[], float] = time.time
    ) -> None:
        broker_class(url)  # refuse now what can never be opened
        self._url = url
        self._store = store
        self._name = name
        self._grace = grace
        self._clock = clock
        self.spans = WorkSpans()
        self._system = url.partition(":")[0]
        self._fresh: deque[_Announcement] = deque(maxlen=MAX_FRESH)
        self._news = asyncio.Event()
        self._link: BrokerLink | None = None
        self._relay: asyncio.Task[None] | None = None
        self._ears: Ears | None = None
        self._queue = ""
        self._heard = 0

    def note(self, conn: Connection, operation: Operation) -> None:
        """Put the operation into the outbox, in the transaction that submits it."""
        note_in_outbox(conn, operation.operation_id, now=self._clock())

    async def start(self, ears: Ears | None) -> None:
        """Begin to connect, to announce, and to listen if there are ears. Harmless when repeated."""
        if self._link is not None:
            return
        self._ears = ears
        self._queue = f"schemawire.{self._store.store_id[:12]}.operations"  # stores that share a broker do not mix
        listens = [
            Subscription(queue=self._queue, handle=self._receive, concurrency=2, redeliver_after=REDELIVER_AFTER)
        ]
        self._link = BrokerLink(
            self._url, name=self._name, queues=[self._queue], subscriptions=[] if ears is None else listens
        )
        self._news = asyncio.Event()
        self._link.on_connect(self._news.set)
        await self._link.start()
        self._relay = asyncio.create_task(self._keep_announcing(), name="schemawire-outbox")

    async def stop_listening(self) -> None:
        """Leave what arrives to others."""
        self._ears = None

    async def stop(self) -> None:
        """Announce what is left if that is quick, and disconnect. Harmless when repeated."""
        relay, self._relay = self._relay, None
        link, self._link = self._link, None
        if relay is not None:
            relay.cancel()
            await asyncio.wait([relay])
        if link is not None:
            await self._announce_last(link)
            await link.stop()

    def announce(self, operation_id: str) -> None:
        """Publish the announcement soon."""
        self._fresh.append((operation_id, carried_headers()))
        self._news.set()

    def announce_cancelled(self, operation_id: str) -> None:
        """Do nothing: its worker finds out when it renews its lease, and can commit nothing before."""

    def statistics(self) -> EngineStatistics:
        """Return the counters as they are now."""
        link = None if self._link is None else self._link.statistics()
        return EngineStatistics(
            is_connected=link is not None and link.is_connected,
            announced=0 if link is None else link.published,
            heard=self._heard,
            failures=0 if link is None else link.failures + link.failed_publishes,
        )

    async def _receive(self, letter: Letter) -> Verdict:
        self._heard += 1
        ears = self._ears
        if ears is None:
            return Verdict.AGAIN
        if letter.headers.get("traceparent"):
            with self.spans.process(self._queue, letter.headers, system=self._system):
                return Verdict.DONE if await ears.work() else Verdict.AGAIN
        return Verdict.DONE if await ears.work() else Verdict.AGAIN

    async def _keep_announcing(self) -> None:
        swept = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(SWEEP_INTERVAL, self._grace)):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._announce_fresh()
                if time.monotonic() - swept >= min(SWEEP_INTERVAL, self._grace):
                    await self._announce_stale()
                    swept = time.monotonic()
            except BrokerAway:
                continue  # the link tells and counts it; the rows stay
            except StoreError as error:
                log.warning("outbox cannot be read", code=error.code, reason=error.message)

    async def _announce_fresh(self) -> None:
        while self._fresh and self._link is not None and self._link.is_connected:
            portion = [self._fresh.popleft() for _ in range(min(PORTION, len(self._fresh)))]
            await self._publish(self._link, portion)

    async def _announce_stale(self) -> None:
        while self._link is not None and self._link.is_connected:
            before = self._clock() - self._grace
            waiting, ended = await self._store.read(partial(unannounced, before=before, limit=PORTION))
            if ended:
                await self._store.write(partial(forget_announced, operation_ids=ended))
            await self._publish(self._link, [(operation_id, {}) for operation_id in waiting])
            if len(waiting) + len(ended) < PORTION:
                return

    async def _announce_last(self, link: BrokerLink) -> None:
        with suppress(BrokerAway, StoreError, TimeoutError):
            async with asyncio.timeout(1.0):
                if self._fresh and link.is_connected:
                    await self._publish(link, list(self._fresh))

    async def _publish(self, link: BrokerLink, announcements: "Sequence[_Announcement]") -> None:
        if not announcements:
            return
        sending = [self._send(link, operation_id, cause) for operation_id, cause in announcements]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        told = [each for (each, _), outcome in zip(announcements, outcomes, strict=True) if outcome is None]
        if told:
            await self._store.write(partial(forget_announced, operation_ids=told))
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _send(self, link: BrokerLink, operation_id: str, cause: Mapping[str, str]) -> None:
        if not cause:
            await link.publish(self._queue, _letter(operation_id))
            return
        headers: dict[str, str] = {}
        with self.spans.send(self._queue, headers, system=self._system, caused_by=cause):
            await link.publish(self._queue, _letter(operation_id), headers)


_Announcement = tuple[str, Mapping[str, str]]
"""An operation's id, and the trace context of what announced it; empty where nobody knows it any more."""


def _letter(operation_id: str) -> bytes:
    return json.dumps({"operationId": operation_id}).encode()
