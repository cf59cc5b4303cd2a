"""What each sink costs a call, off and on, beside the bare pipeline; and what the history takes in, and its size.

    python benchmarks/telemetry_cost.py [--calls 3000] [--rounds 5]

The wire answers from memory, so the client is what is measured, in processor time; rounds of all sinks alternate, and
medians are printed. The history is measured in wall-clock time too: how late the event loop was at most.
"""

import argparse
import asyncio
import gc
import io
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from schemawire.events import Listener, Listeners, SilentListener
from schemawire.service.figures import FigureOptions, Figures
from schemawire.service.recorder import Recorder
from schemawire.telemetry import (
    History,
    LogListener,
    MetricsListener,
    OtelMetricsListener,
    TraceListener,
    configure_logging,
)
from schemawire.telemetry.history_file import HistoryFile
from schemawire.telemetry.rollups import TIERS, Point
from schemawire.testing import Reply, ScriptedWire
from schemawire.testing.scripted_wire import ScriptedResponse
from schemawire.transport import Client, Request


class Forgetful(ScriptedWire):
    """Answers everything at once and remembers nothing, so that no round pays for the memory of another."""

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> ScriptedResponse:
        """Answer, and forget."""
        self.sent.clear()
        return await super().send(request, connect_timeout=connect_timeout, read_timeout=read_timeout)


class Discarding(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, spans: object) -> SpanExportResult:
        """Say that all is well."""
        return SpanExportResult.SUCCESS


def sinks() -> dict[str, Callable[[], Listener | None]]:
    """Return each sink by name."""
    quiet = logging.getLogger("schemawire_quiet")
    quiet.setLevel(logging.ERROR)
    configure_logging("INFO", form="json", stream=io.StringIO(), name="schemawire_info")
    configure_logging("DEBUG", form="json", stream=io.StringIO(), name="schemawire_debug")
    meters = MeterProvider([InMemoryMetricReader()])
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discarding()))
    return {
        "no listener": lambda: None,
        "silent listener": SilentListener,
        "logs, level off": lambda: LogListener(quiet),
        "logs, info, sampled": lambda: LogListener(logging.getLogger("schemawire_info.client")),
        "logs, info, every line": lambda: LogListener(logging.getLogger("schemawire_info.client"), sampling=None),
        "logs, debug, every line": lambda: LogListener(logging.getLogger("schemawire_debug.client"), sampling=None),
        "traces, no SDK": TraceListener,
        "traces, SDK": lambda: TraceListener(provider),
        "metrics": MetricsListener,
        "OpenTelemetry metrics, SDK": lambda: OtelMetricsListener(meters),
        "all on": lambda: Listeners(
            TraceListener(provider), MetricsListener(), LogListener(logging.getLogger("schemawire_info.client"))
        ),
    }


async def cost(listener: Listener | None, calls: int) -> float:
    """Return the CPU microseconds of one call."""
    client = Client("http://a.test", wire=Forgetful(then=Reply()), listener=listener)
    gc.collect()
    for _ in range(calls // 4):
        await client.request("GET", "/items/7", route="/items/{id}")
    began = time.process_time()
    for _ in range(calls):
        await client.request("GET", "/items/7", route="/items/{id}")
    return (time.process_time() - began) / calls * 1e6


async def compare(calls: int, rounds: int) -> None:
    """Print each sink's cost and its ratio to the bare pipeline."""
    every = sinks()
    found: dict[str, list[float]] = {name: [] for name in every}
    await cost(None, calls)
    for _ in range(rounds):
        for name, make in every.items():
            found[name].append(await cost(make(), calls))
    bare = statistics.median(found["no listener"])
    for name, times in found.items():
        median = statistics.median(times)
        print(f"  {name:<27}{median:>8.1f} µs/call {median - bare:>+8.1f} µs {median / bare:>7.2f}×")


async def flood(folder: Path, series: int, seconds: int, rate: int) -> None:
    """Record so many numbers a second, and print how long the loop was held up at most."""
    async with History(folder / "flood.db") as history:
        names = [f"series{number}" for number in range(series)]
        clock = asyncio.get_running_loop().time
        began, longest, cpu = clock(), 0.0, 0.0
        slice_ = 0.01
        each = int(rate * slice_)
        for turn in range(int(seconds / slice_)):
            started = time.perf_counter()
            for number in range(each):
                history.record(names[(turn * each + number) % series], 1.0)
            cpu += time.perf_counter() - started
            due = began + (turn + 1) * slice_
            await asyncio.sleep(max(0.0, due - clock()))
            longest = max(longest, clock() - due)
        took = clock() - began
        state = history.statistics()
    print(
        f"  {state.recorded / took:>9.0f} numbers/s into {series} series: {cpu / state.recorded * 1e6:.2f} µs each,"
        f" loop late by {longest * 1e3:.1f} ms at most, {state.left_out} left out, {state.failed_writes} failed writes"
    )


def month(folder: Path, series: int, *, growing: int) -> None:
    """Print the size of the file after a month of figures, read once a second.

    Of gauges there is a number in every second, of counters only in those in which they grew, one in ten. Seconds and
    tens are written for the last hours alone: earlier ones would have been forgotten, so the size is the same.
    """
    file = HistoryFile(folder / "month.db", TIERS, 1 << 30)
    names = [f'http_server_request_duration_seconds_count{{http_route="/items/{number}"}}' for number in range(series)]
    begin = 1_800_000_000
    for hour in range(30 * 24):
        start = begin + hour * 3600
        every = 60 if hour < 700 else 1
        gauges = [Point(start + second, 1, 1.5, 1.5, 1.5, 1.5) for second in range(0, 3600, every)]
        counters = [Point(start + second, 1, 3.0, 3.0, 3.0, 3.0) for second in range(0, 3600, max(10, every))]
        file.write({name: counters if number < growing else gauges for number, name in enumerate(names)})
        file.forget(start + 3600)
    size = file.used_bytes()
    file.close()
    print(f"  {series} series, {growing} of them counters, after a month: {size / 1e6:.1f} MB")


async def service_figures(folder: Path) -> None:
    """Print what one reading of a busy service's figures costs the loop, and a question for its history."""
    recorder = Recorder()
    for number in range(4000):
        recorder.record(
            f"GET /api/route{number % 40}/{{id}}", (200, 200, 200, 404, 500)[number % 5], 0.001 * (number % 97)
        )
    figures = Figures(recorder, FigureOptions(store_url=f"sqlite:///{folder / 'figures.db'}"))
    async with figures.kept():
        await asyncio.sleep(2.5)
        spent = time.process_time()
        count = sum(1 for _ in figures.samples())
        spent = time.process_time() - spent
        started = time.perf_counter()
        await figures.history(3600, 60)
        took = time.perf_counter() - started
    print(
        f"  a reading of {count} figures of 40 routes: {spent * 1e3:.1f} ms of the loop; a history: {took * 1e3:.1f} ms"
    )


def main() -> None:
    """Measure everything."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=3000, help="of each sink and round")
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    print("one call through the whole pipeline")
    asyncio.run(compare(given.calls, given.rounds))
    with tempfile.TemporaryDirectory() as folder:
        print("history")
        asyncio.run(flood(Path(folder), 500, 5, 100_000))
        month(Path(folder), 20, growing=15)
        asyncio.run(service_figures(Path(folder)))


if __name__ == "__main__":
    main()
