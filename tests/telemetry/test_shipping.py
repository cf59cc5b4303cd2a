"""Metrics on their way to a time-series store: what is encoded, and that none is lost or counted twice on the way."""

import asyncio
import math
import shutil
import sqlite3
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]  # no types
from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.stores import Store, prometheus, running, victoria_metrics

from schemawire.errors import ConfigurationInvalid, Failed
from schemawire.telemetry import LineProtocol, RemoteWrite, Shipper, ShippingConfig
from schemawire.telemetry.instruments import Sample
from schemawire.telemetry.remote_write import Target, snappy
from schemawire.telemetry.spool import Spool


def write_request() -> Any:
    """Return the protobuf class of a remote-write request, built from its published field numbers."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in {
        "Label": [("name", 1, kinds.TYPE_STRING, ""), ("value", 2, kinds.TYPE_STRING, "")],
        "Sample": [("value", 1, kinds.TYPE_DOUBLE, ""), ("timestamp", 2, kinds.TYPE_INT64, "")],
        "TimeSeries": [("labels", 1, kinds.TYPE_MESSAGE, "Label"), ("samples", 2, kinds.TYPE_MESSAGE, "Sample")],
        "WriteRequest": [("timeseries", 1, kinds.TYPE_MESSAGE, "TimeSeries")],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            added = message.field.add(name=field, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
            if of:
                added.label, added.type_name = kinds.LABEL_REPEATED, f".prometheus.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WRITE_REQUEST = write_request()


def unsnappy(block: bytes) -> bytes:
    """Decode a snappy block that holds literals alone."""
    size, shift, place = 0, 0, 0
    while True:
        byte = block[place]
        size |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            break
    found = b""
    while place < len(block):
        assert block[place] == 61 << 2
        length = struct.unpack_from("<H", block, place + 1)[0] + 1
        found += block[place + 3 : place + 3 + length]
        place += 3 + length
    assert len(found) == size
    return found


def read(body: bytes) -> list[tuple[dict[str, str], float, int]]:
    """Return the series of a remote-write body."""
    request = WRITE_REQUEST.FromString(unsnappy(body))
    return [
        ({label.name: label.value for label in series.labels}, sample.value, sample.timestamp)
        for series in request.timeseries
        for sample in series.samples
    ]


@given(st.binary(max_size=300) | st.integers(65_530, 140_000).map(bytes))
def test_snappy_blocks_hold_what_went_in(content: bytes) -> None:
    """Any content comes back, across the bound of a literal too."""
    assert unsnappy(snappy(content)) == content


@given(
    st.lists(st.tuples(st.text(min_size=1), st.floats(allow_nan=False)), max_size=20),
    st.floats(-1e6, 4e9),
)
def test_remote_write_is_the_protobuf_that_was_published(entries: list[tuple[str, float]], at: float) -> None:
    """Names, label values, numbers and times of any kind read back by the field numbers of the specification."""
    samples = [Sample("calls_total", (("route", text),), value) for text, value in entries]
    body = RemoteWrite().encode(samples, at)
    assert (body == b"") == (not entries)
    found = read(body) if body else []
    assert [(value, moment) for _, value, moment in found] == [(value, round(at * 1000)) for _, value in entries]
    for (text, _), (labels, _, _) in zip(entries, found, strict=True):
        assert labels == {"__name__": "calls_total", "route": text.encode("utf-8", "replace").decode()}


def test_labels_are_sorted_and_empty_ones_left_out() -> None:
    """The specification wants sorted labels, and an empty label is the same as none."""
    body = RemoteWrite().encode([Sample("up", (("z", "1"), ("a", "2"), ("e", "")), math.inf)], 1.0)
    [series] = WRITE_REQUEST.FromString(unsnappy(body)).timeseries
    assert [label.name for label in series.labels] == ["__name__", "a", "z"]


def test_lines_escape_what_would_end_a_tag() -> None:
    """Spaces, commas, equal signs, line ends and backslashes stay in their tag; what is no number is left out."""
    samples = [
        Sample("calls_total", (("z", "1"), ("route", "/a b,c=d\ne\\"), ("empty", "")), 3.0),
        Sample("calls_total", (), math.inf),
        Sample("up", (), 1.0),
    ]
    assert LineProtocol("db").encode(samples, 1.5).decode() == (
        "calls_total,route=/a\\ b\\,c\\=d\\ne/,z=1 value=3.0 1500\nup value=1.0 1500\n"
    )
    assert LineProtocol("db").params == {"precision": "ms", "db": "db"}


class FakeStore:
    """Takes remote writes and answers with the next status of a script, then always with the last."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.heads: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                text = head.decode()
                self.heads.append(text)
                length = int(text.lower().split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                if status == 0:
                    break
                if 200 <= status < 300:
                    self.bodies.append(body)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def values(self) -> list[float]:
        return [value for body in self.bodies for _, value, _ in read(body)]


@asynccontextmanager
async def serving(*statuses: int) -> AsyncIterator[FakeStore]:
    """Run a fake store."""
    store = FakeStore(*statuses)
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    store.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield store
    finally:
        server.close()


class Counting:
    """A source whose counter grows by one with each reading."""

    def __init__(self) -> None:
        self.value = 0.0

    def __call__(self) -> Iterator[Sample]:
        self.value += 1
        yield Sample("test_total", (("job", "t"),), self.value)


async def test_readings_arrive_in_order_with_their_headers(tmp_path: Path) -> None:
    """Each reading is one request of the kind that the specification asks for."""
    async with serving(204) as store:
        shipper = Shipper(
            store.url, RemoteWrite(), tmp_path / "b.db", Counting(), headers={"Authorization": "Bearer k"}
        )
        for _ in range(3):
            await shipper.read()
        assert await shipper.deliver()
        assert store.values() == [1.0, 2.0, 3.0]
        head = store.heads[0].lower()
        for line in ("post /api/v1/write ", "content-encoding: snappy", "x-prometheus-remote-write-version: 0.1.0",
                     "content-type: application/x-protobuf", "authorization: bearer k"):  # fmt: skip
            assert line in head
        state = shipper.statistics()
        assert (state.taken, state.delivered, state.waiting_bytes, state.last_problem) == (3, 3, 0, "")
        await shipper.aclose()


@pytest.mark.parametrize(("status", "problem"), [(500, "status 500"), (429, "status 429"), (401, "status 401"),
                                                 (302, "status 302"), (0, "connection_stale")])  # fmt: skip
async def test_a_store_that_fails_gets_it_later(tmp_path: Path, status: int, problem: str) -> None:
    """An answer that may change with time or configuration keeps the batch, and the order."""
    async with serving(204, status, status, 204) as store:
        shipper = Shipper(store.url, RemoteWrite(), tmp_path / "b.db", Counting())
        for _ in range(3):
            await shipper.read()
        assert not await shipper.deliver()
        assert shipper.statistics().last_problem == problem
        assert not await shipper.deliver()
        assert await shipper.deliver()
        assert store.values() == [1.0, 2.0, 3.0]
        assert shipper.statistics().failed_deliveries == 2
        await shipper.aclose()


async def test_a_batch_that_is_refused_for_good_stops_nothing(tmp_path: Path) -> None:
    """What the store has read and will not take is counted and left behind."""
    async with serving(204, 400, 204) as store:
        shipper = Shipper(store.url, RemoteWrite(), tmp_path / "b.db", Counting())
        for _ in range(3):
            await shipper.read()
        assert await shipper.deliver()
        assert store.values() == [1.0, 3.0]
        assert (shipper.statistics().delivered, shipper.statistics().refused) == (2, 1)
        await shipper.aclose()


async def test_what_is_not_delivered_waits_for_the_next_start(tmp_path: Path) -> None:
    """Readings survive the process while nobody answers, and arrive before newer ones."""
    source = Counting()
    away = Shipper("http://127.0.0.1:9", RemoteWrite(), tmp_path / "b.db", source, options=ShippingConfig(timeout=1.0))
    await away.read()
    assert not await away.deliver()
    await away.aclose()
    assert away.statistics().last_problem == "connect_failed"
    async with serving(204) as store:
        shipper = Shipper(store.url, RemoteWrite(), tmp_path / "b.db", source)
        await shipper.aclose()
        assert store.values() == [1.0, 2.0, 3.0]


async def test_a_silent_store_is_given_up_in_time(tmp_path: Path) -> None:
    """A store that takes the request and never answers costs one timeout, and nothing else."""
    held = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    shipper = Shipper(url, RemoteWrite(), tmp_path / "b.db", Counting(), options=ShippingConfig(timeout=0.2))
    await shipper.read()
    assert not await shipper.deliver()
    assert shipper.statistics().last_problem == "deadline_exceeded"
    await shipper.aclose()
    held.set()
    server.close()


async def test_a_cancelled_delivery_is_repeated(tmp_path: Path) -> None:
    """A batch is removed only once the store has said that it has it."""
    async with serving(204) as store:
        shipper = Shipper(store.url, RemoteWrite(), tmp_path / "b.db", Counting())
        await shipper.read()
        task = asyncio.create_task(shipper.deliver())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await shipper.deliver()
        assert store.values()[-1] == 1.0
        await shipper.aclose()


async def test_it_reads_and_delivers_by_itself(tmp_path: Path) -> None:
    """Once started it needs no one, and its end delivers the last reading."""
    async with serving(204) as store:
        source = Counting()
        options = ShippingConfig(interval=0.01)
        async with Shipper(store.url, RemoteWrite(), tmp_path / "b.db", source, options=options):
            async with asyncio.timeout(5):
                while len(store.bodies) < 3:  # noqa: ASYNC110  # timers do it, unasked
                    await asyncio.sleep(0.01)
        sent = list(dict.fromkeys(store.values()))  # a batch cut by the end is sent again, with the times it had
        assert sent == [float(number + 1) for number in range(int(source.value))]


async def test_a_reading_that_is_cancelled_on_its_way_to_disk_is_kept(tmp_path: Path) -> None:
    """What has been read goes behind what the disk is busy with, though nobody waits for it any more."""
    async with serving(204) as store:
        shipper = Shipper(store.url, RemoteWrite(), tmp_path / "b.db", Counting())
        is_free = threading.Event()
        busy = asyncio.create_task(shipper._in_thread(is_free.wait))
        await asyncio.sleep(0)
        reading = asyncio.create_task(shipper.read())
        await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        is_free.set()
        await busy
        await shipper.aclose()
        assert store.values() == [1.0, 2.0]


def test_the_buffer_is_bounded_and_loses_the_oldest(tmp_path: Path) -> None:
    """Above its size the oldest batches go, and how many samples went is told."""
    spool = Spool(tmp_path / "b.db", 100)
    assert [spool.put(bytes([number]) * 40, 7) for number in range(4)] == [0, 0, 7, 7]
    first = spool.first()
    assert first is not None
    assert (first[1], first[2][0], len(spool), spool.size_bytes) == (7, 2, 2, 80)
    assert spool.put(b"x" * 101, 9) == 9
    spool.remove(1, 40)
    spool.close()
    again = Spool(tmp_path / "b.db", 100)
    assert (len(again), again.size_bytes) == (2, 80)
    again.close()


async def test_a_buffer_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file that is something else is left alone; readings that cannot be kept are counted."""
    (tmp_path / "b.db").write_text("my diary, " * 1000)
    shipper = Shipper("http://127.0.0.1:9", RemoteWrite(), tmp_path / "b.db", Counting())
    with pytest.raises(Failed, match=r"b\.db"):
        await shipper.start()
    with pytest.raises(Failed):
        await shipper.read()
    assert shipper.statistics().dropped == 1
    await shipper.aclose()
    assert (tmp_path / "b.db").read_text().startswith("my diary")


@pytest.mark.parametrize("options", [{"interval": 0}, {"timeout": math.inf}, {"max_bytes": 1}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    """An option out of range is refused by name."""
    with pytest.raises(ConfigurationInvalid, match=next(iter(options))):
        ShippingConfig(**options)


def copy_buffer(source: Path, target: Path) -> None:
    """Copy a buffer with what is still in its log."""
    with sqlite3.connect(source) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    link.close()
    shutil.copy(source, target)


@pytest.mark.parametrize(
    ("make", "target", "name"),
    [
        (victoria_metrics, RemoteWrite(), "test_total"),
        (victoria_metrics, LineProtocol(), "test_total_value"),
        (prometheus, RemoteWrite(), "test_total"),
    ],
    ids=["VictoriaMetrics remote write", "VictoriaMetrics lines", "Prometheus remote write"],
)
async def test_a_real_store_has_each_sample_once(
    tmp_path: Path, make: Callable[[Path], Store], target: Target, name: str
) -> None:
    """Over a restart of the store, a restart of ours, and a delivery whose answer was lost."""
    store = await asyncio.to_thread(make, tmp_path / "store")
    begin = float(int(time.time())) - 60
    now = [begin]
    source, buffer = Counting(), tmp_path / "b.db"

    def shipper(path: Path) -> Shipper:
        return Shipper(store.url, target, path, source, clock=lambda: now[0], options=ShippingConfig(timeout=5.0))

    async def take(ours: Shipper, readings: int) -> None:
        for _ in range(readings):
            await ours.read()
            now[0] += 1

    with running(store):
        ours = shipper(buffer)
        await take(ours, 5)
        assert await ours.deliver()
    await take(ours, 5)
    assert not await ours.deliver()
    await ours.aclose()  # takes the eleventh reading, and cannot deliver
    now[0] += 1
    copy_buffer(buffer, tmp_path / "copy.db")
    with running(store):
        ours, repeated = shipper(buffer), shipper(tmp_path / "copy.db")
        assert await ours.deliver()
        assert await repeated.deliver()
        await take(ours, 4)
        assert await ours.deliver()
        if "victoria" in store.program:
            store.get("/internal/force_flush")
        counted = store.value(f"count_over_time({name}[5m])", begin + 30)
        newest = store.value(f"last_over_time({name}[5m])", begin + 30)
        assert (counted, newest) == (15, 15)
        for each in (ours, repeated):
            await each.aclose()
