"""A connection to a broker that is made again for ever: watched, thrown away when it fails, and counted.

The libraries reconnect too, each in its own way and not from everything; a fresh connection is right in all cases.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar, cast
from urllib.parse import urlsplit

from schemawire.errors import ConfigurationInvalid, SchemawireError
from schemawire.service.dispatch.brokers.letters import Broker, Subscription
from schemawire.service.logs import log

T = TypeVar("T")

OPEN_TIMEOUT = 5.0
CHECK_INTERVAL = 1.0
CHECK_TIMEOUT = 3.0
CLOSE_TIMEOUT = 3.0
PUBLISH_TIMEOUT = 5.0
MAX_PUBLISHING = 32
"""Messages that are being published at once; one client opens a connection for each."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect at most; drawn inside a cap that doubles up to it."""

_BROKERS = {
    "nats": ("nats", "nats", "NatsJetStream"),
    "tls": ("nats", "nats", "NatsJetStream"),
    "amqp": ("rabbitmq", "rabbitmq", "RabbitMq"),
    "amqps": ("rabbitmq", "rabbitmq", "RabbitMq"),
    "redis": ("redis", "redis", "RedisStreams"),
    "rediss": ("redis", "redis", "RedisStreams"),
}
"""Scheme of an address → file, extra, class."""


class BrokerAway(SchemawireError):
    """The broker does not answer; what had to be published is published later."""

    code = "broker_away"
    retryable = True
    default_fix = (
        "Start the broker, or correct SCHEMAWIRE_BROKER_URL; operations run on through the database meanwhile."
    )


@dataclass(slots=True, kw_only=True)
class LinkStatistics:
    """What a link has done since its start."""

    is_connected: bool = False
    connections: int = 0
    failures: int = 0
    """Connections that were refused or lost."""
    published: int = 0
    failed_publishes: int = 0


def broker_class(url: str) -> Callable[..., Broker]:
    """Return what opens connections to a broker's address.

    Raises:
        ConfigurationInvalid: no broker has such an address, or its extra is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _BROKERS:
        raise ConfigurationInvalid(
            f"SCHEMAWIRE_BROKER_URL begins with {scheme[:20]!r}, which names no broker",
            fix="Use nats://HOST:4222, amqp://USER:PASSWORD@HOST:5672 or redis://HOST:6379.",
        )
    file, extra, name = _BROKERS[scheme]
    try:
        module = import_module(f"schemawire.service.dispatch.brokers.{file}")
    except ImportError as error:
        raise ConfigurationInvalid(
            f"the broker at a {scheme}:// address needs an extra that is not installed ({error.name})",
            fix=f'Run: pip install "schemawire[server,{extra}]"',
        ) from error
    return cast(Callable[..., Broker], getattr(module, name))


class BrokerLink:
    """Keeps one connection to a broker open.

    Invariants: `_broker` is set exactly while the connection is believed to be good; `_task` runs between `start` and
    `stop`.

    Args:
        url: the broker's address.
        name: this process among all that listen.
        queues: what is published to.
        subscriptions: what is listened to.

    Raises:
        ConfigurationInvalid: no broker has such an address, or its extra is not installed.
    """

    def __init__(
        self, url: str, *, name: str, queues: Sequence[str] = (), subscriptions: Sequence[Subscription] = ()
    ) -> None:
        self._make = broker_class(url)
        self._url = url
        self._name = name
        self._queues = tuple(dict.fromkeys([*queues, *(each.queue for each in subscriptions)]))
        self._subscriptions = tuple(subscriptions)
        self._broker: Broker | None = None
        self._task: asyncio.Task[None] | None = None
        self._doubt = asyncio.Event()
        self._counts = LinkStatistics()
        self._on_connect: list[Callable[[], None]] = []
        self._was_told = False
        self._slots = asyncio.Semaphore(MAX_PUBLISHING)

    @property
    def is_connected(self) -> bool:
        """Whether the broker answered a moment ago."""
        return self._broker is not None

    def statistics(self) -> LinkStatistics:
        """Return the counters as they are now."""
        self._counts.is_connected = self.is_connected
        return self._counts

    def on_connect(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after every new connection."""
        self._on_connect.append(tell)

    async def start(self) -> None:
        """Begin to connect, and return without waiting for it. Harmless when repeated."""
        if self._task is None:
            self._doubt = asyncio.Event()  # belongs to the loop of this start
            self._task = asyncio.create_task(self._run(), name="schemawire-broker-link")

    async def stop(self) -> None:
        """Disconnect. Harmless when repeated."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Put a message into a queue; it is the broker's to keep when this returns.

        Raises:
            BrokerAway: it is not connected, or did not take the message in time; the message may be there all the same.
        """
        broker = self._broker
        if broker is None:
            self._counts.failed_publishes += 1
            raise BrokerAway("the broker is not connected")
        try:
            async with self._slots, asyncio.timeout(PUBLISH_TIMEOUT):
                await _heeded(broker.publish(queue, body, headers or {}))
        except Exception as error:  # each library has its own kinds
            self._counts.failed_publishes += 1
            self._doubt.set()
            raise BrokerAway(f"the broker did not take a message: {type(error).__name__}") from error
        self._counts.published += 1

    async def _run(self) -> None:
        failures = 0
        while True:
            broker = self._make(self._url, name=self._name)
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    await _heeded(broker.open(self._queues, self._subscriptions))
                failures = 0
                self._connected(broker)
                await self._watch(broker)
            except Exception as error:  # whatever it is, the answer is a new connection
                self._lost(error)
            finally:
                self._broker = None
                await _close(broker)
            failures += 1
            most = min(LONGEST_PAUSE, 0.2 * 2.0 ** min(failures, 10))
            await asyncio.sleep(random.uniform(0.05, most))  # noqa: S311  # a wait is no secret

    def _connected(self, broker: Broker) -> None:
        self._broker = broker
        self._was_told = False
        self._counts.connections += 1
        log.info("broker connected", system=broker.system)
        for tell in self._on_connect:
            tell()

    def _lost(self, error: Exception) -> None:
        self._counts.failures += 1
        if not self._was_told:  # once, not at every attempt
            self._was_told = True
            log.warning("broker away", reason=f"{type(error).__name__}: {str(error)[:200]}")

    async def _watch(self, broker: Broker) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._doubt.wait()
            self._doubt.clear()
            async with asyncio.timeout(CHECK_TIMEOUT):
                await _heeded(broker.check())


async def _close(broker: Broker) -> None:
    with suppress(Exception):  # it is thrown away, in whatever state it is
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await _heeded(broker.close())


async def _heeded(work: Awaitable[T]) -> T:
    """Await what a library does; its own cancelled futures are lost connections, and no reason for our task to end."""
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the connection was closed") from None
