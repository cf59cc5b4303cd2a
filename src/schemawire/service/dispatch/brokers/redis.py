"""Redis Streams through FastStream: a queue is a stream with one consumer group.

A message has one field, `message`, so that any client can write one with XADD. Two subscribers share the work: one
reads what is new, the other takes over what a reader left behind; Redis itself delivers nothing twice.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from schemawire.service.dispatch.brokers.letters import Handle, Letter, Subscription, Verdict, judge, settle

_QUIET = logging.getLogger("schemawire.broker")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False  # the link tells it once, in words of ours
GROUP = "schemawire"
FIELD = "message"
DATA_KEY = b"__data__"
"""Where the library looks for its own form of a message."""
BLOCK = 200
"""Milliseconds that a read waits for something new; a stop waits as long."""
LOOK_FOR_ABANDONED = 500
"""Milliseconds between two looks for what a reader left behind."""


class RedisStreams:
    """One connection to Redis.

    Args:
        url: `redis://HOST:PORT/DATABASE`.
        name: this process among all that listen.
    """

    system = "redis"

    def __init__(self, url: str, *, name: str) -> None:
        self._broker = RedisBroker(url, apply_types=False, logger=_QUIET)
        self._name = name
        self._client: Redis | None = None
        self._names: tuple[str, ...] = ()

    async def open(self, queues: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        """Connect, make the queues that are missing, and begin to listen."""
        for subscription in subscriptions:
            fresh = StreamSub(subscription.queue, group=GROUP, consumer=self._name, polling_interval=BLOCK)
            abandoned = StreamSub(
                subscription.queue,
                group=GROUP,
                consumer=self._name,
                polling_interval=LOOK_FOR_ABANDONED,
                min_idle_time=int(subscription.redeliver_after * 1000),
            )
            self._subscribe(fresh, subscription.handle, subscription.concurrency)
            self._subscribe(abandoned, subscription.handle, 1)
        self._client = await self._broker.connect()
        self._names = tuple(queues)
        for queue in queues:
            with suppress(ResponseError):  # it is there
                await self._client.xgroup_create(queue, GROUP, id="0", mkstream=True)
        await self._broker.start()

    def _subscribe(self, stream: StreamSub[Any], handle: Handle, concurrency: int) -> None:
        self._broker.subscriber(
            stream=stream,
            ack_policy=AckPolicy.MANUAL,
            parser=_unread,
            decoder=_as_it_is,
            no_reply=True,
            max_workers=concurrency,
        )(_receiver(handle))

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Put a message into a queue; the server has it when this returns, on disk as its own settings say."""
        if self._client is None:
            raise ConnectionError("not connected")
        await self._client.xadd(queue, dict[Any, Any]({**headers, FIELD: body}))

    async def check(self) -> None:
        """Raise unless the server answers and still has our queues."""
        if self._client is None:
            raise ConnectionError("not connected")
        for queue in self._names:
            await self._client.xinfo_consumers(queue, GROUP)

    async def close(self) -> None:
        """Stop listening and disconnect."""
        await self._broker.stop()


async def _unread(raw: Any, parse: Callable[[Any], Awaitable[Any]]) -> Any:
    """Let the library make a message of an entry without looking into it: what it cannot read it would never end."""
    parsed = await parse({**raw, "data": {DATA_KEY: b"{}"}})
    parsed.raw_message = raw
    return parsed


async def _as_it_is(message: StreamMessage[Any]) -> StreamMessage[Any]:
    return message


def _receiver(handle: Handle) -> Callable[[RedisStreamMessage], Awaitable[None]]:
    async def receive(message: RedisStreamMessage) -> None:
        verdict = await judge(handle, _letter_of(message.raw_message))
        if verdict is Verdict.DONE:  # otherwise it stays pending, and is taken over in a while
            await settle(_forget(message))

    return receive


async def _forget(message: RedisStreamMessage) -> None:
    await message.ack()
    await message.delete()


def _letter_of(raw: Any) -> Letter:
    fields = {name.decode("utf-8", "replace").lower(): value for name, value in raw["data"].items()}
    body = fields.pop(FIELD, b"")
    headers = {name: value.decode("utf-8", "replace") for name, value in fields.items()}
    return Letter(body=body, headers=headers, message_id=raw["message_ids"][0].decode())
