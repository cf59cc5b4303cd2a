"""Follows one discovery for one client: keeps the last good places, tells of changes; knows no kind of source."""

import asyncio
import random
import weakref
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import MethodType

from schemawire.errors import NoEndpoint, SchemawireError
from schemawire.events import DiscoveryFailed, EndpointsChanged, Listener
from schemawire.transport.discovery.arrange import arranged
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.discovery.place import Listing, Place
from schemawire.transport.discovery.source import Discovery

Sink = Callable[[tuple[Place, ...]], None]
_LONGEST_REASON = 500
_HIGHEST_POWER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryStatistics:
    """How a client's discovery stands."""

    name: str
    places: int
    """Places that are in use."""
    listed: int
    """Places in the last good listing, before the choice of a subset."""
    updates: int
    """Listings that changed the places."""
    failures: int
    """Times that the source failed, listed nothing, or listed entries that cannot be used."""
    last_error: str
    """The last of these failures in words; empty once a listing has been good again."""


class Watcher:
    """Turns what a discovery tells into the places of a client.

    A source that fails, or lists nothing, changes nothing: the last good places stay in use, and the source is asked
    again after a pause. An empty listing counts as a failure, because a registry that has lost its memory must not
    take the service down with it.

    Args:
        source: what is followed.
        options: zone, subset and pauses.
        sink: a bound method that takes the places whenever they change; its object is held weakly, so that a client
            which nobody uses any more is not kept alive, and the watching ends.
        listener: hears `EndpointsChanged` and `DiscoveryFailed`.
        draw: a source of uniform draws from [0, 1).
    """

    # Invariants: `_listing` is the last good one, and `_places` what the sink was given last; `_known` is set once that
    # is not empty; there is at most one task, and only `aclose` or the end of its event loop cancels it.

    def __init__(
        self,
        source: Discovery,
        options: DiscoveryConfig,
        sink: Sink,
        *,
        listener: Listener | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        assert isinstance(sink, MethodType)  # noqa: S101  # only bound methods can be held weakly
        self._source = source
        self._options = options
        self._sink: weakref.WeakMethod[Sink] = weakref.WeakMethod(sink)
        self._listener = listener
        self._draw = draw
        self._listing: tuple[Place, ...] = ()
        self._places: tuple[Place, ...] = ()
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failed_in_a_row = self._listed = self._updates = self._failures = 0
        self._last_error = ""

    def start(self) -> None:
        """Begin to follow the source on the running event loop; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._follow(), name=f"discovery {self._source.name}")

    async def first(self, deadline: float) -> None:
        """Wait until there are places.

        Args:
            deadline: the event loop's time at which the call must end.

        Raises:
            NoEndpoint: there are none after `first_wait`, or by the deadline; the message says what the source said.

        *Cancelled:* nothing changes; the source is still followed.
        """
        if self._known.is_set():
            return
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(deadline, now + self._options.first_wait)):
                await self._known.wait()
        except TimeoutError:
            why = self._last_error or "it has not answered yet"
            raise NoEndpoint(f"{self._source.name} has named no endpoint so far: {why}") from None

    def replace_options(self, options: DiscoveryConfig) -> None:
        """Arrange the last good listing, and every later one, in another way."""
        self._options = options
        sink = self._sink()
        if sink is None or not self._listing:
            return
        places = arranged(self._listing, options)
        if places != self._places:
            self._change(places, sink)

    async def aclose(self) -> None:
        """Stop following; the places stay as they are. Safe to call twice, and on another event loop."""
        task, self._task = self._task, None
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.wait([task])

    def statistics(self) -> DiscoveryStatistics:
        """Return the present state."""
        return DiscoveryStatistics(
            name=self._source.name,
            places=len(self._places),
            listed=self._listed,
            updates=self._updates,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def _follow(self) -> None:
        while self._sink() is not None:
            try:
                await self._take_all()
            except Exception as error:
                # Whatever a source raises must not end the watch: a silent discovery is a client that grows stale.
                await asyncio.sleep(self._note(error))

    async def _take_all(self) -> None:
        """Take every listing over until nobody wants one any more."""
        async with aclosing(self._source.watch()) as listings:
            async for listing in listings:
                if not self.take(listing):
                    return
        raise NoEndpoint(f"{self._source.name} ended without a reason")

    def take(self, listing: Listing) -> bool:
        """Take a listing over, and return whether anybody still wants one."""
        sink = self._sink()
        if sink is None:
            return False
        if not listing.places:
            self._tell_failure("; ".join(listing.problems) or "it lists no endpoint", None, None)
            return True
        self._failed_in_a_row = 0
        self._last_error = ""
        self._listed = len(listing.places)
        if listing.problems:
            left_out = f"{len(listing.problems)} entries are left out: {'; '.join(listing.problems[:5])}"
            self._tell_failure(left_out, None, None)
        self._listing = tuple(listing.places)
        places = arranged(self._listing, self._options)
        if places != self._places:
            self._change(places, sink)
        return True

    def _change(self, places: tuple[Place, ...], sink: Sink) -> None:
        before, after = {place.url for place in self._places}, {place.url for place in places}
        sink(places)
        self._places = places
        self._updates += 1
        self._known.set()
        if self._listener is not None:
            self._listener.on_event(
                EndpointsChanged(
                    name=self._source.name,
                    added=tuple(sorted(after - before)),
                    removed=tuple(sorted(before - after)),
                    total=len(places),
                )
            )

    def _note(self, failure: Exception) -> float:
        """Take note of a failure and return the pause before the next try, seconds."""
        options = self._options
        span = min(options.longest_pause, options.retry_pause * 2.0 ** min(self._failed_in_a_row, _HIGHEST_POWER))
        self._failed_in_a_row += 1
        # Half of it is drawn, so that the clients of a registry that comes back do not all arrive at once.
        pause = span / 2 + self._draw() * span / 2
        message = failure.message if isinstance(failure, SchemawireError) else f"{type(failure).__name__}: {failure}"
        self._tell_failure(message, pause, failure)
        return pause

    def _tell_failure(self, reason: str, retry_in: float | None, error: Exception | None) -> None:
        self._failures += 1
        self._last_error = reason[:_LONGEST_REASON]
        if self._listener is not None:
            self._listener.on_event(
                DiscoveryFailed(
                    name=self._source.name,
                    reason=self._last_error,
                    kept=len(self._places),
                    retry_in=retry_in,
                    error=error,
                )
            )
