"""Places from etcd: every key below a prefix is one; speaks the v3 JSON gateway and nothing else."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from schemawire.errors import BadReply, ConfigurationInvalid, ConnectFailed
from schemawire.transport.address import parse_addresses
from schemawire.transport.discovery.link import RegistryLink, number_in, rest, secret_in
from schemawire.transport.discovery.place import Listing, listing_of
from schemawire.transport.options import TlsConfig

RESYNC = 60.0
"""Seconds of silence after which the whole prefix is read anew: a dead connection looks like one on which nothing
happens."""


class EtcdDiscovery:
    """Watches a prefix: each value below it is an address, `{"url": …}` or `{"Addr": "host:port"}`.

    It reads the prefix once and then follows the changes from that revision on, so nothing between the two is missed.

    Args:
        addresses: base URLs of the cluster's members; the next is asked when one cannot be reached.
        prefix: such as `/services/backend/`, not empty.
        tls: whom to trust on `https`, and who we are.
        resync: seconds of silence after which everything is read anew, above 0.
        credentials_file: a file that holds `user:password`, where the cluster asks who we are.

    Raises:
        ConfigurationInvalid: an address is malformed, or `prefix` is empty.
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        prefix: str,
        *,
        tls: TlsConfig | None = None,
        resync: float = RESYNC,
        credentials_file: str = "",
    ) -> None:
        if not prefix or not resync > 0:
            raise ConfigurationInvalid(f"etcd discovery needs a key prefix, not {prefix!r}, and a resync time above 0")
        self._urls = parse_addresses(addresses)
        self._key = prefix.encode()
        self._tls = tls
        self._resync = resync
        self._credentials_file = credentials_file
        self.name = f"etcd:{prefix}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the prefix's places now and after each change; see `Discovery.watch`."""
        link = RegistryLink(self._urls, tls=self._tls)
        async with aclosing(link), aclosing(self._followed(link)) as listings:
            async for listing in listings:
                yield listing

    async def _followed(self, link: RegistryLink) -> AsyncGenerator[Listing, None]:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await self._sign_in(link)
            revision, values = await self._range(link)
            yield await asyncio.to_thread(_listing, values)
            async with aclosing(self._changes(link, revision + 1, values)) as changes:
                async for _ in changes:
                    yield await asyncio.to_thread(_listing, values)
            await rest(began)

    async def _sign_in(self, link: RegistryLink) -> None:
        """Get a token for name and password; it lasts for minutes, so each look at the whole prefix gets a new one."""
        if not self._credentials_file:
            return
        name, colon, password = (await asyncio.to_thread(secret_in, self._credentials_file)).partition(":")
        if not colon:
            raise ConnectFailed(f"The file {self._credentials_file!r} does not hold user:password")
        link.token = ""
        reply, _ = await link.ask("POST", "/v3/auth/authenticate", {"name": name, "password": password})
        match reply:
            case {"token": str() as token}:
                link.token = token
            case _:
                raise BadReply("etcd's reply to a sign-in holds no token")

    @property
    def _span(self) -> dict[str, str]:
        return {"key": _encoded(self._key), "range_end": _encoded(end_of(self._key))}

    async def _range(self, link: RegistryLink) -> tuple[int, dict[str, Any]]:
        reply, _ = await link.ask("POST", "/v3/kv/range", self._span)
        match reply:
            case {"header": {"revision": revision}, **rest}:
                entries = rest.get("kvs", [])
                if isinstance(entries, list):
                    return number_in(revision, "revision"), dict(_entry(each) for each in entries)
        raise BadReply(f"etcd's reply is no range: {str(reply)[:120]}")

    async def _changes(self, link: RegistryLink, revision: int, values: dict[str, Any]) -> AsyncGenerator[None, None]:
        """Keep `values` up to date and yield after each change; end when everything should be read anew."""
        request = {"create_request": {**self._span, "start_revision": str(revision)}}
        async with aclosing(link.follow("POST", "/v3/watch", request, patience=self._resync)) as messages:
            async for message in messages:
                result = _result(message)
                if result.get("canceled"):
                    # Our revision has been compacted away, so the changes since then are lost.
                    return
                if _apply(values, result.get("events", [])):
                    yield


def end_of(prefix: bytes) -> bytes:
    """Return the first key after all that begin with `prefix`.

    *Source:* etcd, clientv3 `GetPrefixRangeEnd`.
    """
    for length in range(len(prefix), 0, -1):
        if prefix[length - 1] < 0xFF:
            return prefix[: length - 1] + bytes([prefix[length - 1] + 1])
    return b"\0"


def _result(message: Any) -> dict[str, Any]:
    match message:
        case {"result": dict() as result}:
            return result
    raise BadReply(f"etcd ended the watch: {str(message)[:200]}")


def _apply(values: dict[str, Any], events: Any) -> bool:
    if not isinstance(events, list):
        raise BadReply(f"etcd's events are no list: {str(events)[:120]}")
    for event in events:
        match event:
            case {"type": "DELETE", "kv": {"key": str() as key}}:
                values.pop(key, None)
            case {"kv": dict() as entry}:
                values.update([_entry(entry)])
            case _:
                raise BadReply(f"etcd's event cannot be understood: {str(event)[:120]}")
    return bool(events)


def _entry(entry: Any) -> tuple[str, Any]:
    """Return key and value of one entry; the value as the record it holds, or as text that will be found wanting."""
    match entry:
        case {"key": str() as key}:
            pass
        case _:
            raise BadReply(f"etcd's entry has no key: {str(entry)[:120]}")
    try:
        text = base64.b64decode(entry.get("value", ""), validate=True).decode()
        return key, json.loads(text) if text.lstrip().startswith("{") else text
    except (ValueError, TypeError, RecursionError, binascii.Error):
        # Kept as it came, so that the listing names it among its problems and goes on without it.
        return key, {"unreadable": str(entry.get("value"))[:60]}


def _listing(values: dict[str, Any]) -> Listing:
    # In a thread: ten thousand endpoints take a seventh of a second, for which no call should wait.
    records: Sequence[Any] = [values[key] for key in sorted(values)]
    return listing_of(records)


def _encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()
