"""Places from Kubernetes: the ready endpoints of a service; speaks the EndpointSlice API, list and watch."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from schemawire.errors import BadReply, ConfigurationInvalid
from schemawire.transport.address import parse_addresses
from schemawire.transport.discovery.consul import url_of
from schemawire.transport.discovery.link import RegistryLink, require_service, rest
from schemawire.transport.discovery.place import Listing, Place, listing_of, made_place
from schemawire.transport.options import TlsConfig

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token and the cluster's authority. *Source:* Kubernetes, "Accessing the API from a Pod"."""
RESYNC = 60
"""Seconds after which a watch is begun again, so that a dead connection is noticed."""
_GONE = 410


class KubernetesDiscovery:
    """Lists the EndpointSlices of a service and watches them; an endpoint counts unless it says that it is not ready.

    Args:
        address: base URL of the API server.
        namespace: of the service.
        service: its name.
        port: name or number of the port among those of the service; empty: the first.
        scheme: `http` or `https`, how the endpoints are spoken to.
        token_file: a file with a bearer token, read again for each request; by default the pod's own, if it has one.
        tls: whom to trust; by default the cluster's authority, if the pod knows it.
        resync: seconds after which a watch is begun again, from 1 up.

    Raises:
        ConfigurationInvalid: a value is malformed.
    """

    def __init__(
        self,
        address: str,
        namespace: str,
        service: str,
        *,
        port: str = "",
        scheme: str = "http",
        token_file: str | None = None,
        tls: TlsConfig | None = None,
        resync: int = RESYNC,
    ) -> None:
        if scheme not in ("http", "https") or resync < 1:
            raise ConfigurationInvalid(f"scheme={scheme!r} must be http or https, resync={resync!r} from 1 s up")
        self._urls = parse_addresses([address])
        require_service(service, "Kubernetes service")
        space = require_service(namespace, "Kubernetes namespace")
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"
        self._label = f"kubernetes.io/service-name={service}"
        self._port = port
        self._scheme = scheme
        self._token_file = _account_file("token") if token_file is None else token_file
        self._tls = tls or TlsConfig(ca_file=_account_file("ca.crt") or None)
        self._resync = resync
        self.name = f"kubernetes:{namespace}/{service}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the service's ready endpoints now and after each change; see `Discovery.watch`."""
        link = RegistryLink(self._urls, token_file=self._token_file, tls=self._tls)
        async with aclosing(link), aclosing(self._followed(link)) as listings:
            async for listing in listings:
                yield listing

    async def _followed(self, link: RegistryLink) -> AsyncGenerator[Listing, None]:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            version, slices = await self._list(link)
            yield await asyncio.to_thread(self._listing, slices)
            async with aclosing(self._changes(link, version, slices)) as changes:
                async for _ in changes:
                    yield await asyncio.to_thread(self._listing, slices)
            await rest(began)

    async def _list(self, link: RegistryLink) -> tuple[str, dict[str, Any]]:
        reply, _ = await link.ask("GET", f"{self._path}?{urlencode({'labelSelector': self._label})}")
        match reply:
            case {"items": list() as items, "metadata": {"resourceVersion": str() as version}}:
                return version, {_name_of(item): item for item in items}
        raise BadReply(f"the API server's reply is no list of EndpointSlices: {str(reply)[:120]}")

    async def _changes(self, link: RegistryLink, version: str, slices: dict[str, Any]) -> AsyncGenerator[None, None]:
        """Keep `slices` up to date and yield after each change; end when everything should be listed anew."""
        query = {
            "labelSelector": self._label,
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(self._resync),
            "allowWatchBookmarks": "true",
        }
        messages = link.follow("GET", f"{self._path}?{urlencode(query)}", patience=self._resync + 15.0)
        async with aclosing(messages):
            async for message in messages:
                changed = _apply(slices, message)
                if changed is None:
                    return
                if changed:
                    yield

    def _listing(self, slices: dict[str, Any]) -> Listing:
        # In a thread: ten thousand endpoints take a seventh of a second, for which no call should wait.
        records = [record for name in sorted(slices) for record in self._places(slices[name])]
        listed = listing_of([record for record in records if isinstance(record, Place)])
        wrong = tuple(record for record in records if isinstance(record, str))
        return Listing(places=listed.places, problems=listed.problems + wrong)

    def _places(self, item: Any) -> Iterator[Place | str]:
        """Yield the places of one slice, or what is wrong with it."""
        port = self._port_of(item.get("ports") or [])
        endpoints = item.get("endpoints") or []
        if port is None or not isinstance(endpoints, list):
            if endpoints:
                yield f"slice {_name_of(item)!r} has no port {self._port!r}"
            return
        for endpoint in endpoints:
            if not isinstance(endpoint, dict):
                yield f"slice {_name_of(item)!r}: {str(endpoint)[:80]} is no endpoint"
            elif _is_ready(endpoint):
                yield self._place(endpoint, port)

    def _place(self, endpoint: dict[str, Any], port: object) -> Place | str:
        addresses = endpoint.get("addresses")
        # Several addresses of one endpoint are the same pod: consumers use the first. *Source:* EndpointSlice API.
        host = addresses[0] if isinstance(addresses, list) and addresses else None
        try:
            return made_place(url_of(self._scheme, host, port), zone=endpoint.get("zone") or "")
        except ConfigurationInvalid as error:
            return error.message

    def _port_of(self, ports: Any) -> object:
        known = [port for port in ports if isinstance(port, dict)] if isinstance(ports, list) else []
        for port in known:
            if not self._port or self._port in (port.get("name"), str(port.get("port"))):
                return port.get("port")
        return None


def _is_ready(endpoint: dict[str, Any]) -> bool:
    conditions = endpoint.get("conditions")
    # Absent means unknown, which consumers take for ready. *Source:* EndpointSlice API, `conditions.ready`.
    return not isinstance(conditions, dict) or conditions.get("ready") is not False


def _name_of(item: Any) -> str:
    match item:
        case {"metadata": {"name": str() as name}}:
            return name
    raise BadReply(f"the API server sent no EndpointSlice: {str(item)[:120]}")


def _apply(slices: dict[str, Any], message: Any) -> bool | None:
    """Return whether the event changed a slice, or `None` where everything must be listed anew."""
    match message:
        case {"type": "ADDED" | "MODIFIED", "object": dict() as item}:
            slices[_name_of(item)] = item
            return True
        case {"type": "DELETED", "object": dict() as item}:
            return slices.pop(_name_of(item), None) is not None
        case {"type": "BOOKMARK"}:
            return False
        case {"type": "ERROR", "object": {"code": code}} if code == _GONE:
            return None
    raise BadReply(f"the API server ended the watch: {str(message)[:200]}")


def _account_file(name: str) -> str:
    path = ACCOUNT / name
    return str(path) if path.exists() else ""
