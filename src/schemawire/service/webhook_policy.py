"""Where webhooks may go, and with which secrets they are signed; sends nothing.

Whoever may submit work may name a URL, and the service can reach places that its callers cannot. So only hosts that
the operator lists are called, over HTTPS unless an entry says otherwise, and none in a private network by default.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, urlsplit

from schemawire.errors import ConfigurationInvalid
from schemawire.protocol.webhooks import read_secret
from schemawire.service.refusals import RequestRefused

MAX_URL_LENGTH = 2_000
_ENTRY = re.compile(r"(?:(https?)://)?((?:\*\.)?[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedHost:
    """One entry of the list: `hooks.example.org`, `*.example.org`, `http://127.0.0.1:9000`."""

    scheme: str
    host: str
    """In lower case; with a leading `*.` it stands for every host below."""
    port: int | None
    """The scheme's own if not given."""

    def fits(self, url: SplitResult) -> bool:
        """Tell whether a URL goes to this place."""
        host = (url.hostname or "").lower()
        is_named = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return is_named and url.scheme == self.scheme and url.port in {self.port, *(() if self.port else (None,))}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """What may be called."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The first is the newest; a call is signed with each."""
    hosts: tuple[AllowedHost, ...] = ()
    allows_private: bool = False
    """Whether loopback and private addresses may be called."""

    @classmethod
    def read(cls, *, secrets: str, hosts: str, allows_private: bool) -> Self:
        """Return the policy that settings describe, each a list with commas.

        Raises:
            ConfigurationInvalid: an entry is malformed; a secret is not shown.
        """
        found = tuple(_parts(secrets))
        for number, secret in enumerate(found, 1):
            try:
                read_secret(secret)
            except ValueError as error:
                raise ConfigurationInvalid(
                    f"SCHEMAWIRE_WEBHOOK_SECRETS: number {number}: {error}",
                    fix="Make one with: python -c 'import base64, os; "
                    'print("whsec_" + base64.b64encode(os.urandom(32)).decode())\'',
                ) from None
        return cls(secrets=found, hosts=tuple(map(_host_of, _parts(hosts))), allows_private=allows_private)

    @property
    def is_on(self) -> bool:
        """Whether webhooks can be sent at all."""
        return bool(self.secrets and self.hosts)

    def check(self, url: str) -> None:
        """Refuse a URL that may not be called.

        Raises:
            RequestRefused: webhooks are off, or this one is malformed or goes where it may not.
        """
        if not self.is_on:
            raise _refused("this service sends none", "Set SCHEMAWIRE_WEBHOOK_SECRETS and SCHEMAWIRE_WEBHOOK_HOSTS.")
        try:
            parts = urlsplit(url)
            is_plain = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
        except ValueError:
            is_plain = False
        if not is_plain or len(url) > MAX_URL_LENGTH or not parts.hostname or "@" in parts.netloc or parts.fragment:
            raise _refused(
                "it is not a plain URL",
                "Send https://HOST/PATH without user, password and fragment.",
            )
        if not any(entry.fits(parts) for entry in self.hosts):
            place = f"{parts.scheme}://{parts.netloc}"[:100]
            raise _refused(f"{place} is not on the service's list", "Have it added to SCHEMAWIRE_WEBHOOK_HOSTS.")
        self.check_addresses([parts.hostname] if _is_address(parts.hostname) else [])

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """Refuse addresses that may not be called; a name may lead anywhere, so it is asked again before each call.

        Raises:
            RequestRefused: one of them is not on the public internet.
        """
        for address in addresses:
            found = ipaddress.ip_address(address.partition("%")[0])
            mapped = getattr(found, "ipv4_mapped", None) or found
            if not self.allows_private and not mapped.is_global:
                raise _refused("its address is not on the public internet", "Set SCHEMAWIRE_WEBHOOK_PRIVATE=true.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(",") if part.strip())


def _host_of(text: str) -> AllowedHost:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ConfigurationInvalid(
            f"SCHEMAWIRE_WEBHOOK_HOSTS: {text[:80]!r} is not a host",
            fix="Write hooks.example.org, *.example.org or http://127.0.0.1:9000, with commas between them.",
        )
    scheme, host, port = found.groups()
    return AllowedHost(
        scheme=scheme or "https", host=host.strip("[]").lower(), port=None if port is None else int(port)
    )


def _refused(reason: str, fix: str) -> RequestRefused:
    return RequestRefused("invalid_request", f"The webhook cannot be called: {reason}.", fix=fix)
