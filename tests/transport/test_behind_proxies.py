"""The client behind nginx and haproxy in front of several services: what they cut, refuse, hold back and reload."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.transport.discovery.programs import becomes
from tests.transport.front import Haproxy, Nginx
from tests.transport.servers import ContractApp, RawServer, answering, free_port, head, http, served
from tests.transport.test_endpoints_under_load import QUICK, Load

from schemawire.resilience import BreakerStateName, CircuitBreakerConfig, RetryConfig
from schemawire.testing import ServiceProcess
from schemawire.transport import Client, PoolConfig

OK = answering(http(200, b"fine"))
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_connections_cut_by_nginx_cost_no_call(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Nginx closes each connection after three requests, and every idle one after a second: nobody notices."""
    servers = [await stack.enter_async_context(RawServer(OK)) for _ in range(2)]
    options = "keepalive_requests 3; keepalive_timeout 1s;"
    nginx = Nginx(tmp_path, [server.url for server in servers], options=options, upstream="keepalive 4;")
    await stack.enter_async_context(nginx.serving())
    client = await stack.enter_async_context(Client(nginx.url, retry=None))
    for _ in range(30):
        assert (await client.request("GET", "/")).status == 200
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(client.request("GET", "/"))
    await becomes(lambda: client.statistics().wire.open_connections == 0)
    # Not repeatable and without retries: it succeeds only on a connection that is still good.
    assert (await client.request("POST", "/", body=b"once")).status == 200
    assert client.statistics().calls.failed == 0


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])
async def test_reload_of_nginx_under_load_fails_no_call(stack: AsyncExitStack, tmp_path: Path, wire: str) -> None:
    """While nginx is told three times of other services, every write under way and every later one succeeds."""
    servers = [await stack.enter_async_context(RawServer(OK)) for _ in range(3)]
    urls = [server.url for server in servers]
    nginx = Nginx(tmp_path, urls[:1])
    await stack.enter_async_context(nginx.serving())
    # Six connections cut at once are six failures in a row: the breaker may open, but not for longer than a call lasts.
    client = await stack.enter_async_context(Client(nginx.url, wire=wire, breaker=QUICK))
    load = Load(client, workers=6)
    async with load.running():
        for listed in (urls[1:2], urls[2:], urls):
            await load.answered(60)
            before = [server.connections for server in servers]
            nginx.reload(listed)
            news = [servers[urls.index(url)] for url in listed]
            await becomes(lambda news=news, before=before: any(s.connections > before[servers.index(s)] for s in news))  # type: ignore[misc]  # bound early on purpose
            await load.answered(60)
    assert set(load.statuses) == {200}
    assert client.statistics().endpoints[0].in_flight == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("nginx: no service", 502),
        ("nginx: silent service", 504),
        ("haproxy: no service", 503),
        ("haproxy: silent", 504),
    ],
)
async def test_errors_of_the_proxy_are_failures_of_the_endpoint(
    stack: AsyncExitStack, tmp_path: Path, kind: str, status: int
) -> None:
    """502, 503 and 504 are retried where that is safe, returned in the end, and open the breaker of the proxy."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await asyncio.sleep(15)

    server = await stack.enter_async_context(RawServer(silent))
    back = NOWHERE if "no service" in kind else server.url
    front: Nginx | Haproxy = (
        Nginx(tmp_path, [back], options="proxy_read_timeout 200ms;")
        if kind.startswith("nginx")
        else Haproxy(tmp_path, [back], server_timeout="200ms")
    )
    await stack.enter_async_context(front.serving())
    breaker = CircuitBreakerConfig(failure_threshold=5)
    client = await stack.enter_async_context(Client(front.url, breaker=breaker, retry=RetryConfig(max_retries=1)))
    got = await client.request("GET", "/")
    assert (got.status, got.attempts) == (status, 2)
    got = await client.request("POST", "/", body=b"once")
    assert (got.status, got.attempts) == (status, 1)
    got = await client.request("POST", "/", body=b"keyed", idempotency_key="k")
    assert (got.status, got.attempts) == (status, 2)
    breaker_now = client.statistics().endpoints[0].breaker
    assert breaker_now is not None
    assert breaker_now.state is BreakerStateName.OPEN


async def test_proxy_that_fails_is_passed_over_for_one_that_works(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Of two proxies one has lost its services: every call is answered by the other."""
    server = await stack.enter_async_context(RawServer(OK))
    fronts = []
    for name, back in (("good", server.url), ("bad", NOWHERE)):
        (tmp_path / name).mkdir()
        fronts.append(Nginx(tmp_path / name, [back]))
        await stack.enter_async_context(fronts[-1].serving())
    client = await stack.enter_async_context(Client([front.url for front in fronts]))
    statuses = [(await client.request("GET", "/")).status for _ in range(60)]
    assert set(statuses) == {200}


async def test_stream_through_nginx_is_whole_and_lazy_where_it_may_be(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Without buffering the first piece comes before the second is sent; with it, all of it comes all the same."""
    app = ContractApp()
    back = await stack.enter_async_context(served(app))
    for name, options in (("lazy", "proxy_buffering off;"), ("eager", "proxy_buffering on;")):
        (tmp_path / name).mkdir()
        front = Nginx(tmp_path / name, [back], options=options)
        await stack.enter_async_context(front.serving())
        client = await stack.enter_async_context(Client(front.url, pool=PoolConfig(max_connections=2)))
        app.release.clear()
        async with client.stream("GET", "/drip") as response:
            chunks = response.__aiter__()
            if name == "lazy":
                assert await anext(chunks) == b"first"
            app.release.set()
            rest = b"".join([chunk async for chunk in chunks])
        assert rest == (b"second" if name == "lazy" else b"firstsecond")
        async with client.stream("GET", "/large") as response:
            assert sum([len(chunk) async for chunk in response]) == 64 * 65_536
        uploaded = await client.request("POST", "/echo", body=b"x" * 300_000, headers={"Content-Type": "text/plain"})
        assert len(json.loads(uploaded.body)["body"]) == 300_000
        async with client.stream("GET", "/large") as response:
            async for _ in response:
                break
        assert client.statistics().wire.in_flight == 0


@pytest.mark.timeout(60)
async def test_service_killed_behind_haproxy_fails_no_call(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Of two real services one is killed with SIGKILL under load and started again: every read is answered with 200."""
    services = [
        await stack.enter_async_context(ServiceProcess(tmp_path / str(number), port=free_port())) for number in (1, 2)
    ]
    front = Haproxy(tmp_path, [each.base_url for each in services], options="option httpchk GET /health/live")
    await stack.enter_async_context(front.serving())
    client = await stack.enter_async_context(Client(front.url, retry=RetryConfig(max_retries=5)))
    statuses: list[int] = []
    done = False

    async def keep_asking() -> None:
        while not done:
            statuses.append((await client.request("GET", "/health/live")).status)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_asking())
        await becomes(lambda: len(statuses) > 50)
        await asyncio.to_thread(services[0].kill)
        at_kill = len(statuses)
        await becomes(lambda: len(statuses) > at_kill + 200)
        await asyncio.to_thread(services[0].restart)
        at_start = len(statuses)
        await becomes(lambda: len(statuses) > at_start + 100)
        done = True
    assert set(statuses) == {200}
