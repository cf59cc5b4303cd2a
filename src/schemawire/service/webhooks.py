"""Sends the webhook calls that are owed, until each was accepted or is given up; the rows are the truth.

A call is made at least once: a process that dies after the answer and before its note makes it again, with the same
id. The only file of the service that sends requests of its own.
"""

import asyncio
import random
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, urlsplit

from schemawire._version import __version__
from schemawire.errors import SchemawireError
from schemawire.protocol.webhooks import WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign_webhook
from schemawire.service.logs import log
from schemawire.service.refusals import RequestRefused
from schemawire.service.store.deliveries import (
    ABANDONED,
    DELIVERED,
    Delivery,
    claim_deliveries,
    end_delivery,
    next_delivery,
    postpone_delivery,
)
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store
from schemawire.service.webhook_policy import WebhookPolicy
from schemawire.transport import Client, PoolConfig

AT_ONCE = 8
MAX_CLIENTS = 64
GONE = 410
"""The receiver never wants to be called again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """How calls are made."""

    timeout: float = 10.0
    """Seconds that a receiver has to answer."""
    first_pause: float = 2.0
    """Seconds before the second attempt at most; doubling with each further one."""
    longest_pause: float = 4 * 3600.0
    max_attempts: int = 17
    """About two days, drawn pauses included."""
    poll_interval: float = 1.0


@dataclass(slots=True, kw_only=True)
class WebhookStatistics:
    """What became of the calls since the start."""

    delivered: int = 0
    failed_attempts: int = 0
    abandoned: int = 0


class WebhookSender:
    """Sends what is owed.

    Args:
        store: where the owed calls are; started before this, and closed after it.
        policy: where calls may go, and how they are signed.
        options: how calls are made.
        clock: seconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        store: Store,
        policy: WebhookPolicy,
        *,
        options: WebhookOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.statistics = WebhookStatistics()
        self._store = store
        self._policy = policy
        self._options = options or WebhookOptions()
        self._clock = clock
        self._wake = asyncio.Event()
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send. Harmless when repeated."""
        if self._task is None:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="schemawire-webhooks")

    async def stop(self) -> None:
        """Send nothing more; what is on its way is sent again by whoever is next."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        clients, self._clients = list(self._clients.values()), OrderedDict()
        for client in clients:
            await client.aclose()

    def wake(self) -> None:
        """Look for calls now, because an operation has just ended."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                rest = await self._send_due()
            except StoreError as error:
                log.warning("webhooks cannot be read", code=error.code, reason=error.message)
                rest = self._options.poll_interval
            await self._rest(rest)

    async def _rest(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def _send_due(self) -> float:
        now = self._clock()
        due = await self._store.read(next_delivery)
        if due is None or due > now:
            return min(self._options.poll_interval, due - now if due is not None else self._options.poll_interval)
        lease = 3 * self._options.timeout
        claimed = await self._store.write(partial(claim_deliveries, now=now, lease=lease, limit=AT_ONCE))
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._deliver(delivery))
        return 0.0 if claimed else self._options.poll_interval

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            status, wait = await self._call(delivery)
        except RequestRefused as refusal:
            await self._end(delivery, ABANDONED, refusal.message)
            return
        except (SchemawireError, OSError) as error:
            reason = error.code if isinstance(error, SchemawireError) else type(error).__name__
            await self._postpone(delivery, reason, getattr(error, "retry_after", None))
            return
        except Exception as error:  # whatever it is, the other calls must go on
            log.error("webhook could not be called", delivery=delivery.delivery_id, exc_info=error)
            await self._postpone(delivery, type(error).__name__, None)
            return
        if 200 <= status < 300:
            await self._end(delivery, DELIVERED, None)
        elif status == GONE:
            await self._end(delivery, ABANDONED, "the receiver answered 410: it does not want to be called again")
        else:
            await self._postpone(delivery, f"the receiver answered {status}", wait)

    async def _call(self, delivery: Delivery) -> tuple[int, float | None]:
        """Return the receiver's status, and how long it wants to be left alone."""
        self._policy.check(delivery.url)  # the list may have changed since the submission
        parts = urlsplit(delivery.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        self._policy.check_addresses(str(place[4][0]) for place in found)
        timestamp = int(self._clock())
        response = await self._client(f"{parts.scheme}://{parts.netloc}").request(
            "POST",
            parts.path or "/",
            params=parse_qsl(parts.query, keep_blank_values=True),
            body=delivery.body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"schemawire/{__version__}",
                WEBHOOK_ID: delivery.delivery_id,
                WEBHOOK_TIMESTAMP: str(timestamp),
                WEBHOOK_SIGNATURE: sign_webhook(self._policy.secrets, delivery.delivery_id, timestamp, delivery.body),
            },
            deadline=self._options.timeout,
        )
        asked = response.headers.get("retry-after", "")
        return response.status, float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else None

    def _client(self, origin: str) -> Client:
        """Return the client of one receiver; its retries are the rows, which outlive this process."""
        client = self._clients.pop(origin, None)
        if client is None:
            pool = PoolConfig(max_connections=AT_ONCE)
            client = Client(origin, retry=None, pool=pool, max_body_bytes=64 * 1024, name="webhook")
        self._clients[origin] = client
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)  # harmless to leave unclosed, and it may be in use
        return client

    async def _end(self, delivery: Delivery, state: str, error: str | None) -> None:
        if state == DELIVERED:
            self.statistics.delivered += 1
        else:
            self.statistics.abandoned += 1
            self._tell("webhook given up", delivery, error)
        end = partial(end_delivery, delivery_id=delivery.delivery_id, state=state, error=error, now=self._clock())
        await self._store.write(end)

    async def _postpone(self, delivery: Delivery, reason: str, at_least: float | None) -> None:
        self.statistics.failed_attempts += 1
        attempts = delivery.attempts + 1
        if attempts >= self._options.max_attempts:
            await self._end(delivery, ABANDONED, f"given up after {attempts} attempts: {reason}")
            return
        cap = min(self._options.longest_pause, self._options.first_pause * 2.0 ** min(attempts - 1, 32))
        pause = max(random.uniform(cap / 2, cap), at_least or 0.0)  # noqa: S311  # a wait is no secret
        self._tell("webhook failed", delivery, reason)
        due_at = self._clock() + pause
        await self._store.write(
            partial(postpone_delivery, delivery_id=delivery.delivery_id, due_at=due_at, error=reason)
        )

    def _tell(self, what: str, delivery: Delivery, reason: str | None) -> None:
        host = urlsplit(delivery.url).hostname  # the rest of the URL may hold a secret of the receiver's
        log.warning(what, host=host, delivery=delivery.delivery_id, operation=delivery.operation_id, reason=reason)
