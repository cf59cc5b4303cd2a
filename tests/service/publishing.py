"""Publishes and reads messages as other systems do: with each broker's own client, and nothing of ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aio_pika
import nats
import redis.asyncio


class Mailbox(Protocol):
    """A broker as another system sees it."""

    async def send(self, queue: str, body: bytes, headers: Mapping[str, str], message_id: str | None = None) -> None:
        """Publish a message."""

    async def take(self, queue: str) -> bytes:
        """Wait for a message, and take it."""


class _Nats:
    def __init__(self, client: Any) -> None:
        self._stream = client.jetstream()
        self._readers: dict[str, Any] = {}

    async def send(self, queue: str, body: bytes, headers: Mapping[str, str], message_id: str | None = None) -> None:
        more = {} if message_id is None else {"Nats-Msg-Id": message_id}
        await self._stream.publish(queue, body, headers={**headers, **more} or None)

    async def take(self, queue: str) -> bytes:
        if queue not in self._readers:
            self._readers[queue] = await self._stream.pull_subscribe(
                queue, durable="other", stream=queue.replace(".", "-")
            )
        (message,) = await self._readers[queue].fetch(1, timeout=15)
        await message.ack()
        return bytes(message.data)


class _Rabbit:
    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def send(self, queue: str, body: bytes, headers: Mapping[str, str], message_id: str | None = None) -> None:
        message = aio_pika.Message(body, headers=dict(headers), message_id=message_id)
        await self._channel.default_exchange.publish(message, routing_key=queue)

    async def take(self, queue: str) -> bytes:
        found = await self._channel.get_queue(queue)
        while (message := await found.get(fail=False)) is None:  # noqa: ASYNC110  # it is polled
            await asyncio.sleep(0.02)
        await message.ack()
        return bytes(message.body)


class _Redis:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._last: dict[str, Any] = {}

    async def send(self, queue: str, body: bytes, headers: Mapping[str, str], message_id: str | None = None) -> None:
        await self._client.xadd(queue, {"message": body, **headers})  # an entry always has an id of its own

    async def take(self, queue: str) -> bytes:
        while not (found := await self._client.xread({queue: self._last.get(queue, "0")}, count=1)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        ((_, ((entry, fields),)),) = found
        self._last[queue] = entry
        return bytes(fields[b"message"])


@asynccontextmanager
async def mailbox(kind: str, url: str) -> AsyncIterator[Mailbox]:
    """Connect to a broker."""
    if kind == "nats":
        client = await nats.connect(url)
        try:
            yield _Nats(client)
        finally:
            await client.close()
    elif kind == "rabbitmq":
        async with await aio_pika.connect(url) as connection:
            yield _Rabbit(await connection.channel())
    else:
        opened = redis.asyncio.Redis.from_url(url)
        try:
            yield _Redis(opened)
        finally:
            await opened.aclose()
