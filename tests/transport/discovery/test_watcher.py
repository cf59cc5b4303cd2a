"""Following a source: the last good places are kept through failures, and changes are told once."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Sequence

import pytest
from tests.transport.scripted_client import Notes

from schemawire.errors import ConnectFailed, NoEndpoint
from schemawire.events import DiscoveryFailed, EndpointsChanged
from schemawire.testing.virtual_time import virtual_time
from schemawire.transport.discovery import DiscoveryConfig, Listing, Place, Watcher

Step = Listing | Exception | float


class ScriptedDiscovery:
    """Plays steps: a listing is told, an error raised, a number waited for in seconds; then it is silent."""

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.begun = 0
        self.closed = 0

    async def watch(self) -> AsyncGenerator[Listing, None]:
        self.begun += 1
        try:
            while self._steps:
                step = self._steps.pop(0)
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Listing):
                    yield step
                else:
                    await asyncio.sleep(step)
            await asyncio.Event().wait()
        finally:
            self.closed += 1


class Sink:
    """Takes places, and keeps each set with the time at which it came."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, list[str]]] = []

    def take(self, places: Sequence[Place]) -> None:
        self.taken.append((asyncio.get_running_loop().time(), [place.url for place in places]))


def listed(*urls: str, problems: tuple[str, ...] = ()) -> Listing:
    return Listing(places=tuple(Place(url=url) for url in urls), problems=problems)


async def followed(*steps: Step, seconds: float = 1000.0) -> tuple[Sink, Notes, Watcher]:
    """Follow a script for some time."""
    sink, notes = Sink(), Notes()
    watcher = Watcher(ScriptedDiscovery(*steps), DiscoveryConfig(), sink.take, listener=notes)
    watcher.start()
    await asyncio.sleep(seconds)
    await watcher.aclose()
    return sink, notes, watcher


@virtual_time
async def test_changes_are_told_and_equal_listings_are_not() -> None:
    """The sink hears of each other set once, whatever its order, and the event says who came and went."""
    sink, notes, watcher = await followed(
        listed("http://a", "http://b"), listed("http://b", "http://a"), listed("http://b", "http://c")
    )
    assert [urls for _, urls in sink.taken] == [["http://a", "http://b"], ["http://b", "http://c"]]
    last = notes.events[-1]
    assert isinstance(last, EndpointsChanged)
    assert (last.added, last.removed, last.total) == (("http://c",), ("http://a",), 2)
    assert watcher.statistics().updates == 2


@virtual_time
async def test_last_good_places_are_kept_while_the_source_is_down() -> None:
    """Failures change nothing, are told, and are followed by growing pauses up to the longest."""
    sink, notes, watcher = await followed(listed("http://a"), *[ConnectFailed("down")] * 12, listed("http://b"))
    failures = [event for event in notes.events if isinstance(event, DiscoveryFailed)]
    pauses = [event.retry_in or 0.0 for event in failures]
    assert [urls for _, urls in sink.taken] == [["http://a"], ["http://b"]]
    assert len(failures) == 12
    assert all(event.kept == 1 and event.reason == "down" for event in failures)
    assert all(min(30.0, 0.5 * 2**n) / 2 <= pause <= min(30.0, 0.5 * 2**n) for n, pause in enumerate(pauses))
    assert watcher.statistics().last_error == ""


@virtual_time
async def test_empty_listing_keeps_the_last_good_places() -> None:
    """A registry that has lost its memory does not take the service down with it."""
    sink, notes, watcher = await followed(listed("http://a"), listed())
    assert [urls for _, urls in sink.taken] == [["http://a"]]
    assert watcher.statistics().places == 1
    assert "no endpoint" in watcher.statistics().last_error
    assert isinstance(notes.events[-1], DiscoveryFailed)


@virtual_time
async def test_unexpected_error_of_a_source_does_not_end_the_watch() -> None:
    """A source of somebody else may raise anything; the client must not grow stale in silence."""
    sink, _, watcher = await followed(RuntimeError("surprise"), listed("http://a"))
    assert [urls for _, urls in sink.taken] == [["http://a"]]
    assert watcher.statistics().failures == 1


@virtual_time
async def test_entries_left_out_are_told() -> None:
    """What is good of a listing is used, and what is not is named."""
    sink, notes, _ = await followed(listed("http://a", problems=("7 is no address",)))
    assert [urls for _, urls in sink.taken] == [["http://a"]]
    assert any(isinstance(event, DiscoveryFailed) and "7 is no address" in event.reason for event in notes.events)


@virtual_time
async def test_first_call_waits_for_the_first_listing() -> None:
    """It goes on as soon as there are places, and not before."""
    sink = Sink()
    watcher = Watcher(ScriptedDiscovery(3.0, listed("http://a")), DiscoveryConfig(), sink.take)
    watcher.start()
    started = asyncio.get_running_loop().time()
    await watcher.first(started + 100.0)
    assert asyncio.get_running_loop().time() - started == pytest.approx(3.0)
    await watcher.aclose()


@pytest.mark.parametrize(("deadline", "waited"), [(2.0, 2.0), (100.0, 10.0)])
@virtual_time
async def test_wait_for_the_first_listing_ends(deadline: float, waited: float) -> None:
    """It ends by the call's deadline or after `first_wait`, and says what the source said."""
    sink = Sink()
    watcher = Watcher(ScriptedDiscovery(ConnectFailed("no route")), DiscoveryConfig(), sink.take)
    watcher.start()
    started = asyncio.get_running_loop().time()
    with pytest.raises(NoEndpoint, match="no route"):
        await watcher.first(started + deadline)
    assert asyncio.get_running_loop().time() - started == pytest.approx(waited)
    await watcher.aclose()


@virtual_time
async def test_cancelled_waiter_leaves_the_watch_alone() -> None:
    """Giving up on a call says nothing about the source."""
    sink, source = Sink(), ScriptedDiscovery(3.0, listed("http://a"))
    watcher = Watcher(source, DiscoveryConfig(), sink.take)
    watcher.start()
    waiting = asyncio.create_task(watcher.first(100.0))
    await asyncio.sleep(1.0)
    waiting.cancel()
    await asyncio.sleep(5.0)
    assert waiting.cancelled()
    assert len(sink.taken) == 1
    await watcher.aclose()


@virtual_time
async def test_closing_closes_the_source() -> None:
    """Nothing of a source is left open, and a second close does nothing."""
    source, sink = ScriptedDiscovery(listed("http://a")), Sink()
    watcher = Watcher(source, DiscoveryConfig(), sink.take)
    watcher.start()
    await watcher.first(100.0)
    await watcher.aclose()
    await watcher.aclose()
    assert (source.begun, source.closed) == (1, 1)


@virtual_time
async def test_watch_ends_with_the_client_that_nobody_uses_any_more() -> None:
    """The watch does not keep its sink alive, and stops at its next listing."""
    sink = Sink()
    gone = weakref.ref(sink)
    source = ScriptedDiscovery(listed("http://a"), 10.0, listed("http://b"), 10.0, listed("http://c"))
    watcher = Watcher(source, DiscoveryConfig(), sink.take)
    watcher.start()
    await asyncio.sleep(1.0)
    del sink
    gc.collect()
    assert gone() is None
    await asyncio.sleep(15.0)
    assert source.closed == 1


@virtual_time
async def test_flapping_source_is_followed_without_losing_everything() -> None:
    """Lists that come and go in turn are each taken over; the places are never empty."""
    steps: list[Step] = []
    for _ in range(50):
        steps += [listed("http://a", "http://b"), 1.0, listed("http://b"), 1.0, listed(), ConnectFailed("flap")]
    sink, _, _ = await followed(*steps, seconds=3000.0)
    assert len(sink.taken) == 100
    assert all(urls for _, urls in sink.taken)
