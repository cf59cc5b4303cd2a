"""Cancels a scenario at every point at which it can be cancelled, and checks each time that nothing was left behind.

Knows nothing of policies: point it at any pipeline, pool or client that runs on asyncio.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from schemawire.testing.virtual_time import run_virtual, where_waiting

S = TypeVar("S")


class CancelMoment(Enum):
    """When the cancellation arrives, relative to a suspension.

    `SUSPENDED`: while the task still waits. `WOKEN`: in the same tick in which what it waited for came true, before
    the task could take note; this is the race in which hand-written semaphores lose a permit.
    """

    SUSPENDED = "suspended"
    WOKEN = "woken"


class CancellationLeak(AssertionError):
    """A cancelled scenario left something behind, or swallowed its cancellation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationReport:
    """What a run of `cancel_at_every_await` covered."""

    suspensions: int
    """Points at which some task of the scenario was suspended."""
    cancelled: int
    """Rounds that ended cancelled; the others had finished before the cancellation came."""
    rounds: int


class _Plan:
    """Counts suspensions over all tasks of one round and cancels the caller at the chosen one.

    Invariant: `victim` is cancelled at most once, and never after it is done.
    """

    def __init__(self, target: int, moment: CancelMoment) -> None:
        self.target = target
        self.moment = moment
        self.count = 0
        self.armed = False
        self.delivered = False
        self.place = ""
        self.victim: asyncio.Task[Any] | None = None
        self.root: Any = None
        """The victim's own coroutine, under the counting one."""

    def suspended(self, waiting_for: Any) -> None:
        if not self.armed:
            return
        self.count += 1
        if self.count != self.target:
            return
        if self.moment is CancelMoment.WOKEN and isinstance(waiting_for, asyncio.Future):
            # Registered before the task's own wake-up, so it runs first once the future is done.
            waiting_for.add_done_callback(lambda _: self._cancel())
        else:
            asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        victim = self.victim
        if victim is None or victim.done():
            return
        self.place = where_waiting(self.root)
        self.delivered = victim.cancel()


class _Counted(Generic[S]):
    """Awaits a coroutine and reports each of its suspensions to the plan."""

    def __init__(self, coroutine: Coroutine[Any, Any, S], plan: _Plan) -> None:
        self._coroutine = coroutine
        self._plan = plan

    def __await__(self) -> Generator[Any, Any, S]:
        step = self._coroutine.send
        value: Any = None
        while True:
            try:
                waiting_for = step(value)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # the coroutine's own result type
            self._plan.suspended(waiting_for)
            try:
                value = yield waiting_for
                step = self._coroutine.send
            except BaseException as error:
                value = error
                step = self._coroutine.throw


def cancel_at_every_await(
    prepare: Callable[[], S],
    scenario: Callable[[S], Awaitable[object]],
    *,
    check: Callable[[S], Awaitable[None] | None],
    grace: float = 60.0,
    limit: int = 5_000,
) -> CancellationReport:
    """Run a scenario again and again, cancelling it at the 1st, 2nd, … n-th suspension, and check after each.

    Each round runs on a fresh virtual-time loop with a fresh subject. Suspensions are counted over the scenario's task
    and every task it starts, so the caller is also cancelled while its children are in the middle of something. Each
    suspension is tried twice: while it waits and in the tick in which it wakes (`CancelMoment`). A first round runs
    undisturbed, so the scenario itself must succeed.

    Args:
        prepare: Makes the subject; called inside the running loop.
        scenario: Uses the subject; must be deterministic (seed what is random).
        check: Asserts that nothing is left behind, such as gauges at zero; may be async and use the subject again.
        grace: Virtual seconds that tasks started by the scenario may take to clean up after the caller has gone.
        limit: The most suspensions to try; a scenario that has more is refused rather than tested in part.

    Returns:
        How much was covered.

    Raises:
        CancellationLeak: The check failed, a task was left running, or the cancellation was swallowed; the message
            says at which suspension and where the caller was waiting.
    """
    total = _round(_Plan(0, CancelMoment.SUSPENDED), prepare, scenario, check, grace=grace).count
    if total > limit:
        raise ValueError(f"The scenario suspends {total} times, more than the limit of {limit}; make it smaller.")
    plans = [_Plan(n, moment) for n in range(1, total + 1) for moment in CancelMoment]
    delivered = [_round(plan, prepare, scenario, check, grace=grace).delivered for plan in plans]
    return CancellationReport(suspensions=total, cancelled=sum(delivered), rounds=len(plans))


def _round(
    plan: _Plan,
    prepare: Callable[[], S],
    scenario: Callable[[S], Awaitable[object]],
    check: Callable[[S], Awaitable[None] | None],
    *,
    grace: float,
) -> _Plan:
    try:
        run_virtual(_play(plan, prepare, scenario, check, grace))
    except Exception as error:
        if plan.target == 0:
            raise
        where = f"suspension {plan.target} ({plan.moment.value}), while the caller waited at {plan.place or 'nothing'}"
        raise CancellationLeak(f"Cancelled at {where}: {type(error).__name__}: {error}") from error
    return plan


async def _play(
    plan: _Plan,
    prepare: Callable[[], S],
    scenario: Callable[[S], Awaitable[object]],
    check: Callable[[S], Awaitable[None] | None],
    grace: float,
) -> None:
    loop = asyncio.get_running_loop()

    def counted_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(_drive(coroutine, plan), loop=loop, **options)

    subject = prepare()
    before = asyncio.all_tasks()
    loop.set_task_factory(counted_task)
    plan.armed = True
    plan.root = _awaited(scenario(subject))
    plan.victim = loop.create_task(plan.root, name="scenario")
    await asyncio.wait({plan.victim})
    plan.armed = False
    loop.set_task_factory(None)
    await _let_children_end(before, grace)
    _require_cancelled(plan.victim, plan)
    verdict = check(subject)
    if inspect.isawaitable(verdict):
        await verdict


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable  # a coroutine of our own, as a scenario may return any awaitable


async def _drive(coroutine: Coroutine[Any, Any, S], plan: _Plan) -> S:
    return await _Counted(coroutine, plan)


async def _let_children_end(before: set["asyncio.Task[Any]"], grace: float) -> None:
    children = asyncio.all_tasks() - before
    if not children:
        return
    _, alive = await asyncio.wait(children, timeout=grace)
    if alive:
        names = ", ".join(sorted(f"{task.get_name()} at {where_waiting(task.get_coro())}" for task in alive))
        raise AssertionError(f"tasks are still running {grace:g} s after the caller has gone: {names}")


def _require_cancelled(victim: "asyncio.Task[Any]", plan: _Plan) -> None:
    if plan.delivered and not victim.cancelled():
        outcome = victim.exception() or victim.result()
        raise AssertionError(f"the cancellation was swallowed; the scenario ended with {outcome!r}")
    if not plan.delivered:
        victim.result()
