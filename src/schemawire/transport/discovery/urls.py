"""Which discovery an address asks for, by its scheme; the one place that knows every source."""

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from schemawire.errors import ConfigurationInvalid
from schemawire.transport.discovery.consul import ConsulDiscovery
from schemawire.transport.discovery.dns import DnsDiscovery, SrvDiscovery
from schemawire.transport.discovery.etcd import EtcdDiscovery
from schemawire.transport.discovery.file import FileDiscovery
from schemawire.transport.discovery.kubernetes import KubernetesDiscovery
from schemawire.transport.discovery.place import Place
from schemawire.transport.discovery.source import Discovery
from schemawire.transport.discovery.static import StaticDiscovery
from schemawire.transport.options import TlsConfig

Query = Mapping[str, str]


def discovery_of(endpoints: "str | Iterable[str | Place] | Discovery") -> Discovery:
    """Return what finds the endpoints that an address, a list of addresses or a discovery stands for.

    Args:
        endpoints: a `Discovery`, which is returned as it is; addresses of endpoints; or one address of a discovery:
            `file:`, `dns+http://`, `srv+http://`, `srv+https://`, `etcd+http(s)://`, `consul+http(s)://`,
            `k8s+http(s)://`.

    Raises:
        ConfigurationInvalid: an address is malformed, its scheme is unknown, or what it needs is not installed.
    """
    if isinstance(endpoints, Discovery):
        return endpoints
    listed = [endpoints] if isinstance(endpoints, str) else list(endpoints)
    for text in listed:
        if isinstance(text, str) and is_discovery_address(text):
            if len(listed) > 1:
                raise ConfigurationInvalid(
                    f"{text!r} cannot stand beside other addresses", fix="Give one discovery, or a list of endpoints."
                )
            return _made(text.strip())
    return StaticDiscovery(endpoints if isinstance(endpoints, str) else listed)


def checked_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses that a setting names, each as `Client` takes it, once it is certain that it will take them.

    Raises:
        ConfigurationInvalid: as `discovery_of`.
    """
    if is_discovery_address(text):
        discovery_of(text)
        return (text.strip(),)
    StaticDiscovery(text)
    return tuple(dict.fromkeys(each.strip().rstrip("/") for each in text.split(",") if each.strip()))


def is_discovery_address(text: str) -> bool:
    """Whether a text asks for a discovery, rather than naming endpoints."""
    scheme = text.strip().partition(":")[0]
    return scheme == "file" or scheme.partition("+")[0] in _MAKERS


def _made(text: str) -> Discovery:
    if text.startswith("file:"):
        path = unquote(text.removeprefix("file:").removeprefix("//"))
        return FileDiscovery(path)
    parts = urlsplit(text)
    kind, _, scheme = parts.scheme.partition("+")
    maker, known = _MAKERS[kind]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(query) - known)
    if parts.fragment or "@" in parts.netloc or unknown or not parts.netloc:
        wrong = unknown[0] if unknown else "a user name, a fragment or no host"
        raise ConfigurationInvalid(
            f"discovery address {kind}+{scheme}://…: {wrong!r} is not understood",
            fix=f"Its options are {', '.join(sorted(known))}; secrets go into files.",
        )
    return maker(scheme, parts, query)


def _dns(scheme: str, parts: SplitResult, query: Query) -> Discovery:
    if scheme != "http":
        raise ConfigurationInvalid(
            f"dns+{scheme}:// is not possible: certificates name hosts, and this finds bare addresses",
            fix="Use srv+https://, or the plain https:// address.",
        )
    return DnsDiscovery(
        parts.hostname or "", _port(parts) or 80, path=parts.path.rstrip("/"), server=query.get("server", "")
    )


def _srv(scheme: str, parts: SplitResult, query: Query) -> Discovery:
    if _port(parts) is not None:
        raise ConfigurationInvalid(f"{parts.geturl()!r}: SRV records carry the port", fix="Leave the port out.")
    return SrvDiscovery(
        parts.hostname or "", scheme=scheme, path=parts.path.rstrip("/"), server=query.get("server", "")
    )


def _etcd(scheme: str, parts: SplitResult, query: Query) -> Discovery:
    credentials = query.get("credentials_file", "")
    return EtcdDiscovery(_members(scheme, parts), unquote(parts.path), tls=_tls(query), credentials_file=credentials)


def _consul(scheme: str, parts: SplitResult, query: Query) -> Discovery:
    return ConsulDiscovery(
        _members(scheme, parts),
        unquote(parts.path.strip("/")),
        tag=query.get("tag", ""),
        datacenter=query.get("dc", ""),
        scheme=query.get("scheme", "http"),
        token_file=query.get("token_file", ""),
        tls=_tls(query),
    )


def _kubernetes(scheme: str, parts: SplitResult, query: Query) -> Discovery:
    namespace, _, rest = unquote(parts.path.strip("/")).partition("/")
    service, _, port = rest.partition(":")
    return KubernetesDiscovery(
        f"{scheme}://{parts.netloc}",
        namespace,
        service,
        port=port,
        scheme=query.get("scheme", "http"),
        token_file=query.get("token_file"),
        tls=_tls(query),
    )


_TLS = frozenset({"ca_file", "certificate_file", "key_file"})
_MAKERS: dict[str, tuple[Callable[[str, SplitResult, Query], Discovery], frozenset[str]]] = {
    "dns": (_dns, frozenset({"server"})),
    "srv": (_srv, frozenset({"server"})),
    "etcd": (_etcd, _TLS | {"credentials_file"}),
    "consul": (_consul, _TLS | {"tag", "dc", "scheme", "token_file"}),
    "k8s": (_kubernetes, _TLS | {"scheme", "token_file"}),
}


def _members(scheme: str, parts: SplitResult) -> list[str]:
    return [f"{scheme}://{member}" for member in parts.netloc.split(",")]


def _tls(query: Query) -> TlsConfig | None:
    given = {name: query[name] for name in _TLS if name in query}
    if not given:
        return None
    options = TlsConfig(**given)  # type: ignore[arg-type]  # only the file names, all texts
    # Loaded once now, so that a wrong file is refused here and not with every look.
    options.context()
    return options


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise ConfigurationInvalid(f"discovery address {parts.geturl()!r}: {error}") from error
