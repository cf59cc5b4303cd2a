"""What goes wrong around telemetry: collectors that are slow or answer nonsense, a full disk, a clock that jumps."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.service.caller import BLOG, Caller, new_project

from schemawire.errors import Failed
from schemawire.telemetry import (
    History,
    LocalStore,
    MetricsListener,
    MetricStoreConfig,
    OtlpConfig,
    Question,
    RemoteWrite,
    Shipper,
    ShippingConfig,
    TraceListener,
    open_tracer_provider,
)
from schemawire.telemetry.instruments import Counter, Sample
from schemawire.telemetry.spool import Spool
from schemawire.testing import Reply, ScriptedWire
from schemawire.testing.service_process import ServiceProcess
from schemawire.transport import Client

ANSWERS = {
    "silence": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "half a reply": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
}


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Run a server that reads and then says always the same; with nothing to say it keeps silent."""
    silence = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        if answer:
            writer.write(answer)
            await writer.drain()
        else:
            await silence.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        silence.set()
        server.close()


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """Have every write beyond a size fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_bad_collector_delays_no_call(name: str) -> None:
    """Whatever answers in the collector's place, calls end at once, and so does the shutdown after its time limit."""
    async with answering(ANSWERS[name]) as url:
        options = OtlpConfig(endpoint=url, timeout=0.3, interval=0.05, max_queue=16)
        provider = await asyncio.to_thread(open_tracer_provider, options)
        client = Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=TraceListener(provider))
        started = time.monotonic()
        for _ in range(200):
            assert (await client.request("GET", "/x")).status == 200
        assert time.monotonic() - started < 2
        async with asyncio.timeout(10):
            await asyncio.to_thread(provider.shutdown)


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_bad_store_loses_no_reading(tmp_path: Path, name: str) -> None:
    """What a store has not said that it took waits on disk; one that says 200 has taken it."""
    async with answering(ANSWERS[name]) as url:
        options = ShippingConfig(timeout=0.3)
        shipper = Shipper(url, RemoteWrite(), tmp_path / "b.db", lambda: [Sample("x", (), 1.0)], options=options)
        await shipper.read()
        delivered = await shipper.deliver()
        assert delivered is (name == "a page")
        assert (shipper.statistics().waiting_bytes == 0) is delivered
        assert bool(shipper.statistics().last_problem) is not delivered
        await shipper.aclose()


async def test_a_service_works_beside_a_silent_collector_and_store(tmp_path: Path) -> None:
    """Traces and figures that nobody takes cost no request, and the service still stops in good order."""
    async with answering(b"") as url:
        environment = {
            "SCHEMAWIRE_OTLP_ENDPOINT": url,
            "SCHEMAWIRE_METRICS_STORE": f"prometheus+{url}",
            "SCHEMAWIRE_METRICS_INTERVAL": "0.1",
        }
        async with ServiceProcess(tmp_path, environment=environment) as service:
            async with Caller(service) as call:
                started = time.monotonic()
                for _ in range(20):
                    assert (await call("PUT", new_project(), json=BLOG)).status == 201
                assert time.monotonic() - started < 5
            assert service.is_running


async def test_a_full_disk_keeps_the_history_in_memory(tmp_path: Path) -> None:
    """While no write fits, figures wait in memory and failures are counted; with room again all of them are there."""
    history = History(tmp_path / "h.db")
    await history.start()
    history.record("before", 1.0)
    await history.flush()
    with files_limited_to(1 << 14):
        for number in range(1500):
            history.record(f"series{number:04}", float(number))
        with pytest.raises(Failed, match=r"h\.db"):
            await history.flush()
        assert history.statistics().failed_writes == 1
        assert history.statistics().pending >= 1500
    await history.flush()
    for name in ("before", "series0000", "series1499"):
        assert sum(point.count for point in await history.query(name, window=60, step=1)) == 1, name
    await history.aclose()


async def test_a_full_disk_drops_readings_and_says_so(tmp_path: Path) -> None:
    """A buffer that cannot grow loses what does not fit, counted, and keeps what it has."""
    reading = [Sample("x_" + "y" * 200, (("n", str(number)),), 1.0) for number in range(500)]
    shipper = Shipper("http://127.0.0.1:9", RemoteWrite(), tmp_path / "b.db", lambda: reading)
    await shipper.start()
    await shipper.read()
    kept = shipper.statistics().waiting_bytes
    with files_limited_to(1 << 17):
        with pytest.raises(Failed, match=r"b\.db"):
            await read_often(shipper)
        assert shipper.statistics().dropped >= 500
    await shipper.read()
    assert shipper.statistics().waiting_bytes >= 2 * kept
    await shipper.aclose()
    spool = Spool(tmp_path / "b.db", 1 << 30)
    assert len(spool) >= 3
    spool.close()


async def read_often(shipper: Shipper) -> None:
    """Take more readings than there is room for."""
    for _ in range(5):
        await shipper.read()


async def test_a_full_disk_stops_no_service_figures(tmp_path: Path) -> None:
    """A store that cannot write goes on reading, and answers once there is room."""
    counter = Counter("x", "X.", ("n",))
    store = LocalStore(tmp_path / "f.db", counter.samples, MetricStoreConfig(interval=3600.0))
    await store.start()
    with files_limited_to(1 << 14):
        for number in range(200):
            counter.add((str(number),))
        store.read()
        with pytest.raises(Failed):
            await store.answer(Question(metric="x_total"), window=60, step=1)
    tracks = await store.answer(Question(metric="x_total"), window=60, step=1)
    assert sum(value for track in tracks for _, value in track.points) == 200
    await store.aclose()


async def test_a_source_that_fails_ends_nothing(tmp_path: Path) -> None:
    """A reading that raises is told once; the next one that does not is kept, in a file and on its way outside."""
    turns = iter(range(10**6))

    def source() -> list[Sample]:
        if next(turns) in (1, 2, 3):
            raise ZeroDivisionError
        return [Sample("load", (), 1.0)]

    store = LocalStore(tmp_path / "f.db", source, MetricStoreConfig(interval=0.01))
    shipping = ShippingConfig(interval=0.01)
    await store.start()
    async with Shipper("http://127.0.0.1:9", RemoteWrite(), tmp_path / "b.db", source, options=shipping) as shipper:
        async with asyncio.timeout(10):
            while next(turns) < 40 or not shipper.statistics().taken:  # noqa: ASYNC110  # timers do it, unasked
                await asyncio.sleep(0.01)
    tracks = await store.answer(Question(metric="load"), window=60, step=60)
    assert tracks
    await store.aclose()


async def test_a_clock_that_jumps_counts_nothing_twice(tmp_path: Path) -> None:
    """Growth adds up whatever the clock does between readings."""
    counter, now = Counter("x", "X."), [1_800_000_000.0]
    store = LocalStore(tmp_path / "f.db", counter.samples, MetricStoreConfig(interval=3600.0), clock=lambda: now[0])
    await store.start()
    for step in (10, -3600, 7200, -5, 0, 1):
        now[0] += step
        counter.add((), 7)
        store.read()
    now[0] = 1_800_000_000.0 + 7200
    tracks = await store.answer(Question(metric="x_total"), window=14_400, step=60)
    assert sum(value for track in tracks for _, value in track.points) == 42
    await store.aclose()


async def test_hostile_labels_cost_detail_and_nothing_else(tmp_path: Path) -> None:
    """Text made to forge lines or to fill memory ends in bounded series that every format and the file can hold."""
    metrics = MetricsListener(max_series=50)
    client = Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=metrics)
    for number in range(300):
        await client.request("GET", "/x", route='/"} evil 1\n# TYPE \u202e' + "z" * 5000 + str(number))
    calls = [sample for sample in metrics.samples() if sample.name == "schemawire_client_call_duration_seconds_count"]
    assert len(calls) <= 51
    assert sum(sample.value for sample in calls) == 300
    assert not [line for line in metrics.prometheus_text().splitlines() if line.startswith((" evil", "# TYPE \u202e"))]
    store = LocalStore(tmp_path / "f.db", metrics.samples, MetricStoreConfig(interval=3600.0))
    await store.start()
    await client.request("GET", "/x", route="/y")
    store.read()
    question = Question(metric="schemawire_client_call_duration_seconds_count")
    tracks = await store.answer(question, window=60, step=1)
    assert sum(value for track in tracks for _, value in track.points) == 1
    await store.aclose()
