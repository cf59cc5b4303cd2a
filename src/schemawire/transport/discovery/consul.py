"""Places from Consul: the passing instances of a service; speaks its health endpoint with blocking queries."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from schemawire.errors import AttemptTimeout, BadReply, ConfigurationInvalid
from schemawire.transport.address import parse_addresses
from schemawire.transport.discovery.link import RegistryLink, number_in, require_service, rest
from schemawire.transport.discovery.place import Listing, Place, listing_of, made_place
from schemawire.transport.options import TlsConfig

WAIT = 55.0
"""Seconds a query may block."""
_SLACK = 15.0
"""Consul adds up to a sixteenth of the wait by itself; the rest is for the network."""


class ConsulDiscovery:
    """Asks for the instances of a service whose checks pass, and is told as soon as they change.

    Weights are Consul's own (`Weights.Passing`); `zone` and `priority` are read from the service's metadata.

    Args:
        addresses: base URLs of agents; the next is asked when one cannot be reached.
        service: the name it is registered under.
        tag: only instances with this tag; empty for all.
        datacenter: another one than the agent's own.
        scheme: `http` or `https`, how the instances are spoken to.
        token_file: a file with the ACL token.
        tls: whom to trust on `https`.
        wait: seconds a query may block, from 1 to 600.

    Raises:
        ConfigurationInvalid: a value is malformed.
    """

    def __init__(
        self,
        addresses: str | Iterable[str],
        service: str,
        *,
        tag: str = "",
        datacenter: str = "",
        scheme: str = "http",
        token_file: str = "",
        tls: TlsConfig | None = None,
        wait: float = WAIT,
    ) -> None:
        if scheme not in ("http", "https") or not 1.0 <= wait <= 600.0:
            raise ConfigurationInvalid(f"scheme={scheme!r} must be http or https, wait={wait!r} from 1 to 600 s")
        self._urls = parse_addresses(addresses)
        self._path = f"/v1/health/service/{quote(require_service(service, 'Consul service'), safe='')}"
        chosen = {"passing": "true", "wait": f"{round(wait * 1000)}ms", "tag": tag, "dc": datacenter}
        self._query = {name: value for name, value in chosen.items() if value}
        self._scheme = scheme
        self._token_file = token_file
        self._tls = tls
        self._wait = wait
        self.name = f"consul:{service}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the instances now and after each change; see `Discovery.watch`.

        *Source:* Consul API, "Blocking Queries": rate-limit them, reset an index that goes backwards.
        """
        link = RegistryLink(self._urls, token_file=self._token_file, header="X-Consul-Token", tls=self._tls)
        clock = asyncio.get_running_loop().time
        index = 0
        try:
            while True:
                asked = clock()
                before, (index, entries) = index, await self._query_once(link, index)
                if index != before:
                    yield await asyncio.to_thread(self._listing, entries)
                await rest(asked)
        finally:
            await link.aclose()

    async def _query_once(self, link: RegistryLink, index: int) -> tuple[int, list[Any]]:
        """Return the index and the entries; an index that went backwards comes back as one to begin with again."""
        query = {**self._query, "index": str(index)} if index else self._query
        try:
            reply, headers = await link.ask("GET", f"{self._path}?{urlencode(query)}", patience=self._wait + _SLACK)
        except AttemptTimeout:
            # Nothing was heard for longer than the query may block: ask afresh, on a new connection.
            reply, headers = await link.ask("GET", f"{self._path}?{urlencode(self._query)}")
        if not isinstance(reply, list):
            raise BadReply(f"Consul's reply is no list: {str(reply)[:120]}")
        found = number_in(headers.get("x-consul-index"), "X-Consul-Index")
        if found == 0:
            raise BadReply("Consul's index is 0, so that no query could block")
        return (found if found >= index else 0), reply

    def _listing(self, entries: list[Any]) -> Listing:
        # In a thread: ten thousand endpoints take a seventh of a second, for which no call should wait.
        records = [self._record(entry) for entry in entries]
        listed = listing_of([record for record in records if isinstance(record, Place)])
        wrong = tuple(record for record in records if isinstance(record, str))
        return Listing(places=listed.places, problems=listed.problems + wrong)

    def _record(self, entry: Any) -> Place | str:
        """Return the place of one entry, or what is wrong with it."""
        match entry:
            case {"Service": {"Port": int() as port} as service, **rest}:
                node, meta = _object(rest.get("Node")), _object(service.get("Meta"))
            case _:
                return f"Consul's entry has no service with a port: {str(entry)[:80]}"
        host = service.get("Address") or node.get("Address")
        try:
            return made_place(
                url_of(self._scheme, host, port),
                weight=_object(service.get("Weights")).get("Passing", 1),
                priority=meta.get("priority", 0),
                zone=meta.get("zone", ""),
            )
        except ConfigurationInvalid as error:
            return error.message


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def url_of(scheme: str, host: object, port: object) -> str:
    """Return the base URL of a host, which may be an IPv6 address, and a port.

    Raises:
        ConfigurationInvalid: either is not what it should be.
    """
    is_port = isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536
    # A host with other marks than these could move the URL to another host or path.
    is_host = isinstance(host, str) and host and all(c.isascii() and (c.isalnum() or c in ".-_:") for c in host)
    if not is_port or not is_host:
        raise ConfigurationInvalid(f"{str(host)[:80]!r} with port {str(port)[:20]} is no host and port")
    assert isinstance(host, str)  # noqa: S101  # just checked; tells the type checker
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
