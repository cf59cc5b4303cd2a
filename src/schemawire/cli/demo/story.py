"""The demo from beginning to end: send, break, kill, start again, read back, prove; prints through the stage alone."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from schemawire.cli.demo.backdrop import Backdrop
from schemawire.cli.demo.cases import MINIMUM, Case, read_cases
from schemawire.cli.demo.closing import show_closing
from schemawire.cli.demo.plan import Plan
from schemawire.cli.demo.proof import Proof, drop_one, prove
from schemawire.cli.demo.report import Report
from schemawire.cli.demo.stage import Stage
from schemawire.cli.demo.watch import CURRENT_PROJECT, Watch
from schemawire.cli.screen import Screen
from schemawire.errors import ConfigurationInvalid, SchemawireError
from schemawire.events import BreakerChanged
from schemawire.handler import DomainSchemaHandler

T = TypeVar("T")


async def perform(screen: Screen, plan: Plan) -> Report:
    """Run the demo as planned and return what it came to.

    *Cancelled:* the service is killed, and the temporary folder is removed.
    """
    cases = await read_cases()
    if len(cases) < MINIMUM:
        raise ConfigurationInvalid(f"The demo has {len(cases)} descriptions; it needs {MINIMUM}.")
    stage = Stage(screen, len(cases))
    with _folder(plan) as folder:
        stage.heading("schemawire demo: plain words become stored schemas, over a connection broken on purpose")
        for line in plan.lines():
            stage.says(f"  {line}", style="dim")
        async with Backdrop(folder, plan.toxics(), plan.seed) as backdrop:
            performance = _Performance(stage, plan, backdrop, cases)
            await performance.run()
        report = _prove(stage, plan, backdrop, performance)
        show_closing(screen, stage, report, performance.metrics)
        if plan.keep is not None:
            stage.says(f"kept: {backdrop.database} and {backdrop.log}")
    return report


@contextmanager
def _folder(plan: Plan) -> Iterator[Path]:
    if plan.keep is not None:
        plan.keep.mkdir(parents=True, exist_ok=True)
        yield plan.keep
        return
    with tempfile.TemporaryDirectory(prefix="schemawire-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


class _Performance:
    """The part of the demo during which the service runs.

    Invariant: `_half_way` is set once half of the descriptions are acknowledged, `_outage_seen` once the breaker has
    opened after that.
    """

    def __init__(self, stage: Stage, plan: Plan, backdrop: Backdrop, cases: list[Case]) -> None:
        self._stage = stage
        self._plan = plan
        self._backdrop = backdrop
        self.cases = cases
        self.watch = Watch(self._on_breaker)
        self.errors: list[str] = []
        self.killed_in_flight = 0
        self.replies_swallowed = 0
        self.attempts: dict[str, int] = {}
        self.metrics: dict[str, object] = {}
        self._acknowledged = 0
        self._half_way = asyncio.Event()
        self._outage_seen = asyncio.Event()
        self._turns = asyncio.Semaphore(plan.senders)

    async def run(self) -> None:
        """Send everything, with the kill in the middle, then read everything back."""
        async with self._handler() as handler:
            self._stage.heading(f"Sending {len(self.cases)} descriptions: {self._backdrop.describe()}")
            with self._stage.running():
                await self._send_all(handler)
            self._stage.heading("Reading every schema back as a verified stream")
            for case in self.cases:
                await self._read_back(handler, case)
            self.metrics = await self._ask(handler.get_metrics)

    async def _send_all(self, handler: DomainSchemaHandler) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill_half_way())
            for case in self.cases:
                tasks.create_task(self._send(handler, case))

    def _handler(self) -> DomainSchemaHandler:
        return DomainSchemaHandler(
            self._backdrop.url,
            self._backdrop.key,
            retry_config=self._plan.retry,
            circuit_breaker_config=self._plan.breaker,
            timeout_config=self._plan.timeout,
            pool_config=self._plan.pool,
            listener=self.watch,
        )

    async def _send(self, handler: DomainSchemaHandler, case: Case) -> None:
        CURRENT_PROJECT.set(case.project)
        async with self._turns:
            try:
                result = await handler.analyze_and_send_domain(
                    case.text, case.project, "demo", deadline=self._plan.send_limit
                )
            except SchemawireError as error:
                self._fail(case, error)
            else:
                self._stage.happened("stored", f"{case.project}: {case.figures}, version {result.version}")
        self.attempts[case.project] = self.watch.attempts[case.project]
        self._acknowledge()

    def _acknowledge(self) -> None:
        self._acknowledged += 1
        self._stage.advance()
        self._show_state()
        if self._acknowledged * 2 >= len(self.cases):
            self._half_way.set()

    def _show_state(self) -> None:
        faults = sum(self._backdrop.faults().values())
        failed = self.watch.failed_attempts
        self._stage.state(f"breaker {self.watch.breaker_state} · faults {faults} · failed attempts {failed}")

    def _fail(self, case: Case, error: SchemawireError) -> None:
        self.errors.append(f"{case.project}: {error}")
        self._stage.happened("failed", f"{case.project}: {error}")

    async def _kill_half_way(self) -> None:
        """End the service without warning while requests are under way; start it again once the breaker has opened."""
        await self._half_way.wait()
        self.replies_swallowed = await self._backdrop.kill_holding_replies(self._plan.outage_limit)
        self.killed_in_flight = self.watch.attempts_in_flight
        self._stage.happened("SIGKILL", self._loss())
        try:
            async with asyncio.timeout(self._plan.outage_limit):
                await self._outage_seen.wait()
        except TimeoutError:
            self._stage.happened("breaker", "did not open")
        await self._backdrop.start()
        self._stage.happened(
            "restart", f"the service is back, on the same file, as process {self._backdrop.process_id}"
        )

    def _loss(self) -> str:
        under_way = f"{self.killed_in_flight} requests under way"
        return f"the service is gone, with {under_way}; {self.replies_swallowed} of them done, the reply lost"

    def _on_breaker(self, change: BreakerChanged) -> None:
        more = "" if change.open_for is None else f", for {change.open_for:.2f} s"
        self._stage.happened("breaker", f"{change.before} → {change.after} ({change.reason}{more})")
        self._show_state()
        if change.after == "open" and not self._backdrop.is_running:
            self._outage_seen.set()

    async def _read_back(self, handler: DomainSchemaHandler, case: Case) -> None:
        CURRENT_PROJECT.set(case.project)
        try:
            summary = await self._ask(partial(handler.stream_large_schema, case.project, _ignore))
        except SchemawireError as error:
            self._fail(case, error)
            return
        if summary.digest != case.digest:
            self.errors.append(f"{case.project}: read back with digest {summary.digest[:12]}, sent {case.digest[:12]}")

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask again what may be asked again: an open breaker refuses a read at once, where a keyed write waits."""
        for _ in range(self._plan.questions - 1):
            try:
                return await question()
            except SchemawireError as error:
                if not error.retryable:
                    raise
                self._stage.happened("asking", f"again: {error}")
                await asyncio.sleep(error.retry_after or self._plan.breaker.recovery_timeout)
        return await question()


def _ignore(element: object) -> None:
    """Take an element; the stream itself checks count and digest."""


def _prove(stage: Stage, plan: Plan, backdrop: Backdrop, performance: _Performance) -> Report:
    if plan.sabotage:
        stage.happened("sabotage", f"dropped {drop_one(backdrop.database)} from the store file")
    proof: Proof = prove(backdrop.database, {case.project: case.digest for case in performance.cases})
    watch = performance.watch
    return Report(
        cases=tuple(performance.cases),
        proof=proof,
        attempts=performance.attempts,
        faults=backdrop.faults(),
        retries=watch.resent,
        refusals=watch.refusals,
        connections=backdrop.connections(),
        killed_in_flight=performance.killed_in_flight,
        replies_swallowed=performance.replies_swallowed,
        breaker_opened=watch.times_reached("OPEN"),
        breaker_closed=watch.times_reached("CLOSED"),
        errors=tuple(performance.errors),
        elapsed=stage.elapsed,
    )
