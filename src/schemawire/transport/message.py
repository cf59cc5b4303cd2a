"""Requests and responses as values, and what their types say about sending twice; knows neither wires nor policies."""

import json
import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemawire.errors import BadReply

HeaderSource = Mapping[str, str] | Iterable[tuple[str, str]]
BodyFactory = Callable[[], AsyncIterable[bytes]]
Body = bytes | BodyFactory | AsyncIterable[bytes] | None
"""`bytes`, `None` or a factory of async iterables can be sent again; an async iterable itself can be sent once."""

# RFC 9110 §5.6.2 (token) and §5.5 (field values); a line break in a value would smuggle in a second header.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE_VALUE = re.compile(r"[\r\n\0]")
_SECRET_NAMES = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})


class Headers(Mapping[str, str]):
    """Header fields in their order: immutable, found without regard to case, several values per name.

    Args:
        source: a mapping, or pairs of name and value; a name may occur several times.

    Raises:
        ValueError: a name is no token, or a value holds a line break or NUL.
        TypeError: a name or a value is not a string.
    """

    __slots__ = ("_index", "_pairs", "_unread")

    def __init__(self, source: HeaderSource = ()) -> None:
        items = source.items() if isinstance(source, Mapping) else source
        pairs = tuple(items) if not isinstance(source, Headers) else source.pairs
        if not isinstance(source, Headers):
            for name, value in pairs:
                _require_field(name, value)
        self._pairs: tuple[tuple[str, str], ...] = pairs
        self._index: dict[str, tuple[str, ...]] | None = None
        self._unread: Callable[[], Iterable[tuple[str, str]]] | None = None

    @classmethod
    def received(cls, pairs: Iterable[tuple[str, str]]) -> "Headers":
        """Return headers whose form is already known to be right, because a wire has parsed them."""
        headers = cls.__new__(cls)
        headers._pairs = tuple(pairs)
        headers._index = headers._unread = None
        return headers

    @classmethod
    def unread(cls, read: Callable[[], Iterable[tuple[str, str]]]) -> "Headers":
        """Return headers that are taken apart only once somebody looks at them, for most are never looked at.

        Args:
            read: returns the fields; called once at most; their form is already known to be right.
        """
        headers = cls.__new__(cls)
        headers._index, headers._unread = None, read
        return headers

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every field as it was written, in order."""
        if self._unread is not None:
            self._pairs, self._unread = tuple(self._unread()), None
        return self._pairs

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        index = self._index
        if index is None:
            index = {}
            for name, value in self.pairs:
                lower = name.lower()
                index[lower] = (*index.get(lower, ()), value)
            self._index = index
        return index

    def __getitem__(self, name: str) -> str:
        """Return the values of `name` joined by `, ` as RFC 9110 §5.2 combines them."""
        return ", ".join(self._by_name()[name.lower()])

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of `name`, in order; empty when it is absent."""
        return self._by_name().get(name.lower(), ())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name()

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._by_name() == other._by_name()

    def __hash__(self) -> int:
        return hash(frozenset(self._by_name().items()))

    def replaced(self, source: HeaderSource) -> "Headers":
        """Return a copy in which the fields of `source` stand in place of those of the same names.

        Raises:
            ValueError: a name or value of `source` is not allowed in a header.
        """
        added = Headers(source)
        if not added.pairs:
            return self
        kept = tuple(pair for pair in self.pairs if pair[0].lower() not in added._by_name())
        return Headers.received(kept + added.pairs)

    def __repr__(self) -> str:
        shown = [(name, "…" if name.lower() in _SECRET_NAMES else value) for name, value in self.pairs]
        return f"Headers({shown!r})"


def is_token(text: str) -> bool:
    """Return whether `text` is a token: letters, digits and a few marks, as in the name of a field."""
    return _TOKEN.fullmatch(text) is not None


def _require_field(name: object, value: object) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header {name!r} has the {type(value).__name__} value {value!r}; names and values are strings")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name; use letters, digits and -")
    if _UNSAFE_VALUE.search(value) or not value.isprintable():
        raise ValueError(f"the value of header {name!r} holds a line break or another control character; remove it")


_NO_HEADERS = Headers()


# Not frozen: one is made for every attempt, and a frozen class takes four times as long.
@dataclass(slots=True, kw_only=True)
class Request:
    """One HTTP request as a wire sends it; `url` is absolute."""

    method: str
    url: str
    headers: Headers = _NO_HEADERS
    body: Body = field(default=None, repr=False)
    whole: bool = False
    """Whether the response is wanted in one piece, so that a wire may wait for more of it than its head."""

    @property
    def is_replayable(self) -> bool:
        """Whether the body can be sent a second time; decided by its type before the first attempt."""
        return is_replayable(self.body)

    def content(self) -> bytes | AsyncIterable[bytes] | None:
        """Return the body of one attempt: a factory is asked for a new iterable each time."""
        body = self.body
        if body is None or isinstance(body, bytes | AsyncIterable):
            return body
        return body()


def is_replayable(body: Body) -> bool:
    """Return whether `body` can be sent again: bytes, nothing, or a factory; an async iterable is used up by once."""
    return body is None or isinstance(body, bytes) or not isinstance(body, AsyncIterable)


def require_body(body: object) -> Body:
    """Return `body` unchanged if it is something that can be sent.

    Raises:
        TypeError: it is neither bytes, a factory, an async iterable nor `None`.
    """
    if body is None or isinstance(body, bytes) or callable(body) or isinstance(body, AsyncIterable):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    raise TypeError(
        f"body is a {type(body).__name__}; give bytes (text: `.encode()`, JSON: `json=`), "
        "a function that returns an async iterable of bytes, or such an iterable"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One complete HTTP response, whatever its status."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    url: str
    attempts: int = 1
    """How many attempts the call took, this one included."""
    elapsed: float = 0.0
    """Seconds from the start of the call to the last byte of this response."""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def text(self) -> str:
        """Return the body as text in the charset of its `Content-Type`, UTF-8 without one.

        Raises:
            BadReply: the body is not text in that charset.
        """
        try:
            return self.body.decode(charset_of(self.headers))
        except (UnicodeDecodeError, LookupError) as error:
            raise BadReply(f"The reply of {self.url} (status {self.status}) is not text: {error}") from error

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            BadReply: the body is not JSON; the message shows how it begins.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            start = self.body[:80]
            raise BadReply(f"The reply of {self.url} (status {self.status}) is not JSON: {start!r}") from error


def charset_of(headers: Headers) -> str:
    """Return the charset named in `Content-Type`, or `utf-8`."""
    found = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", headers.get("content-type", ""), re.IGNORECASE)
    return found.group(1) if found else "utf-8"
