"""Addresses of endpoints and the target of a request, checked and joined; opens no connection."""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

from schemawire.errors import ConfigurationInvalid

SCHEMES = ("http", "https", "http+unix")
Params = Mapping[str, object] | Sequence[tuple[str, object]]

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_UNQUOTED_IN_PATH = "/%:@!$&'()*+,;=~-._"


def parse_addresses(addresses: str | Iterable[str]) -> tuple[str, ...]:
    """Return the base URLs of one or several endpoints, without a trailing slash, in order, repeats left out.

    Args:
        addresses: URLs, as one comma-separated text or one by one.

    Raises:
        ConfigurationInvalid: there is none, or one is malformed; the message says which and why.
    """
    listed = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    found = [_checked(address.strip()) for address in listed if address.strip()]
    if not found:
        raise ConfigurationInvalid(
            "no endpoint address is given", fix="Give at least one, such as http://localhost:8084."
        )
    return tuple(dict.fromkeys(found))


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise _bad(address, str(error)) from error
    if parts.scheme not in SCHEMES:
        raise _bad(address, f"its scheme must be one of {', '.join(SCHEMES)}")
    if not parts.hostname:
        raise _bad(address, "it has no host")
    if "@" in parts.netloc:
        raise _bad(_without_secret(address), "it holds a user name; give credentials as a header or an API key")
    if parts.query or parts.fragment:
        raise _bad(address, "it has a query or a fragment")
    if not address.isprintable() or " " in address:
        raise _bad(address, "it holds a space or a control character")
    return address.rstrip("/")


def _bad(address: str, why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"endpoint address {address!r}: {why}", fix="Write it like http://localhost:8084.")


def _without_secret(address: str) -> str:
    return re.sub(r"//[^@/]*@", "//…@", address)


def target_of(path: str, params: Params | None = None) -> str:
    """Return path and query of a request, percent-encoded where needed.

    Args:
        path: begins with `/`, without a query; what is already percent-encoded stays so.
        params: the query; `None` values are left out, booleans become `true` and `false`, lists repeat the name.

    Raises:
        ValueError: the path does not begin with `/`, or holds a query, a fragment or a control character.
    """
    if not _PLAIN_PATH.fullmatch(path):
        path = _quoted(path)
    query = urlencode(_pairs(params)) if params else ""
    return f"{path}?{query}" if query else path


def _quoted(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} must begin with '/'; the client adds the endpoint's address")
    if "?" in path or "#" in path or not path.isprintable():
        raise ValueError(f"path {path!r} holds a query, a fragment or a control character; give the query as `params`")
    return quote(path, safe=_UNQUOTED_IN_PATH)


def _pairs(params: Params) -> list[tuple[str, str]]:
    items = params.items() if isinstance(params, Mapping) else params
    return [(name, _text(each)) for name, value in items for each in _each(value) if each is not None]


def _each(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
