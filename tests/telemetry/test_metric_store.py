"""One face for every store of figures: the same questions, the same answers, over restarts of both sides."""

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.telemetry.stores import Store, influx, influx_says, prometheus, running, victoria_metrics

from schemawire.errors import ConfigurationInvalid, Failed, SchemawireError
from schemawire.telemetry.instruments import Counter, Gauge, Histogram, Sample
from schemawire.telemetry.metric_store import LocalStore, MetricStore, MetricStoreConfig
from schemawire.telemetry.outside_store import open_metric_store
from schemawire.telemetry.readings import Births, Deltas, condensed
from schemawire.telemetry.series import (
    Question,
    Taken,
    Track,
    parsed_key,
    percentiles,
    series_key,
    summed,
)
from schemawire.telemetry.slots import take_slot

BEGIN = int(time.time()) // 60 * 60 - 600
BY_HAND = MetricStoreConfig(interval=3600.0)


class Program:
    """Figures of a program that is restarted now and then; each run counts from 0."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin again."""
        self.calls = Counter("test_calls", "Calls.", ("route", "status"))
        self.load = Gauge("test_load", "Load.")
        self.times = Histogram("test_seconds", "Times.", ("route",), bounds=(0.1, 0.5, 1.0))

    def samples(self) -> Iterator[Sample]:
        """Yield all figures."""
        for family in (self.calls, self.load, self.times):
            yield from family.samples()

    def work(self, calls: int, load: float) -> None:
        """Have some figures change."""
        for number in range(calls):
            self.calls.add(("/a", "200" if number % 2 else "503"))
            self.times.observe(("/a",), 0.05 if number % 4 else 0.7)
        self.load.set((), load)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = float(BEGIN)

    def __call__(self) -> float:
        return self.now


async def read_once(store: MetricStore) -> None:
    """Have a store take a reading now, and deliver it if it can."""
    if isinstance(store, LocalStore):
        store.read()
        return
    shipper = store._shipper  # type: ignore[attr-defined]  # what a timer calls otherwise
    await shipper.read()
    await shipper.deliver()


def total(tracks: list[Track]) -> float:
    """Return the sum of all values."""
    return sum(sum(sums.values()) for sums in summed(tracks).values())


async def wanted(store: MetricStore, question: Question, expected: float, clock: Clock) -> float:
    """Return the growth that a store answers with; outside stores may take a moment to show what they have."""
    found = math.nan
    for _ in range(40):
        tracks = await store.answer(question, window=480, step=60)
        found = total(tracks)
        if found == expected:
            break
        await asyncio.sleep(0.1)
    return found


def no_server(folder: Path) -> None:
    """Stand in for a store that needs no server."""


@pytest.mark.parametrize(
    ("make", "form"),
    [(no_server, "sqlite:///{folder}/figures.db"), (victoria_metrics, "victoriametrics+{url}"),
     (prometheus, "prometheus+{url}"), (influx, "influx+{url}/figures")],
    ids=["SQLite", "VictoriaMetrics", "Prometheus", "InfluxDB"],
)  # fmt: skip
async def test_every_store_answers_the_same(tmp_path: Path, make: Callable[[Path], Store | None], form: str) -> None:
    """Growth, highest load and percentiles are right over a restart of the store, of the program, and of both."""
    server = await asyncio.to_thread(make, tmp_path / "store")
    program, clock = Program(), Clock()

    def opened() -> MetricStore:
        url = form.format(folder=tmp_path, url="" if server is None else server.url)
        labels = {"instance": "a:1", "job": "test"}
        store = open_metric_store(
            url, program.samples, buffer=tmp_path / "buffer.db", options=BY_HAND, labels=labels, clock=clock
        )
        assert store is not None
        return store

    async def run(store: MetricStore, *, minutes: int) -> None:
        for _ in range(minutes):
            clock.now += 60
            program.work(10, load=clock.now - BEGIN)
            await read_once(store)

    def serve(up: bool) -> None:
        if server is not None:
            server.start() if up else server.stop()
            if up and server.program.endswith("influxd"):
                influx_says(server, 'CREATE DATABASE "figures"')

    await asyncio.to_thread(serve, True)
    try:
        store = opened()
        await store.start()
        await run(store, minutes=2)
        await asyncio.to_thread(serve, False)
        await run(store, minutes=2)
        await store.aclose()  # what is not delivered waits
        program.start()
        await asyncio.to_thread(serve, True)
        clock.now += 1
        store = opened()
        await store.start()
        await run(store, minutes=2)
        failures = Question(metric="test_calls_total", matching={"status": "5.."})
        assert await wanted(store, Question(metric="test_calls_total"), 60.0, clock) == 60.0
        assert await wanted(store, failures, 30.0, clock) == 30.0
        loads = await store.answer(Question(metric="test_load", taken=Taken.HIGHEST), window=480, step=60)
        assert max(value for track in loads for _, value in track.points) == 361.0
        buckets = await store.answer(Question(metric="test_seconds_bucket"), window=480, step=60)
        assert {0.05 < value <= 0.1 for value in percentiles(buckets, 0.7).values()} == {True}
        assert {0.5 < value <= 1.0 for value in percentiles(buckets, 0.99).values()} == {True}
        assert await store.answer(Question(metric="test_unknown"), window=60, step=1) == []
        await store.aclose()
        await store.aclose()
    finally:
        await asyncio.to_thread(serve, False)


async def test_influxdb_has_each_sample_once(tmp_path: Path) -> None:
    """A delivery whose answer was lost and that is sent again leaves one point, as line protocol promises."""
    server = await asyncio.to_thread(influx, tmp_path / "store")
    program, clock = Program(), Clock()
    with running(server):
        influx_says(server, 'CREATE DATABASE "figures"')
        for turn in range(2):  # the second program has a buffer of its own, and says the same again
            clock.now = BEGIN
            program.start()
            store = open_metric_store(
                f"influx+{server.url}/figures", program.samples, buffer=tmp_path / f"{turn}.db", options=BY_HAND,
                clock=clock,
            )  # fmt: skip
            assert store is not None
            await store.start()
            for _ in range(5):
                program.work(2, load=1.0)
                clock.now += 1
                await read_once(store)
            await store.aclose()
        [found] = influx_says(server, 'SELECT count("value") FROM "test_load"', "figures")
        assert found["values"][0][1] == 5
        [grew] = influx_says(server, 'SELECT last("value") FROM "test_calls_total" WHERE status=\'200\'', "figures")
        assert grew["values"][0][1] == 5.0


async def test_a_program_asks_only_for_its_own_series(tmp_path: Path) -> None:
    """Two programs share a store; each sees what it counted itself."""
    server = await asyncio.to_thread(victoria_metrics, tmp_path / "store")
    with running(server):
        stores = []
        for number, calls in enumerate((4, 6)):
            program, clock = Program(), Clock()
            store = open_metric_store(
                f"victoriametrics+{server.url}", program.samples, buffer=tmp_path / f"{number}.db", options=BY_HAND,
                labels={"instance": f"host:{number}"}, clock=clock,
            )  # fmt: skip
            assert store is not None
            await store.start()
            clock.now += 60
            program.work(calls, 1.0)
            await read_once(store)
            stores.append((store, clock, float(calls)))
        server.get("/internal/force_flush")
        for store, clock, expected in stores:
            assert await wanted(store, Question(metric="test_calls_total"), expected, clock) == expected
            await store.aclose()


@pytest.mark.parametrize("kind", ["prometheus", "influx"])
@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"status":"success"}', b'{"results":[{"series":[{}]}]}', b'{"results":7}',
               b'{"status":"success","data":{"result":[{"metric":{},"values":[["x"]]}]}}'],
)  # fmt: skip
async def test_a_wrong_answer_is_an_error_of_ours(tmp_path: Path, kind: str, answer: bytes) -> None:
    """Whatever answers in the store's place, a question ends with one typed error or an empty answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"{kind}+http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    store = open_metric_store(url, list, buffer=tmp_path / "b.db", options=BY_HAND)
    assert store is not None
    found: list[Track] = []
    with suppress(SchemawireError):
        found = await store.answer(Question(metric="m"), window=60, step=10)
    assert found == []
    await store.aclose()
    server.close()


async def test_one_process_has_a_file_at_a_time(tmp_path: Path) -> None:
    """A second opener is told, and gets it once the first has closed."""
    options = MetricStoreConfig()
    first, second = (LocalStore(tmp_path / "f.db", list, options) for _ in range(2))
    await first.start()
    with pytest.raises(Failed, match=r"f\.db"):
        await second.start()
    await first.aclose()
    await second.start()
    await second.aclose()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A SQLite file that is not a history of figures is refused and not changed."""
    import sqlite3

    with sqlite3.connect(tmp_path / "f.db") as link:
        link.execute("CREATE TABLE diary (day TEXT)")
    link.close()
    before = (tmp_path / "f.db").read_bytes()
    store = LocalStore(tmp_path / "f.db", list, MetricStoreConfig())
    with pytest.raises(Failed, match="another program"):
        await store.start()
    await store.aclose()
    assert (tmp_path / "f.db").read_bytes() == before


@pytest.mark.parametrize(
    "url",
    ["", "sqlite:///", "sqlite:///:memory:", "http://x", "prometheus://x", "prometheus+ftp://x", "prometheus+http://",
     "influx+http://host", "graphite+http://x", "prometheus+http://h:0", "prometheus+http://h/?q=1", "\x00"],
)  # fmt: skip
def test_an_unknown_store_is_named(tmp_path: Path, url: str) -> None:
    """An address that names no store is refused, with the forms that there are, and shows no password."""
    with pytest.raises(ConfigurationInvalid) as caught:
        open_metric_store(url, list, buffer=tmp_path / "b.db")
    assert "influx+http" in caught.value.fix


@pytest.mark.parametrize("options", [{"interval": 0.0}, {"retention": 1.0}, {"max_bytes": 1}])
def test_options_are_checked(options: dict[str, float]) -> None:
    """An option out of range is refused by name."""
    with pytest.raises(ConfigurationInvalid, match=next(iter(options))):
        MetricStoreConfig(**options)  # type: ignore[arg-type]  # a dictionary of both kinds


@given(st.text(min_size=1), st.lists(st.tuples(st.from_regex(r"[a-z_]+", fullmatch=True), st.text()), max_size=4))
def test_a_key_says_its_labels(name: str, labels: list[tuple[str, str]]) -> None:
    """Metric and labels come back from a key, whatever the values hold."""
    name = name.replace("{", "")
    assert parsed_key(series_key(name, tuple(labels))) == (name, tuple(labels))


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1, max_size=6))
def test_growth_is_what_was_counted(runs: list[list[int]]) -> None:
    """Over any number of restarts the growth adds up to what all runs counted, in deltas and in differences alike."""
    by_delta, by_difference, before = 0.0, 0.0, 0.0
    for at, run in enumerate(runs):
        deltas, births, value = Deltas(), Births(), 0.0
        deltas.of([])
        births.new([], at * 1000)
        for place, counted in enumerate(run, start=1):
            value += counted
            reading = [Sample("x_total", (), value)]
            by_delta += sum(sample.value for sample in deltas.of(reading))
            zeros, _ = births.new(reading, at * 1000 + place)
            for sample in [*zeros, *reading]:
                by_difference += max(0.0, sample.value - before)
                before = sample.value
    assert by_delta == by_difference == sum(map(sum, runs))


def test_buckets_are_summed_for_the_file() -> None:
    """Of a histogram the counts and sums stay by label, and the buckets become one set for all."""
    times = Histogram("t_seconds", "Times.", ("route",), bounds=(1.0,))
    for route, value in (("/a", 0.5), ("/b", 2.0), ("/b", 0.1)):
        times.observe((route,), value)
    found = {series_key(each.name, each.labels): each.value for each in condensed(times.samples())}
    assert found['t_seconds_bucket{le="1"}'] == 2
    assert found['t_seconds_bucket{le="+Inf"}'] == 3
    assert found['t_seconds_count{route="/b"}'] == 2
    assert 't_seconds_bucket{route="/b",le="1"}' not in found


def test_a_clock_set_back_makes_no_zero_after_the_value() -> None:
    """A counter born while the clock stood before the last reading has no zero of its own."""
    births = Births()
    births.new([], 100.0)
    assert births.new([Sample("x_total", (), 3.0)], 90.0)[0] == []


def test_processes_of_one_name_have_numbers_of_their_own(tmp_path: Path) -> None:
    """The lowest free number is taken, by another process too, and is free again once its owner has ended."""
    first, second = take_slot(tmp_path / "s"), take_slot(tmp_path / "s")
    assert (first.number, second.number) == (0, 1)
    program = (
        "import pathlib, sys; from schemawire.telemetry.slots import take_slot; "
        "print(take_slot(pathlib.Path(sys.argv[1])).number)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2"
    first.release()
    first.release()
    assert take_slot(tmp_path / "s").number == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="No file"):
        take_slot(tmp_path / "file" / "s")
