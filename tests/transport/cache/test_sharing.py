"""Equal calls share one request, cancelled callers leave nothing behind, and writes overtake reads."""

import asyncio
from typing import Any

import pytest
from tests.transport.cache.origin import CUT, Clock, Origin, Reply

from schemawire.errors import CircuitOpen, Closed, ConnectionLost, DeadlineExceeded
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.transport import CacheConfig, CacheStatistics, Client, Response

KEPT = [("Cache-Control", "max-age=60")]


def client_of(origin: Origin, clock: Clock, *, breaker: CircuitBreakerConfig | None = None, **options: Any) -> Client:
    config = CacheConfig(clock=clock, **options)
    return Client(origin.url, retry=None, breaker=breaker, cache=config)


def cache_of(client: Client) -> CacheStatistics:
    found = client.statistics().cache
    assert found is not None
    return found


def status_of(response: Response) -> str:
    return response.headers["cache-status"]


def assert_idle(client: Client) -> None:
    """Nothing flies, waits, refreshes or is in flight."""
    cache = cache_of(client)
    assert (cache.flight.flying, cache.flight.waiting, cache.refreshing) == (0, 0, 0)
    assert client.statistics().calls.in_flight == 0
    assert client.statistics().wire.in_flight == 0


async def test_twenty_cold_reads_make_one_request() -> None:
    """Concurrent equal reads share one request, which is counted once, and the followers say so."""
    gate = asyncio.Event()
    async with Origin(Reply(headers=KEPT, gate=gate)) as origin, client_of(origin, Clock()) as client:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.request("GET", "/r")) for _ in range(20)]
            await origin.arrived.wait()
            gate.set()
        responses = [task.result() for task in tasks]
        assert len(origin.asked) == 1
        assert {response.body for response in responses} == {b"one"}
        assert sum("collapsed" in status_of(response) for response in responses) == 19
        assert client.statistics().calls.attempts == 1
        assert cache_of(client).store.entries == 1
        assert_idle(client)


async def test_uncacheable_reads_are_shared_while_they_run_and_not_later() -> None:
    """Sharing is not storing: what may not be stored is fetched again afterwards."""
    gate = asyncio.Event()
    reply = Reply(headers=[("Cache-Control", "no-store")], gate=gate)
    async with Origin(reply) as origin, client_of(origin, Clock()) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(client.request("GET", "/r"))
            await origin.arrived.wait()
            gate.set()
        await client.request("GET", "/r")
        assert len(origin.asked) == 2
        assert cache_of(client).store.entries == 0


async def test_reads_with_other_headers_or_credentials_are_not_shared() -> None:
    """Only calls that would send the same are equal."""
    gate = asyncio.Event()
    async with Origin(Reply(headers=KEPT, gate=gate)) as origin, client_of(origin, Clock()) as client:
        async with asyncio.TaskGroup() as group:
            for user in ("a", "b", "a"):
                group.create_task(client.request("GET", "/r", headers={"Authorization": user}))
            while len(origin.asked) < 2:
                origin.arrived.clear()
                await origin.arrived.wait()
            gate.set()
        assert sorted(each.headers["authorization"] for each in origin.asked) == ["a", "b"]


async def test_concurrent_writes_with_one_key_make_one_request() -> None:
    """A write with an idempotency key is shared with an equal one that runs, and repeated once that has ended."""
    gate = asyncio.Event()
    async with Origin(Reply(status=201, body=b"made", gate=gate)) as origin, client_of(origin, Clock()) as client:

        def write(key: str, amount: int) -> "asyncio.Task[Response]":
            return group.create_task(client.request("POST", "/orders", json={"n": amount}, idempotency_key=key))

        async with asyncio.TaskGroup() as group:
            tasks = [write("k", 1), write("k", 1), write("k", 2), write("other", 1)]
            while len(origin.asked) < 3:
                origin.arrived.clear()
                await origin.arrived.wait()
            gate.set()
        assert [task.result().status for task in tasks] == [201] * 4
        assert len(origin.asked) == 3
        assert_idle(client)


async def test_writes_without_a_key_are_never_shared() -> None:
    """Two equal POSTs are two orders."""
    async with Origin(Reply(status=201)) as origin, client_of(origin, Clock()) as client:
        await asyncio.gather(*(client.request("POST", "/orders", json={"n": 1}) for _ in range(3)))
        assert len(origin.asked) == 3


async def test_a_cancelled_caller_leaves_the_others_their_response() -> None:
    """The request belongs to nobody: the first caller may leave, and it goes on for the rest."""
    gate = asyncio.Event()
    async with Origin(Reply(headers=KEPT, gate=gate)) as origin, client_of(origin, Clock()) as client:
        first = asyncio.create_task(client.request("GET", "/r"))
        await origin.arrived.wait()
        second = asyncio.create_task(client.request("GET", "/r"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        gate.set()
        assert (await second).body == b"one"
        assert len(origin.asked) == 1
        assert_idle(client)


async def test_when_every_caller_is_cancelled_nothing_is_stored() -> None:
    """The last one to leave ends the request; no half of a response stays, and every gauge is at zero."""
    gate = asyncio.Event()
    async with Origin(Reply(headers=KEPT, gate=gate)) as origin, client_of(origin, Clock()) as client:
        tasks = [asyncio.create_task(client.request("GET", "/r")) for _ in range(10)]
        await origin.arrived.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert cache_of(client).store.entries == 0
        assert_idle(client)
        gate.set()
        assert "uri-miss" in status_of(await client.request("GET", "/r"))


async def test_a_read_that_a_write_overtakes_is_not_stored() -> None:
    """What was requested before a write ended may be older than the write."""
    gate = asyncio.Event()
    async with Origin(Reply(headers=KEPT, body=b"old", gate=gate)) as origin, client_of(origin, Clock()) as client:
        reading = asyncio.create_task(client.request("GET", "/r"))
        await origin.arrived.wait()
        origin.replies[:] = [Reply(body=b"done"), Reply(headers=KEPT, body=b"new")]
        await client.request("PUT", "/r", body=b"new")
        assert (await client.request("GET", "/r")).body == b"new", "it must not join a read from before the write"
        gate.set()
        assert (await reading).body == b"old"
        assert (await client.request("GET", "/r")).body == b"new"


async def test_a_stale_response_is_served_while_one_refresh_runs() -> None:
    """stale-while-revalidate: callers wait for nothing, the refresh is shared, owned, and then seen."""
    clock, gate = Clock(), asyncio.Event()
    first = Reply(headers=[("Cache-Control", "max-age=1, stale-while-revalidate=60"), ("ETag", '"a"')])
    async with Origin(first) as origin, client_of(origin, clock) as client:
        await client.request("GET", "/r")
        clock.now += 10
        origin.arrived.clear()
        origin.replies[:] = [Reply(headers=[*KEPT, ("ETag", '"b"')], body=b"two", gate=gate)]
        answers = [await client.request("GET", "/r") for _ in range(5)]
        assert {answer.body for answer in answers} == {b"one"}
        assert all("hit; ttl=-" in status_of(answer) for answer in answers)
        await origin.arrived.wait()
        assert cache_of(client).refreshing == 1
        assert origin.asked[-1].headers["if-none-match"] == '"a"'
        gate.set()
        async with asyncio.timeout(5):
            while cache_of(client).refreshing:  # noqa: ASYNC110  # a gauge has no event
                await asyncio.sleep(0)
        assert (await client.request("GET", "/r")).body == b"two"
        assert len(origin.asked) == 2
        assert_idle(client)


async def test_after_its_grace_a_stale_response_is_validated() -> None:
    """stale-while-revalidate ends when it says."""
    clock = Clock()
    reply = Reply(headers=[("Cache-Control", "max-age=1, stale-while-revalidate=5")])
    async with Origin(reply) as origin, client_of(origin, clock) as client:
        await client.request("GET", "/r")
        clock.now += 7
        assert "fwd=stale" in status_of(await client.request("GET", "/r"))
        assert cache_of(client).refreshing == 0


async def test_a_refresh_asks_without_the_callers_own_condition() -> None:
    """A caller's `If-None-Match` says what the caller has, not what is stored."""
    clock, reply = Clock(), Reply(headers=[("Cache-Control", "max-age=1, stale-while-revalidate=60")])
    async with Origin(reply) as origin, client_of(origin, clock) as client:
        await client.request("GET", "/r")
        clock.now += 10
        origin.arrived.clear()
        await client.request("GET", "/r", headers={"If-None-Match": '"mine"'})
        await origin.arrived.wait()
        assert "if-none-match" not in origin.asked[-1].headers


async def test_closing_ends_refreshes() -> None:
    """A refresh is owned: `aclose` cancels it and leaves no task behind."""
    clock, gate = Clock(), asyncio.Event()
    async with Origin(Reply(headers=[("Cache-Control", "max-age=1, stale-while-revalidate=60")])) as origin:
        client = client_of(origin, clock)
        await client.request("GET", "/r")
        clock.now += 10
        origin.arrived.clear()
        origin.replies[:] = [Reply(gate=gate)]
        await client.request("GET", "/r")
        await origin.arrived.wait()
        await client.aclose()
        assert_idle(client)


async def test_a_failed_refresh_keeps_the_stale_response() -> None:
    """What fails behind the caller's back stays there."""
    clock = Clock()
    reply = Reply(headers=[("Cache-Control", "max-age=1, stale-while-revalidate=60")])
    async with Origin(reply, CUT) as origin, client_of(origin, clock) as client:
        await client.request("GET", "/r")
        clock.now += 10
        for turn in range(3):
            assert (await client.request("GET", "/r")).body == b"one"
            async with asyncio.timeout(5):
                while cache_of(client).refreshing:  # noqa: ASYNC110  # a gauge has no event
                    await asyncio.sleep(0)
            assert len(origin.asked) == turn + 2
        assert cache_of(client).hits == 3


async def test_a_silent_service_is_covered_just_before_the_deadline() -> None:
    """A stale response in time is better than none; without one the deadline is exceeded."""
    clock, gate = Clock(), asyncio.Event()
    async with Origin(Reply(headers=[("Cache-Control", "max-age=1")])) as origin, client_of(origin, clock) as client:
        await client.request("GET", "/r")
        clock.now += 5
        origin.replies[:] = [Reply(gate=gate)]
        response = await client.request("GET", "/r", deadline=0.2)
        assert "stale-if-error" in status_of(response)
        with pytest.raises(DeadlineExceeded):
            await client.request("GET", "/unknown", deadline=0.1)
        assert_idle(client)


async def test_what_lies_below_a_path_is_forgotten_together() -> None:
    """`forget` names a subtree: the path, its queries and everything below it, and no sibling."""
    async with Origin(Reply(headers=KEPT)) as origin, client_of(origin, Clock()) as client:
        for path in ("/p", "/p/versions/1", "/p2", "/"):
            await client.request("GET", path)
        await client.request("GET", "/p", params={"version": 1})
        assert await client.forget("/p") == 3
        assert await client.forget("/p") == 0
        assert "hit" in status_of(await client.request("GET", "/p2"))
        assert "uri-miss" in status_of(await client.request("GET", "/p"))
        assert await client.forget("/") == 3


async def test_an_open_breaker_does_not_hide_what_is_stored() -> None:
    """A stale response stands in for a refusal too; without one the refusal is raised."""
    clock, breaker = Clock(), CircuitBreakerConfig(failure_threshold=1)
    reply = Reply(headers=[("Cache-Control", "max-age=1, stale-if-error=600")])
    async with Origin(reply, CUT) as origin, client_of(origin, clock, breaker=breaker) as client:
        await client.request("GET", "/r")
        clock.now += 5
        for _ in range(3):
            assert "stale-if-error" in status_of(await client.request("GET", "/r"))
        with pytest.raises(CircuitOpen):
            await client.request("GET", "/unknown")
        # The first cut hit a kept connection, which says nothing; the second, on a new one, opened the breaker.
        assert len(origin.asked) == 3


async def test_a_closed_client_refuses_even_what_is_stored() -> None:
    """Nothing stands in for a caller's own mistake."""
    async with Origin(Reply(headers=KEPT)) as origin:
        client = client_of(origin, Clock())
        await client.request("GET", "/r")
        await client.aclose()
        with pytest.raises(Closed):
            await client.request("GET", "/r")


async def test_a_shared_failure_reaches_every_caller() -> None:
    """Without a stored response the error is everybody's."""
    async with Origin(CUT) as origin, client_of(origin, Clock()) as client:
        failures = await asyncio.gather(*(client.request("GET", "/r") for _ in range(4)), return_exceptions=True)
        assert all(isinstance(failure, ConnectionLost) for failure in failures)
        assert_idle(client)


async def test_streams_pass_through_unstored() -> None:
    """A streamed body is neither read from the store nor kept there; a streamed write still invalidates."""
    async with Origin(Reply(headers=KEPT)) as origin, client_of(origin, Clock()) as client:
        async with client.stream("GET", "/r") as response:
            assert "fwd=bypass" in response.headers["cache-status"]
            assert await response.read() == b"one"
        assert cache_of(client).store.entries == 0
        await client.request("GET", "/r")
        async with client.stream("GET", "/r") as response:
            await response.read()
        async with client.stream("PUT", "/r", body=b"x") as response:
            await response.read()
        assert cache_of(client).store.entries == 0
        assert len(origin.asked) == 4
        assert_idle(client)


async def test_a_large_response_is_passed_on_and_not_stored() -> None:
    """`max_entry_bytes` bounds what one response may take, and 0 bytes store nothing at all."""
    async with Origin(Reply(headers=KEPT, body=b"x" * 2000)) as origin:
        for max_bytes, max_entry_bytes in ((100_000, 1999), (0, 0)):
            async with client_of(origin, Clock(), max_bytes=max_bytes, max_entry_bytes=max_entry_bytes) as client:
                assert len((await client.request("GET", "/r")).body) == 2000
                assert cache_of(client).store.entries == 0


async def test_a_truncated_response_is_never_stored() -> None:
    """A body that breaks off raises, and nothing of it stays."""
    async with Origin(Reply()) as origin, client_of(origin, Clock()) as client:
        origin.replies[:] = [Reply(headers=KEPT, missing=900)]
        with pytest.raises(ConnectionLost):
            await client.request("GET", "/r")
        assert cache_of(client).store.entries == 0
        assert_idle(client)


async def test_every_response_says_what_the_cache_did() -> None:
    """`Cache-Status` is on each response and keeps what caches before us have said."""
    reply = Reply(headers=[*KEPT, ("Cache-Status", "edge; hit")])
    async with Origin(reply) as origin, client_of(origin, Clock(), name="mine") as client:
        first = await client.request("GET", "/r")
        assert status_of(first) == "edge; hit, mine; fwd=uri-miss; stored"
        assert status_of(await client.request("GET", "/r")) == "mine; hit; ttl=60"
        assert "mine; fwd=method" in status_of(await client.request("OPTIONS", "/r"))
        assert "mine; fwd=bypass" in status_of(await client.request("GET", "/r", headers={"Range": "bytes=0-1"}))
        assert "mine; fwd=request" in status_of(
            await client.request("GET", "/r", headers={"Cache-Control": "no-store"})
        )


def test_what_is_stored_in_memory_survives_its_event_loop() -> None:
    """A client that starts afresh on another loop still has its stored responses."""
    clock = Clock()

    async def ask(client: Client, origin: Origin) -> str:
        async with origin:
            return status_of(await client.request("GET", "/r"))

    origin = Origin(Reply(headers=KEPT))
    client = client_of(origin, clock)
    assert "fwd=uri-miss" in asyncio.run(ask(client, origin))
    assert "hit" in asyncio.run(ask(client, origin))
