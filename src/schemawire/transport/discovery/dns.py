"""Places from the DNS: addresses of a name, or SRV records; the one file that knows dnspython."""

import asyncio
import math
import socket
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from schemawire.errors import ConfigurationInvalid, ConnectFailed
from schemawire.transport.discovery.consul import url_of
from schemawire.transport.discovery.place import Listing, Place, listing_of, made_place

if TYPE_CHECKING:
    import dns.asyncresolver

REFRESH = 30.0
"""Seconds between two looks where nobody says how long an answer holds."""
SHORTEST_TTL, LONGEST_TTL = 1.0, 300.0
"""Bounds of the time to live that is believed, seconds: 0 would hammer the server, a day would outlast a fail-over."""
_LIFETIME = 5.0
_LIGHTEST = 0.1
"""The weight of an SRV record of weight 0 beside others that have one: "a very small chance" (RFC 2782)."""


class DnsDiscovery:
    """Looks up the addresses (A and AAAA) of a name again and again; each is a place.

    With dnspython (extra `dns`) it looks again when the answer's time to live is over, otherwise it asks the system's
    resolver every `refresh` seconds. Requests carry the name in their `Host` header.

    Args:
        host: the name.
        port: of every place, 1 to 65 535.
        path: a base path after the port, from `/`, or empty.
        server: `address:port` of the DNS server to ask, which needs dnspython; empty: the system's.
        refresh: seconds between two looks at the system's resolver, above 0.

    Raises:
        ConfigurationInvalid: a value is malformed, or `server` is given without dnspython.
    """

    def __init__(self, host: str, port: int, *, path: str = "", server: str = "", refresh: float = REFRESH) -> None:
        if not refresh > 0:
            raise ConfigurationInvalid(f"refresh={refresh!r} must be a number of seconds above 0")
        url_of("http", host, port)
        self._host, self._port, self._path, self._refresh = host, port, path, refresh
        self._resolver = resolver_for(server) if server or _has_dnspython() else None
        self.name = f"dns:{host}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the name's addresses now and after each look; see `Discovery.watch`."""
        while True:
            addresses, holds = await self._look()
            yield listing_of([self._place(address) for address in sorted(addresses)])
            await asyncio.sleep(holds)

    async def _look(self) -> tuple[set[str], float]:
        if self._resolver is None:
            return await self._ask_system(), self._refresh
        answers = [await _resolve(self._resolver, self._host, kind) for kind in ("A", "AAAA")]
        found = {record.address for answer in answers for record in answer[0]}
        return found, _bounded(min(holds for _, holds in answers))

    async def _ask_system(self) -> set[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LIFETIME):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{self.name} cannot be resolved: {error}") from error
        return {str(address[0]) for *_, address in found}

    def _place(self, address: str) -> Place:
        url = url_of("http", address.partition("%")[0], self._port) + self._path
        return made_place(url, authority=f"{self._host}:{self._port}")


class SrvDiscovery:
    """Looks up the SRV records of a name again and again, with their priorities and weights; needs dnspython.

    Args:
        name: such as `_http._tcp.backend.example`.
        scheme: `http` or `https`, how the targets are spoken to.
        path: a base path after the port, from `/`, or empty.
        server: `address:port` of the DNS server to ask; empty: the system's.

    Raises:
        ConfigurationInvalid: dnspython is not installed, or a value is malformed.
    """

    def __init__(self, name: str, *, scheme: str = "http", path: str = "", server: str = "") -> None:
        if scheme not in ("http", "https"):
            raise ConfigurationInvalid(f"scheme={scheme!r} must be http or https")
        url_of(scheme, name, 1)
        self._query, self._scheme, self._path = name, scheme, path
        self._resolver = resolver_for(server)
        self.name = f"srv:{name}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the records' places now and after each look; see `Discovery.watch`."""
        while True:
            records, holds = await _resolve(self._resolver, self._query, "SRV")
            yield self._listing(records)
            await asyncio.sleep(_bounded(holds))

    def _listing(self, records: Sequence[Any]) -> Listing:
        places, problems = [], []
        weightless = all(record.weight == 0 for record in records)
        for record in records:
            target = record.target.to_text(omit_final_dot=True)
            # A target of "." says that the service is decidedly not available here (RFC 2782).
            if target in ("", "."):
                continue
            weight = 1.0 if weightless else max(float(record.weight), _LIGHTEST)
            try:
                url = url_of(self._scheme, target, record.port) + self._path
                places.append(made_place(url, weight=weight, priority=record.priority))
            except ConfigurationInvalid as error:
                problems.append(error.message)
        listed = listing_of(sorted(places, key=lambda place: (place.priority, place.url)))
        return Listing(places=listed.places, problems=listed.problems + tuple(problems))


def _has_dnspython() -> bool:
    try:
        import dns.asyncresolver  # noqa: F401  # only asked for
    except ImportError:
        return False
    return True


def resolver_for(server: str) -> "dns.asyncresolver.Resolver":
    """Return a resolver that asks `server` (`address:port`), or the system's servers where it is empty.

    Raises:
        ConfigurationInvalid: dnspython is not installed, `server` is malformed, or the system names no server.
    """
    try:
        import dns.asyncresolver
        import dns.exception
    except ImportError as error:
        raise ConfigurationInvalid(
            f"SRV records and a DNS server of one's own need dnspython, which is not installed ({error})",
            fix='Install it with: pip install "schemawire[dns]"',
        ) from error
    try:
        resolver = dns.asyncresolver.Resolver(configure=not server)
        if server:
            address, _, port = server.rpartition(":")
            resolver.nameservers = [address.strip("[]")]
            resolver.port = int(port)
    except (ValueError, dns.exception.DNSException) as error:
        raise ConfigurationInvalid(f"DNS server {server!r}: {error}", fix="Write it like 10.0.0.2:53.") from error
    resolver.lifetime = _LIFETIME
    return resolver


async def _resolve(resolver: "dns.asyncresolver.Resolver", name: str, kind: str) -> tuple[Sequence[Any], float]:
    """Return the records of one kind, and for how many seconds they hold; a name without such records has none.

    Raises:
        ConnectFailed: no server answered, or the name does not exist.
    """
    import dns.exception
    import dns.resolver

    try:
        answer = await resolver.resolve(name, kind, raise_on_no_answer=False)
    except (dns.exception.DNSException, OSError, ValueError) as error:
        text = str(error) or type(error).__name__
        raise ConnectFailed(f"{kind} records of {name!r} cannot be resolved: {text}") from error
    if answer.rrset is None:
        return (), math.inf
    return list(answer.rrset), float(answer.rrset.ttl)


def _bounded(holds: float) -> float:
    """Return for how many seconds an answer is believed; one without records says nothing about that."""
    return REFRESH if holds == math.inf else min(max(holds, SHORTEST_TTL), LONGEST_TTL)
