"""The client's own options (time limits, pool, TLS), checked where they are made; knows no wire."""

import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.ranges import require_count, require_number, require_order


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutConfig:
    """How long each part of a call may take, in seconds; infinity switches a limit off.

    Args:
        connect: name resolution, TCP and TLS together, above 0.
        read: the longest silence of the other side, before and inside the response, above 0.
        attempt: one attempt from its first byte to the last byte of its response, above 0; `None` leaves it to `read`
            and `total`. A streamed body counts up to its first byte only.
        total: the whole call with its retries and waits, above 0; the default deadline of every call.
    """

    connect: float = 10.0
    read: float = 30.0
    attempt: float | None = None
    total: float = 60.0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            require_number(self, name, low=0.0, above=True)
        require_number(self, "attempt", low=0.0, high=86_400.0, above=True, optional=True)
        if self.attempt is not None:
            require_order(self, "attempt", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How many requests run at once against one endpoint, and who may wait for a place.

    Args:
        max_connections: requests (and so connections) at once per endpoint, from 1.
        max_queue: further calls that may wait, first come first served, from 0.
        queue_timeout: seconds one call may wait in the queue, 0 to 86 400; the call's deadline holds besides.
        keepalive_expiry: seconds an idle connection is kept, from 0; keep it below the server's own limit.
        dns_cache: seconds a resolved name is kept, from 0.
    """

    max_connections: int = 100
    max_queue: int = 10_000
    queue_timeout: float = 30.0
    keepalive_expiry: float = 30.0
    dns_cache: float = 10.0

    def __post_init__(self) -> None:
        require_count(self, "max_connections", low=1, high=100_000)
        require_count(self, "max_queue", low=0)
        require_number(self, "queue_timeout", low=0.0, high=86_400.0)
        require_number(self, "keepalive_expiry", low=0.0, high=86_400.0)
        require_number(self, "dns_cache", low=0.0, high=86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """The HTTP proxy that requests go through; none is ever taken from the environment.

    Args:
        url: such as `http://proxy:3128`, without a user name, path or query.
        user: whom the proxy knows us as; empty for nobody.
        password: their password.

    Raises:
        ConfigurationInvalid: the address is malformed.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
            is_plain = is_plain and parts.path in ("", "/") and not parts.query and not parts.fragment
            _ = parts.port
        except ValueError:
            is_plain = False
        if not is_plain:
            raise ConfigurationInvalid(
                "the address of the proxy is malformed, or holds a user name, path or query",
                fix="Write it like http://proxy:3128, and give `user` and `password` beside it.",
            )

    @property
    def authorization(self) -> str | None:
        """The value of `Proxy-Authorization`, or `None` where nobody is named (RFC 7617)."""
        if not self.user:
            return None
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Whom to trust on `https` endpoints, and who we are.

    Args:
        verify: whether the server's certificate and name are checked; switching it off gives up all protection.
        ca_file: PEM file of certificate authorities used in place of the system's.
        certificate_file: PEM file of our own certificate chain.
        key_file: PEM file of its key, when it is not in `certificate_file`.
    """

    verify: bool = True
    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context these options describe.

        Raises:
            ConfigurationInvalid: a file is missing or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(f) for f in (self.ca_file, self.certificate_file, self.key_file) if f)
            raise ConfigurationInvalid(
                f"TLS files cannot be loaded ({files}): {error}", fix="Give readable PEM files."
            ) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
