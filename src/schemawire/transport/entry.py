"""A stored response: what is kept of it, and which requests it may answer; knows no clock and no store."""

import hashlib
from dataclasses import dataclass, field

from schemawire.transport.cache_control import Directives, directives_of, members
from schemawire.transport.message import Headers
from schemawire.transport.stores.record import Record

CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
"""Request fields that say on whose behalf a request is made."""

# RFC 9111 §3.1 and RFC 9110 §7.6.1.
_NEVER_STORED = frozenset(
    {
        "age",
        "cache-status",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Lists in which case and order say nothing, so that equal wishes share one variant.
_UNORDERED = frozenset({"accept-charset", "accept-encoding", "accept-language"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A complete response and what it takes to use it again.

    Args:
        status: its status.
        headers: its fields without those that may not be stored; `Age` is in `initial_age`, `Date` is always there.
        body: all of it.
        url: where it came from.
        partition: on whose behalf it was fetched, or nothing.
        selecting: the request fields that `Vary` names, with what they said.
        received_at: when it arrived or was last confirmed, seconds since 1970.
        initial_age: how old it was then, seconds.
    """

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    url: str
    partition: str
    selecting: tuple[tuple[str, str | None], ...]
    received_at: float
    initial_age: float
    directives: Directives = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "directives", directives_of(self.headers))

    def matches(self, partition: str, headers: Headers) -> bool:
        """Return whether this response may answer a request with these fields, made on behalf of `partition`."""
        return self.partition == partition and all(normalised(name, headers) == value for name, value in self.selecting)

    def record(self) -> Record:
        """Return what a store keeps of it."""
        return Record(
            variant=variant_of(self.partition, self.selecting),
            head=(
                self.status,
                self.url,
                self.partition,
                self.received_at,
                self.initial_age,
                self.selecting,
                self.headers.pairs,
            ),
            body=self.body,
            value=self,
        )


def entry_of(record: Record) -> Entry:
    """Return the response that a store has kept.

    Raises:
        ValueError, TypeError: the record is not one of ours.
    """
    if isinstance(record.value, Entry):
        return record.value
    status, url, partition, received_at, initial_age, selecting, pairs = record.head
    return Entry(
        status=int(status),
        url=str(url),
        partition=str(partition),
        received_at=float(received_at),
        initial_age=float(initial_age),
        selecting=tuple((name, value) for name, value in selecting),
        headers=Headers.received((name, value) for name, value in pairs),
        body=record.body,
    )


def variant_of(partition: str, selecting: tuple[tuple[str, str | None], ...]) -> str:
    """Return a name for what tells one stored response of a resource from another."""
    if not partition and not selecting:
        return ""
    return hashlib.sha256(repr((partition, selecting)).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def partition_of(headers: Headers) -> str:
    """Return a name for the credentials of a request that does not give them away; empty without any."""
    if CREDENTIALS.isdisjoint(headers):
        return ""
    given = [(name, headers.get_all(name)) for name in sorted(CREDENTIALS) if name in headers]
    return hashlib.sha256(repr(given).encode("utf-8", "surrogateescape")).hexdigest()


def vary_of(headers: Headers) -> tuple[str, ...] | None:
    """Return the field names of `Vary` in lower case, sorted; `None` if it names `*`, which no request matches."""
    names = {name.lower() for line in headers.get_all("vary") for name in members(line)}
    return None if "*" in names else tuple(sorted(names))


def selecting_of(vary: tuple[str, ...], headers: Headers) -> tuple[tuple[str, str | None], ...]:
    """Return what a request says in the fields that `Vary` names."""
    return tuple((name, normalised(name, headers)) for name in vary)


def normalised(name: str, headers: Headers) -> str | None:
    """Return a request field in a form in which equal wishes look equal, or `None` where it is absent.

    *Source:* RFC 9111 §4.1: whitespace, line splits, and case and order where the field does not care.
    """
    lines = headers.get_all(name)
    if not lines:
        return None
    text = ", ".join(lines)
    if '"' in text:
        return text.strip()
    parts = [part.strip() for part in text.split(",")]
    if name in _UNORDERED:
        parts = sorted("".join(part.lower().split()) for part in parts if part)
    return ",".join(parts)


def storable_pairs(headers: Headers, directives: Directives, *, shared: bool) -> tuple[tuple[str, str], ...]:
    """Return the fields of a response that may be stored.

    *Source:* RFC 9111 §3.1 (hop-by-hop fields and those named by `Connection`), §5.2.2.4 (`no-cache` with names) and
    §5.2.2.7 (`private` with names, for a shared cache).
    """
    dropped = _NEVER_STORED | {name.lower() for line in headers.get_all("connection") for name in members(line)}
    dropped |= directives.fields("no-cache")
    if shared:
        dropped |= directives.fields("private")
    return tuple(pair for pair in headers.pairs if pair[0].lower() not in dropped)
