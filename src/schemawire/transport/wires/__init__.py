"""The wires by name; each is imported only when it is asked for, so that its library may be absent."""

from collections.abc import Callable

from schemawire.errors import ConfigurationInvalid
from schemawire.transport.options import PoolConfig, ProxyConfig, TlsConfig
from schemawire.transport.wire import Wire


def _aiohttp(pool: PoolConfig, tls: TlsConfig, proxy: ProxyConfig | None) -> Wire:
    from schemawire.transport.wires.aiohttp import AiohttpWire

    return AiohttpWire(pool=pool, tls=tls, proxy=proxy)


def _httpx2(pool: PoolConfig, tls: TlsConfig, proxy: ProxyConfig | None) -> Wire:
    from schemawire.transport.wires.httpx2 import Httpx2Wire

    return Httpx2Wire(pool=pool, tls=tls, proxy=proxy)


def _pyreqwest(pool: PoolConfig, tls: TlsConfig, proxy: ProxyConfig | None) -> Wire:
    from schemawire.transport.wires.pyreqwest import PyreqwestWire

    return PyreqwestWire(pool=pool, tls=tls, proxy=proxy)


_WIRES: dict[str, Callable[[PoolConfig, TlsConfig, ProxyConfig | None], Wire]] = {
    "aiohttp": _aiohttp,
    "httpx2": _httpx2,
    "pyreqwest": _pyreqwest,
}
_EXTRAS = {"httpx2": "http2", "pyreqwest": "fast"}


def make_wire(name: str | Wire, *, pool: PoolConfig, tls: TlsConfig, proxy: ProxyConfig | None = None) -> Wire:
    """Return the wire called `name`, or the wire itself where it is one.

    Raises:
        ConfigurationInvalid: there is no such wire, or its library is not installed.
    """
    if not isinstance(name, str):
        return name
    make = _WIRES.get(name)
    if make is None:
        raise ConfigurationInvalid(
            f"there is no wire {name!r}", fix=f"Use one of {', '.join(sorted(_WIRES))}, or a `Wire` object."
        )
    try:
        return make(pool, tls, proxy)
    except ImportError as error:
        extra = _EXTRAS.get(name, name)
        raise ConfigurationInvalid(
            f"the wire {name!r} needs a library that is not installed ({error})",
            fix=f'Install it with: pip install "schemawire[{extra}]"',
        ) from error


__all__ = ["make_wire"]
