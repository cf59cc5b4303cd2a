"""Sees to it that writes go to one store alone, however many endpoints there are; knows no meaning of a store."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from schemawire.errors import ConfigurationInvalid, StoresDiffer
from schemawire.resilience.call import Context, Handler
from schemawire.transport.attempt import Call
from schemawire.transport.message import Headers, Request, is_token
from schemawire.transport.options import TimeoutConfig
from schemawire.transport.verdict import SAFE_METHODS
from schemawire.transport.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class OneStoreConfig:
    """How an endpoint tells which store it writes to.

    Args:
        header: the field of its responses that names the store.
        path: what an endpoint is asked for before its first write, where no response has told yet; from `/`.

    Raises:
        ConfigurationInvalid: `header` is no name of a field, or `path` does not begin with `/`.
    """

    header: str = "X-Store-ID"
    path: str = "/"

    def __post_init__(self) -> None:
        if not is_token(self.header) or not self.path.startswith("/"):
            raise ConfigurationInvalid(
                f"OneStoreConfig(header={self.header!r}, path={self.path!r}) names no field or no path",
                fix="Write them like X-Store-ID and /health/live.",
            )


class OneStore:
    """Refuses writes while endpoints are known to write to different stores.

    Two endpoints with a file each look like one service and are two: writes spread over them are lost to whoever reads
    from the other. So an endpoint is asked for its store before its first write, and from the moment that two differ no
    write is sent to any. Reads are never refused, and one endpoint alone is never asked.

    Args:
        options: how a store is named.
        endpoints: returns the endpoints that there are now.
        wire: asks an endpoint.
        timeouts: the limits of asking.
    """

    # Invariant: `_stores` holds what each endpoint said last; an empty text says that it names no store.

    def __init__(
        self, options: OneStoreConfig, *, endpoints: Callable[[], Iterable[Any]], wire: Wire, timeouts: TimeoutConfig
    ) -> None:
        self._options = options
        self._endpoints = endpoints
        self._wire = wire
        self._timeouts = timeouts
        self._stores: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def bind(self, inner: Handler[Any]) -> Handler[Any]:
        """Return `inner`, the attempt itself, behind this check.

        Raises:
            StoresDiffer: the call may write, and endpoints write to different stores.

        *Cancelled:* nothing is learned.
        """
        header = self._options.header

        async def checked(context: Context) -> Any:
            endpoint, call = context.endpoint, context.call
            if call.method not in SAFE_METHODS:
                await self._require_one(endpoint, call)
            result = await inner(context)
            found = result.headers.get(header)
            if found is not None:
                self._stores[endpoint] = found
            return result

        return checked

    async def _require_one(self, endpoint: Any, call: Call) -> None:
        present = list(self._endpoints())
        if len(present) < 2:
            return
        if endpoint not in self._stores:
            self._stores[endpoint] = await self._asked(endpoint)
        named = {each.url: self._stores[each] for each in present if self._stores.get(each)}
        if len(set(named.values())) > 1:
            stores = ", ".join(f"{url}: {store}" for url, store in sorted(named.items()))
            raise StoresDiffer(f"{call.method} {call.target.partition('?')[0]} was not sent: {stores}")

    async def _asked(self, endpoint: Any) -> str:
        authority = endpoint.place.authority
        request = Request(
            method="GET",
            url=endpoint.url + self._options.path,
            headers=Headers({"Host": authority} if authority else ()),
            whole=True,
        )
        connect, read = self._timeouts.connect, self._timeouts.read
        reply = await self._wire.send(request, connect_timeout=connect, read_timeout=read)
        try:
            return reply.headers.get(self._options.header, "")
        finally:
            if reply.arrived() is None:
                async with asyncio.timeout(read):
                    await reply.aclose()
