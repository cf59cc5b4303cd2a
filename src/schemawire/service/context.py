"""What is known of one request from its headers; knows nothing of what the request asks for."""

import random
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from schemawire.protocol import headers as names
from schemawire.service.access import ANONYMOUS, Principal
from schemawire.service.refusals import RequestRefused

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_SANE_LABEL = re.compile(r"[\x20-\x7e]{1,80}")
_ids = random.Random(secrets.randbits(256))  # noqa: S311  # request ids are names, not secrets
MAX_DEADLINE_MS = 24 * 3600 * 1000
MAX_KEY_LENGTH = 255
_REQUEST_ID = names.REQUEST_ID.lower().encode()
_REQUEST_DEADLINE = names.REQUEST_DEADLINE.lower().encode()


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request: who asks, until when, and under which names it is logged."""

    request_id: str
    headers: dict[bytes, bytes]
    """By lower-case name; of a repeated header the first."""
    started: float
    """On the monotonic clock."""
    expires: float | None = None
    """On the monotonic clock; `None` without a deadline."""
    principal: Principal = ANONYMOUS
    route: str = "unmatched"
    outcome: str | None = None
    """The code of the problem that it ended with."""
    is_audited: bool = False
    """It changes something, or tries to: how it ends belongs into the audit log."""
    extra_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """What the reply carries besides its own headers."""
    page_policy: bytes | None = None
    """Of a reply that is a web page: its content security policy."""
    fault: RequestRefused | None = field(default=None)
    """What is wrong with the headers, answered once the caller is known."""

    def header(self, name: str) -> str | None:
        """Return a header's value, or `None`."""
        value = self.headers.get(_field(name))
        return None if value is None else value.decode("latin-1").strip()

    def label(self, name: str) -> str | None:
        """Return a header's value if it is fit for a log."""
        given = self.headers.get(_field(name))
        value = given and given.decode("latin-1").strip()
        return value if value and _SANE_LABEL.fullmatch(value) else None

    def check_headers(self) -> None:
        """Refuse headers that are malformed, and work that nobody waits for any more.

        Raises:
            RequestRefused: a header is malformed, or the caller's deadline has passed.
        """
        if self.fault is not None:
            raise self.fault
        self.check_deadline()

    def check_deadline(self) -> None:
        """Refuse work that nobody waits for any more.

        Raises:
            RequestRefused: the caller's deadline has passed.
        """
        if self.expires is not None and time.monotonic() >= self.expires:
            raise RequestRefused("deadline_exceeded", "The caller's deadline passed before the work was done.")

    @property
    def idempotency_key(self) -> str | None:
        """The caller's key for this write.

        Raises:
            RequestRefused: it is empty, too long, or not printable ASCII.
        """
        key = self.header(names.IDEMPOTENCY_KEY)
        if key is None:
            return None
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
            raise RequestRefused(
                "invalid_request",
                f"The {names.IDEMPOTENCY_KEY} header needs 1 to {MAX_KEY_LENGTH} printable ASCII characters.",
                fix="Use a random UUID as the key.",
            )
        return key


@lru_cache(maxsize=64)
def _field(name: str) -> bytes:
    """Return a header's name as it stands in a request; few different ones are ever asked for."""
    return name.lower().encode("latin-1")


def context_of(raw_headers: Iterable[tuple[bytes, bytes]]) -> RequestContext:
    """Return the context that the headers give; what is wrong with them is kept as `fault`."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw_headers:
        headers.setdefault(name, value)
    given = headers.get(_REQUEST_ID)
    if given is None or not _SANE_ID.fullmatch(request_id := given.decode("latin-1")):
        request_id = f"{_ids.getrandbits(128):032x}"
    context = RequestContext(request_id=request_id, headers=headers, started=time.monotonic())
    if _REQUEST_DEADLINE in headers:
        _read_deadline(context)
    return context


def _read_deadline(context: RequestContext) -> None:
    text = context.header(names.REQUEST_DEADLINE)
    if text is None:
        return
    try:
        left = int(text) if text.isascii() and len(text) <= 20 else None
    except ValueError:
        left = None
    if left is None:
        context.fault = RequestRefused(
            "invalid_request",
            f"{names.REQUEST_DEADLINE}: {text[:40]!r} is not a whole number of milliseconds.",
            fix="Send the milliseconds that you will still wait, such as 2500.",
        )
    else:
        context.expires = context.started + min(left, MAX_DEADLINE_MS) / 1000
