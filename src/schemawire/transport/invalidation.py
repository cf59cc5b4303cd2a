"""Which stored resources a write makes doubtful; knows no store."""

from urllib.parse import SplitResult, urljoin, urlsplit

from schemawire.transport.message import Headers

_DEFAULT_PORTS = {"http": 80, "https": 443}


def doubtful_targets(target: str, url: str, headers: Headers) -> tuple[str, ...]:
    """Return path and query of each resource that a successful write concerns: its own, and those it points to.

    Args:
        target: path and query of the write.
        url: where the response came from: an endpoint's address, then `target`.
        headers: the response's fields; `Location` and `Content-Location` count if they stay with that endpoint.

    *Source:* RFC 9111 §4.4.
    """
    pointed = (
        _below(value, url, url.removesuffix(target))
        for name in ("location", "content-location")
        for value in headers.get_all(name)
    )
    return tuple(dict.fromkeys((target, *(found for found in pointed if found is not None))))


def points_to(value: str, url: str) -> bool:
    """Return whether a `Location`-like field names the resource at `url` itself."""
    try:
        return urljoin(url, value) == url
    except ValueError:
        return False


def _below(value: str, url: str, endpoint: str) -> str | None:
    try:
        parts, address = urlsplit(urljoin(url, value)), urlsplit(endpoint)
        if _origin(parts) != _origin(address):
            return None
    except ValueError:
        return None
    plain = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    if not address.path:
        return plain
    return plain.removeprefix(address.path) if plain.startswith(address.path + "/") else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
