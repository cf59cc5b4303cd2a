"""What happens to an overloaded backend behind three kinds of client, as a discrete-event simulation on virtual time.

    python benchmarks/overload_simulation.py [--out docs/resilience/overload.svg]

Three endpoints serve 150 requests per second together and are asked for 100. From second 20 to 35 each takes ten times
as long. A request that has reached an endpoint's queue is worked on whether or not its client still waits, as in life,
so every attempt in vain takes room from one that matters. The clients differ in nothing but their policies.
"""

import argparse
import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemawire.errors import SchemawireError, ServerFailed
from schemawire.resilience import (
    AdaptiveLimit,
    AdaptiveLimitConfig,
    Balance,
    Bulkhead,
    BulkheadConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    Context,
    Deadline,
    DeadlineConfig,
    Handler,
    Hedge,
    HedgeConfig,
    Layers,
    Pipeline,
    Policy,
    Retry,
    RetryBudget,
    RetryBudgetConfig,
    RetryConfig,
    Throttle,
    TimeLimiter,
    TimeLimiterConfig,
)
from schemawire.testing import run_virtual

ENDPOINTS = ("a", "b", "c")
WORKERS = 5
SERVICE_TIME = 0.1
QUEUE = 250
DEMAND = 100.0
FAULT = (20.0, 35.0)
SLOWDOWN = 10.0
DURATION = 75


class Backend:
    """One endpoint: a few workers and a queue; what is queued is served in order, wanted or not."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._busy = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def serve(self) -> None:
        """Serve one request.

        Raises:
            ServerFailed: the queue is full.
        """
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[None] = loop.create_future()
        if self._busy < WORKERS:
            self._busy += 1
            self._start(loop, reply)
        elif len(self._queue) < QUEUE:
            self._queue.append(reply)
        else:
            raise ServerFailed("the queue is full")
        await reply

    def _start(self, loop: asyncio.AbstractEventLoop, reply: "asyncio.Future[None]") -> None:
        slow = SLOWDOWN if FAULT[0] <= loop.time() < FAULT[1] else 1.0
        loop.call_later(self._draw.expovariate(1.0 / (SERVICE_TIME * slow)), self._finish, loop, reply)

    def _finish(self, loop: asyncio.AbstractEventLoop, reply: "asyncio.Future[None]") -> None:
        if not reply.done():
            reply.set_result(None)
        if self._queue:
            self._start(loop, self._queue.popleft())
        else:
            self._busy -= 1


@dataclass(kw_only=True)
class Record:
    """What one client did, by second of virtual time."""

    name: str
    calls: Counter[int] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    good: Counter[int] = field(default_factory=Counter)

    def amplification(self) -> float:
        """Return attempts per call over the whole run."""
        return self.attempts.total() / self.calls.total()

    def recovered_after(self, *, share: float = 0.9, seconds: int = 3) -> int | None:
        """Return how many seconds after the fault the client has `seconds` in a row with `share` of its calls good."""
        end = int(FAULT[1])
        for second in range(end, DURATION - seconds):
            window = range(second, second + seconds)
            if sum(self.good[at] for at in window) >= share * sum(self.calls[at] for at in window):
                return second - end
        return None


UNLIMITED = RetryBudgetConfig(ratio=10.0, floor_per_second=100_000.0, hedge_ratio=1.0, hedge_floor_per_second=100_000.0)


def attempts_layers(budget: RetryBudget, seed: int) -> dict[str, Policy]:
    """Return the layers that make further attempts: retry, hedge, failover, with their time limits."""
    draw = random.Random(seed).random
    return {
        "deadline": Deadline(DeadlineConfig(total=5.0)),
        "hedge": Hedge(HedgeConfig(delay=0.6), budget=budget),
        "retry": Retry(RetryConfig(max_retries=3, throttled_cap=1.0), budget=budget, draw=draw),
        "pick": Balance(ENDPOINTS, draw=draw),
        "timeout": TimeLimiter(TimeLimiterConfig(attempt=1.0)),
    }


def clients() -> Iterator[tuple[str, Pipeline, Callable[[str], Pipeline | None]]]:
    """Yield name, pipeline and the layers of one endpoint of each kind of client."""
    unlimited = attempts_layers(RetryBudget(UNLIMITED), 1)
    yield "3 retries and a hedge, no budget", Pipeline(Layers(**unlimited)), lambda endpoint: None
    budgeted = attempts_layers(RetryBudget(), 1)
    yield "the same within the retry budget", Pipeline(Layers(**budgeted)), lambda endpoint: None
    everything = attempts_layers(RetryBudget(), 1)
    everything["admission"] = Throttle(draw=random.Random(2).random)
    yield "all layers", Pipeline(Layers(**everything)), endpoint_layers


def endpoint_layers(endpoint: str) -> Pipeline:
    """Return the layers that each endpoint has of its own."""
    return Pipeline(
        Layers(
            breaker=CircuitBreaker(
                CircuitBreakerConfig(recovery_timeout=5.0, max_recovery_timeout=5.0),
                draw=random.Random(3).random,
                name=endpoint,
            ),
            limit=AdaptiveLimit(AdaptiveLimitConfig(max_waiting=20, max_wait=0.5)),
            bulkhead=Bulkhead(BulkheadConfig(max_concurrent=50)),
        )
    )


def innermost(record: Record, layers: Callable[[str], Pipeline | None]) -> Handler[None]:
    """Return the bottom of the pipeline: the endpoint's own layers, then its backend."""
    handlers: dict[str, Handler[None]] = {}

    def bottom(endpoint: str, backend: Backend) -> Handler[None]:
        async def send(context: Context) -> None:
            record.attempts[int(asyncio.get_running_loop().time())] += 1
            await backend.serve()

        own = layers(endpoint)
        return send if own is None else own.bind(send)

    for seed, endpoint in enumerate(ENDPOINTS):
        handlers[endpoint] = bottom(endpoint, Backend(seed))

    async def dispatch(context: Context) -> None:
        await handlers[context.endpoint](context)

    return dispatch


async def simulate(name: str, pipeline: Pipeline, layers: Callable[[str], Pipeline | None]) -> Record:
    """Let one kind of client run against fresh backends; calls arrive at random, whatever became of earlier ones."""
    record, arrivals = Record(name=name), random.Random(42)
    handler = pipeline.bind(innermost(record, layers))
    loop = asyncio.get_running_loop()

    async def call() -> None:
        began = int(loop.time())
        record.calls[began] += 1
        try:
            await handler(Context())
        except SchemawireError:
            return
        record.good[int(loop.time())] += 1

    async with asyncio.TaskGroup() as group:
        while loop.time() < DURATION:
            group.create_task(call())
            await asyncio.sleep(arrivals.expovariate(DEMAND))
    return record


def run_all() -> list[Record]:
    """Run every kind of client, each on a clock of its own."""
    return [run_virtual(simulate(*client)) for client in clients()]


WIDTH, HEIGHT, LEFT, TOP = 760, 230, 60, 46
STYLE = """
  text { font: 12px sans-serif; fill: #57606a }
  .title { font-size: 14px; fill: #1f2328 }
  .paper { fill: #ffffff }
  .fault { fill: #fff1d6 }
  .grid { stroke: #d8dee4 }
  polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round }
  .client0 { stroke: #d55e00 }
  .client1 { stroke: #0072b2 }
  .client2 { stroke: #009e73; stroke-width: 2.6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title { fill: #e6edf3 }
    .paper { fill: #0d1117 }
    .fault { fill: #3b2e12 }
    .grid { stroke: #2b3139 }
    .client0 { stroke: #ff8b3d }
    .client1 { stroke: #58a6ff }
    .client2 { stroke: #2fd0a0 }
  }
"""
"""Colours of Okabe and Ito, which the colour-blind can tell apart, and lighter ones where the viewer is dark."""


def draw_svg(records: list[Record]) -> str:
    """Return both plots, offered load and goodput by second, as one SVG."""
    panels = [
        ("attempts per second that reach the backend", [record.attempts for record in records], 1200),
        ("calls per second answered in time", [record.good for record in records], 160),
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 90} {2 * (HEIGHT + 78) + 40}" role="img">',
        "<title>An overloaded backend with and without a retry budget and limits</title>",
        f"<style>{STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
    ]
    for number, (title, series, highest) in enumerate(panels):
        parts += draw_panel(title, series, highest, TOP + number * (HEIGHT + 78))
    for number, record in enumerate(records):
        x = LEFT + number * 270
        y = TOP + 2 * (HEIGHT + 78) - 22
        parts.append(f'<polyline class="client{number}" points="{x},{y - 4} {x + 20},{y - 4}"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{record.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def draw_panel(title: str, series: list[Counter[int]], highest: int, top: int) -> list[str]:
    """Return one plot: axes, the time of the fault, and a line per client."""

    def place(second: float, value: float) -> str:
        return f"{LEFT + second / DURATION * WIDTH:.1f},{top + HEIGHT - min(value, highest) / highest * HEIGHT:.1f}"

    start, end = (LEFT + at / DURATION * WIDTH for at in FAULT)
    parts = [
        f'<text class="title" x="{LEFT}" y="{top - 12}">{title}</text>',
        f'<rect class="fault" x="{start:.1f}" y="{top}" width="{end - start:.1f}" height="{HEIGHT}"/>',
    ]
    for step in range(5):
        value = highest * step / 4
        y = place(0, value).partition(",")[2]
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{LEFT + WIDTH}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for second in range(0, DURATION + 1, 15):
        x = place(second, 0).partition(",")[0]
        parts.append(f'<text x="{x}" y="{top + HEIGHT + 18}" text-anchor="middle">{second} s</text>')
    for number, counts in enumerate(series):
        points = " ".join(place(second, counts[second]) for second in range(DURATION))
        parts.append(f'<polyline class="client{number}" points="{points}"/>')
    label = (start + end) / 2
    parts.append(f'<text x="{label:.1f}" y="{top + 16}" text-anchor="middle">ten times slower</text>')
    return parts


def main() -> None:
    """Simulate, print the figures, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/resilience/overload.svg"))
    arguments = parser.parse_args()
    records = run_all()
    print(f"{'client':36}{'attempts per call':>18}{'calls answered':>16}{'recovered after':>17}")
    for record in records:
        after = record.recovered_after()
        answered = record.good.total() / record.calls.total()
        recovered = "never" if after is None else f"{after} s"
        print(f"{record.name:36}{record.amplification():18.2f}{answered:16.1%}{recovered:>17}")
    arguments.out.write_text(draw_svg(records), encoding="utf-8")
    print(f"drawn in {arguments.out}")


if __name__ == "__main__":
    main()
