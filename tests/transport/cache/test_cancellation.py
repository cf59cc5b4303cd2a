"""Random callers, writes and cancellations on virtual time: nothing stays behind, and nothing served is old."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from schemawire.testing import Reply, ScriptedWire, run_virtual, settle
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
