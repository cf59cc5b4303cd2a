"""The stored responses of one cache: found, kept, brought up to date and dropped; sends nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from schemawire.resilience.call import Context
from schemawire.transport.attempt import Call
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.cache_control import Directives, directives_of
from schemawire.transport.entry import (
    Entry,
    entry_of,
    partition_of,
    selecting_of,
    storable_pairs,
    variant_of,
    vary_of,
)
from schemawire.transport.freshness import initial_age, is_storable, may_stand_in, request_directives
from schemawire.transport.invalidation import points_to
from schemawire.transport.message import Headers, Response
from schemawire.transport.stores.record import CacheStore, Record
from schemawire.transport.validation import freshened, same_representation, with_date


class Read:
    """One read that is on its way: what it asks for and what is stored for it.

    Invariant: once `overtaken` is set, a write to the same resource has ended since the read began, and what it brings
    is not stored.
    """

    __slots__ = ("call", "context", "entry", "overtaken", "partition", "reason", "resource", "wanted")

    def __init__(self, context: Context, resource: str, partition: str, wanted: Directives) -> None:
        self.context = context
        self.call: Call = context.call
        self.resource = resource
        self.partition = partition
        self.wanted = wanted
        """The request's own cache directives."""
        self.entry: Entry | None = None
        """The stored response that matches it."""
        self.reason = "uri-miss"
        """Why it must be sent, in the words of RFC 9211."""
        self.overtaken = False


class Shelf:
    """What a cache has stored, by resource, credentials and the fields that `Vary` names.

    Invariant: a response that was requested before a write to its resource ended is not stored after it.

    Args:
        options: what is kept, and for whom.
        store: where.
        service: tells the resources of one service from those of another in the same store.
    """

    def __init__(self, options: CacheConfig, store: CacheStore, *, service: str) -> None:
        self.store = store
        self.writes = 0
        """How many writes have ended; reads from before and after one are not equal."""
        self.stored = 0
        self.invalidated = 0
        self._options = options
        self._service = service
        self._clock = options.clock
        self._under_way: dict[str, set[Read]] = {}

    def _resource(self, target: str) -> str:
        return f"{self._service} {target}"

    def _read(self, context: Context) -> Read:
        call: Call = context.call
        partition = "" if self._options.shared else partition_of(call.headers)
        return Read(context, self._resource(call.target), partition, request_directives(call.headers))

    async def look_up(self, context: Context) -> Read:
        """Return what a call asks for, with the stored response that matches it."""
        read = self._read(context)
        records = await self.store.find(read.resource)
        if records:
            read.entry = _selected(records, read.partition, read.call.headers)
            read.reason = "vary-miss"
        return read

    @contextmanager
    def under_way(self, read: Read) -> Iterator[None]:
        """Mark a read as sent, so that a write which ends meanwhile can overtake it."""
        self._under_way.setdefault(read.resource, set()).add(read)
        try:
            yield
        finally:
            others = self._under_way[read.resource]
            others.discard(read)
            if not others:
                del self._under_way[read.resource]

    async def keep(self, read: Read, response: Response, requested_at: float) -> bool:
        """Store a response if it may be stored, forget what it supersedes, and return whether it is stored."""
        now = self._clock()
        return await self._put(read, self._entry(read, response, requested_at, now), now)

    async def keep_posted(self, context: Context, response: Response) -> None:
        """Store the answer to a POST for later reads if it says that it represents the resource itself.

        *Source:* RFC 9110 §9.3.3.
        """
        location = response.headers.get("content-location")
        if location is None or not response.is_success or not points_to(location, response.url):
            return
        read, now = self._read(context), self._clock()
        await self._put(read, self._entry(read, response, now - response.elapsed, now), now, method="POST")

    async def confirm(self, read: Read, entry: Entry, answer: Headers, requested_at: float) -> tuple[Entry, bool]:
        """Bring a stored response up to date by a 304, and return it and whether it is stored."""
        now = self._clock()
        fresh = freshened(
            entry,
            answer,
            read.call.headers,
            requested_at=requested_at,
            received_at=now,
            shared=self._options.shared,
        )
        return fresh, await self._put(read, fresh, now)

    async def after_head(self, read: Read, response: Response, requested_at: float) -> None:
        """Bring the stored response up to date by the answer to a HEAD, or forget it (RFC 9111 §4.3.5)."""
        entry = read.entry
        if entry is None or read.overtaken or response.status != entry.status:
            return
        if same_representation(entry, response.headers):
            await self.confirm(read, entry, response.headers, requested_at)
        else:
            await self.store.drop(read.resource, variant_of(entry.partition, entry.selecting))

    def _entry(self, read: Read, response: Response, requested_at: float, now: float) -> Entry:
        headers = with_date(response.headers, now)
        return Entry(
            status=response.status,
            headers=Headers.received(storable_pairs(headers, directives_of(headers), shared=self._options.shared)),
            body=response.body,
            url=response.url,
            partition=read.partition,
            selecting=selecting_of(vary_of(headers) or (), read.call.headers),
            received_at=now,
            initial_age=initial_age(headers, requested_at, now),
        )

    async def _put(self, read: Read, entry: Entry, now: float, *, method: str = "GET") -> bool:
        if read.overtaken:
            return False
        before, record, options = read.entry, entry.record(), self._options
        fits = len(entry.body) <= min(options.max_entry_bytes, options.max_bytes)
        storable = fits and is_storable(entry.status, entry.headers, read.call.headers, now, options, method=method)
        superseded = None if before is None else variant_of(before.partition, before.selecting)
        if superseded is not None and entry.status < 500 and not (storable and superseded == record.variant):
            await self.store.drop(read.resource, superseded)
        # Asked again, because a write may have ended while the store was forgetting.
        stored = storable and not read.overtaken and await self.store.put(read.resource, record)
        self.stored += stored
        return stored

    def may_stand_in(self, read: Read, *, unreachable: bool) -> bool:
        """Return whether what is stored may be served in place of an error; see `freshness.may_stand_in`."""
        entry, now = read.entry, self._clock()
        return entry is not None and may_stand_in(entry, read.wanted, now, self._options, unreachable=unreachable)

    async def invalidate(self, targets: Sequence[str]) -> None:
        """Forget every stored response of some resources, for all credentials, and whatever is on its way for them."""
        self.writes += 1
        resources = [self._resource(target) for target in targets]
        for resource in resources:
            for read in self._under_way.get(resource, ()):
                read.overtaken = True
        for resource in resources:
            self.invalidated += await self.store.drop(resource)

    async def forget(self, target: str) -> int:
        """Forget a target and everything below it, with any query, and return how many responses were stored.

        Whatever is on its way for them is not stored either.
        """
        self.writes += 1
        resource = self._resource(target)
        below = (resource,) if resource.endswith("/") else (f"{resource}/", f"{resource}?")
        for name, reads in self._under_way.items():
            if name == resource or name.startswith(below):
                for read in reads:
                    read.overtaken = True
        dropped = await self.store.drop(resource)
        for prefix in below:
            dropped += await self.store.drop_below(prefix)
        self.invalidated += dropped
        return dropped


def _selected(records: Sequence[Record], partition: str, headers: Headers) -> Entry | None:
    """Return the latest stored response that may answer a request (RFC 9111 §4.1); what cannot be read is not there."""
    found: Entry | None = None
    for record in records:
        try:
            entry = entry_of(record)
        except (ValueError, TypeError):
            continue
        if entry.matches(partition, headers) and (found is None or entry.received_at > found.received_at):
            found = entry
    return found
