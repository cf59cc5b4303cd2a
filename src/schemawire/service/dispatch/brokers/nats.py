"""NATS JetStream through FastStream: a queue is a stream on disk with one durable pull consumer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy as WireAckPolicy
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from schemawire.service.dispatch.brokers.letters import (
    DEAD_SUFFIX,
    REDELIVERY_PAUSE,
    Handle,
    Letter,
    Subscription,
    Verdict,
    judge,
    settle,
)

RECONNECT_PAUSE = 1
STOP_TIMEOUT = 1.0
GROUP = "schemawire"
"""The consumer that all readers of a queue share."""


class NatsJetStream:
    """One connection to NATS.

    Args:
        url: `nats://HOST:PORT`, with user and password where they are needed.
        name: this process among all that listen.
    """

    system = "nats"

    def __init__(self, url: str, *, name: str) -> None:
        # It must never count as closed while it is listened to: the library's reader would turn without a pause then.
        self._broker = NatsBroker(
            url,
            name=name,
            apply_types=False,
            logger=None,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_PAUSE,
            error_cb=_keep_quiet,
        )
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._consumed: list[str] = []
        self._names: tuple[str, ...] = ()

    async def open(self, queues: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        """Connect, make the queues that are missing, and begin to listen."""
        for subscription in subscriptions:
            self._subscribe(subscription)
        self._client = await self._broker.connect()
        self._stream = self._client.jetstream()
        self._names = tuple(queues)
        for queue in queues:
            await _declare(self._stream, queue)
        for subscription in subscriptions:
            await _declare_consumer(self._stream, subscription)
        await self._broker.start()

    def _subscribe(self, subscription: Subscription) -> None:
        self._consumed.append(subscription.queue)
        self._broker.subscriber(
            subscription.queue,
            stream=JStream(_stream_of(subscription.queue), declare=False),
            durable=GROUP,
            pull_sub=PullSub(batch_size=subscription.concurrency, timeout=1.0),
            ack_policy=AckPolicy.MANUAL,
            decoder=_as_it_is,
            no_reply=True,
        )(_receiver(subscription.handle))

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Put a message into a queue; it is on the server's disk when this returns."""
        await self._broker.publish(body, queue, headers=dict(headers), stream=_stream_of(queue))

    async def check(self) -> None:
        """Raise unless the server answers and still has our queues."""
        if self._client is None or self._stream is None or not self._client.is_connected:
            raise ConnectionError("not connected")
        for queue in self._names:
            if queue in self._consumed:
                await self._stream.consumer_info(_stream_of(queue), GROUP)
            else:
                await self._stream.stream_info(_stream_of(queue))

    async def close(self) -> None:
        """Stop listening and disconnect."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._broker.stop()
        finally:
            if self._client is not None:
                await self._client.close()


def _stream_of(queue: str) -> str:
    return queue.replace(".", "-")  # a dot separates subjects and is refused in a stream's name


async def _declare(stream: JetStreamContext, queue: str) -> None:
    try:
        await stream.stream_info(_stream_of(queue))
    except NotFoundError:
        # What was looked at is deleted, except where nobody of ours ever looks.
        kept = RetentionPolicy.LIMITS if queue.endswith(DEAD_SUFFIX) else RetentionPolicy.WORK_QUEUE
        config = StreamConfig(name=_stream_of(queue), subjects=[queue], retention=kept, storage=StorageType.FILE)
        await stream.add_stream(config)


async def _declare_consumer(stream: JetStreamContext, subscription: Subscription) -> None:
    await stream.add_consumer(
        _stream_of(subscription.queue),
        ConsumerConfig(
            durable_name=GROUP, ack_policy=WireAckPolicy.EXPLICIT, ack_wait=subscription.redeliver_after, max_deliver=-1
        ),
    )


async def _keep_quiet(_: Exception) -> None:
    return  # the link tells it once, in words of ours


async def _as_it_is(message: StreamMessage[Msg]) -> StreamMessage[Msg]:
    return message


def _receiver(handle: Handle) -> Callable[[NatsMessage], Awaitable[None]]:
    async def receive(message: NatsMessage) -> None:
        verdict = await judge(handle, _letter_of(message))
        if verdict is Verdict.DONE:
            await settle(message.ack())
        else:
            await settle(message.nack(delay=REDELIVERY_PAUSE))

    return receive


def _letter_of(message: NatsMessage) -> Letter:
    headers = {name.lower(): str(value) for name, value in (message.raw_message.headers or {}).items()}
    return Letter(body=message.raw_message.data, headers=headers, message_id=headers.get("nats-msg-id"))
