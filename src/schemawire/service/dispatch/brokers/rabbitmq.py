"""RabbitMQ through FastStream: a queue is a durable queue, written with publisher confirms."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aio_pika import IncomingMessage
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from schemawire.service.dispatch.brokers.letters import (
    REDELIVERY_PAUSE,
    Handle,
    Letter,
    Subscription,
    Verdict,
    judge,
    settle,
)


class RabbitMq:
    """One connection to RabbitMQ.

    Args:
        url: `amqp://USER:PASSWORD@HOST:PORT/VHOST`.
        name: this process among all that listen.
    """

    system = "rabbitmq"

    def __init__(self, url: str, *, name: str) -> None:
        self._broker = RabbitBroker(url, app_id=name, apply_types=False, logger=None)
        self._queues: dict[str, RabbitQueue] = {}

    async def open(self, queues: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        """Connect, make the queues that are missing, and begin to listen."""
        self._queues = {queue: RabbitQueue(queue, durable=True) for queue in queues}
        for subscription in subscriptions:
            self._broker.subscriber(
                self._queues[subscription.queue],
                channel=Channel(prefetch_count=subscription.concurrency),
                ack_policy=AckPolicy.MANUAL,
                decoder=_as_it_is,
                no_reply=True,
            )(_receiver(subscription.handle))
        await self._broker.connect()
        for queue in self._queues.values():
            await self._broker.declare_queue(queue)
        await self._broker.start()

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Put a message into a queue; the server has confirmed it when this returns."""
        await self._broker.publish(body, queue=queue, headers=dict(headers), persist=True, mandatory=True)

    async def check(self) -> None:
        """Raise unless the server answers and still has our queues."""
        if not await self._broker.ping(timeout=0.1):
            raise ConnectionError("not connected")

    async def close(self) -> None:
        """Stop listening and disconnect."""
        await self._broker.stop()


async def _as_it_is(message: StreamMessage[IncomingMessage]) -> StreamMessage[IncomingMessage]:
    return message


def _receiver(handle: Handle) -> Callable[[RabbitMessage], Awaitable[None]]:
    async def receive(message: RabbitMessage) -> None:
        verdict = await judge(handle, _letter_of(message.raw_message))
        if verdict is Verdict.DONE:
            await settle(message.ack())
        else:
            await asyncio.sleep(REDELIVERY_PAUSE)  # the server delivers it again at once
            await settle(message.nack(requeue=True))

    return receive


def _letter_of(raw: IncomingMessage) -> Letter:
    headers = {str(name).lower(): _text(value) for name, value in raw.headers.items()}
    return Letter(body=raw.body, headers=headers, message_id=raw.message_id or None)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
