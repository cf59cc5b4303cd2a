"""Random callers, writes and cancellations on virtual time: nothing stays behind, and nothing served is old."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from schemawire.testing import Reply, ScriptedWire, cancel_at_every_await, run_virtual, settle
from schemawire.transport import CacheConfig, Client, Request

Actions = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "write", "keyed"]),
        st.sampled_from(["/a", "/b"]),
        st.integers(0, 30),
        st.one_of(st.none(), st.integers(0, 30)),
    ),
    min_size=1,
    max_size=30,
)
TICK = 0.01


class Service:
    """Keeps one number per resource: a write counts it up, a read tells it, both after a while."""

    def __init__(self) -> None:
        self.values = {"/a": 0, "/b": 0}
        self.finished = {"/a": 0, "/b": 0}

    def __call__(self, request: Request) -> Reply:
        path = request.url.removeprefix("http://service")
        if request.method == "POST":
            self.values[path] += 1
        headers = [("Cache-Control", "max-age=5, stale-while-revalidate=5, stale-if-error=5"), ("ETag", '"x"')]
        return Reply(headers=headers, chunks=(str(self.values[path]).encode(),), delay=5 * TICK, chunk_delay=2 * TICK)


async def act(client: Client, service: Service, kind: str, path: str) -> None:
    """Do one thing; a read must not be older than the last write that had ended when it began."""
    if kind == "read":
        known = service.finished[path]
        response = await client.request("GET", path)
        assert int(response.body) >= known, "older than a write that had ended before"
        return
    key = f"key-{path}" if kind == "keyed" else None
    response = await client.request("POST", path, idempotency_key=key)
    service.finished[path] = max(service.finished[path], int(response.body))


@given(actions=Actions)
@settings(max_examples=60, deadline=None)
def test_random_cancellation_leaves_every_gauge_at_zero(actions: list[tuple[str, str, int, int | None]]) -> None:
    """After any mix of reads, writes and cancellations nothing flies or waits, and every read saw the last write."""

    async def run() -> None:
        service, loop = Service(), asyncio.get_running_loop()
        wire = ScriptedWire(then=service)
        async with Client("http://service", wire=wire, cache=CacheConfig(clock=wall(loop.time))) as client:
            tasks: list[asyncio.Task[None]] = []
            for kind, path, start, cancelled_at in actions:
                tasks.append(asyncio.create_task(later(start, act(client, service, kind, path))))
                if cancelled_at is not None:
                    loop.call_later((start + cancelled_at) * TICK, tasks[-1].cancel)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
            await asyncio.sleep(1)
            await settle()
            statistics = client.statistics()
            assert statistics.cache is not None
            assert (statistics.cache.flight.flying, statistics.cache.flight.waiting) == (0, 0)
            assert (statistics.cache.refreshing, statistics.calls.in_flight) == (0, 0)
            assert statistics.wire.in_flight == 0

    run_virtual(run())


def make() -> Client:
    """A client whose cache has something to do at each turn: store, validate, refresh, share."""
    control = "max-age=1, stale-while-revalidate=1, stale-if-error=60"
    reply = Reply(headers=[("Cache-Control", control), ("ETag", '"x"')], chunks=(b"a",), delay=0.1, chunk_delay=0.1)
    options = CacheConfig(clock=wall(asyncio.get_running_loop().time))
    return Client("http://service", wire=ScriptedWire(then=reply), cache=options)


async def every_path(client: Client) -> None:
    """Share a cold read, be answered stale with a refresh, validate, and share a keyed write."""
    await asyncio.gather(*(client.request("GET", "/") for _ in range(3)))
    await asyncio.sleep(1.5)
    await client.request("GET", "/")
    await asyncio.sleep(5)
    await asyncio.gather(client.request("GET", "/"), client.request("HEAD", "/"))
    await asyncio.gather(*(client.request("POST", "/", idempotency_key="k") for _ in range(2)))


def nothing_is_held(client: Client) -> None:
    """Nothing flies, waits, refreshes or is in flight."""
    statistics = client.statistics()
    assert statistics.cache is not None
    assert (statistics.cache.flight.flying, statistics.cache.flight.waiting) == (0, 0)
    assert (statistics.cache.refreshing, statistics.calls.in_flight, statistics.wire.in_flight) == (0, 0, 0)
    assert statistics.cache.store.entries <= 1


def test_cancellation_at_every_await_leaves_nothing_behind() -> None:
    """Wherever a caller is cancelled, in its own task or in a shared one, every gauge returns to zero."""
    report = cancel_at_every_await(make, every_path, check=nothing_is_held)
    assert report.cancelled > 20


def wall(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a wall clock that runs with the event loop's."""
    return lambda: 1_800_000_000.0 + clock()


async def later(ticks: int, action: object) -> None:
    """Wait, then act."""
    assert asyncio.iscoroutine(action)
    try:
        await asyncio.sleep(ticks * TICK)
    except asyncio.CancelledError:
        action.close()
        raise
    await action
