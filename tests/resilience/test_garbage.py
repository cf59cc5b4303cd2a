"""What a call leaves behind: nothing that only the garbage collector could find, and nothing that grows."""

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable, Iterator

import pytest

from schemawire.errors import DeadlineExceeded
from schemawire.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerConfig,
    Deadline,
    DeadlineConfig,
    Layers,
    Pipeline,
    Retry,
    RetryBudget,
    RetryBudgetConfig,
    RetryConfig,
    Standalone,
    TimeLimiter,
    TimeLimiterConfig,
)
from schemawire.testing import virtual_time


class Broken(Exception):
    pass


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Nothing is freed here but what reference counts free."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def retry(max_retries: int = 2) -> Retry:
    plenty = RetryBudget(RetryBudgetConfig(ratio=10.0, floor_per_second=1000.0))
    return Retry(RetryConfig(max_retries=max_retries, transient_base=0.0), budget=plenty)


def patient_breaker() -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(failure_threshold=None, failure_rate=None))


def default_layers() -> Pipeline:
    return Pipeline(
        Layers(
            deadline=Deadline(),
            retry=retry(),
            breaker=patient_breaker(),
            bulkhead=Bulkhead(),
            timeout=TimeLimiter(TimeLimiterConfig(attempt=1.0)),
        )
    )


def failing(times: int, left: list[weakref.ref[Broken]]) -> Callable[[], Awaitable[str]]:
    """Return a call that fails so many times, and note each error without keeping it."""

    async def call() -> str:
        if len(left) < times:
            error = Broken()
            left.append(weakref.ref(error))
            try:
                raise error
            finally:
                del error
        return "done"

    return call


CASES = pytest.mark.parametrize("make", [retry, patient_breaker, Deadline, default_layers])


@CASES
@pytest.mark.usefixtures("no_collector")
@virtual_time
async def test_errors_of_a_call_that_fails_are_freed_with_the_last(make: Callable[[], Standalone]) -> None:
    """Whoever drops the final error drops those of the earlier attempts too, without the garbage collector."""
    for decorated in (False, True):
        left: list[weakref.ref[Broken]] = []
        policy, call = make(), failing(99, left)
        with pytest.raises(Broken) as caught:
            await (policy.wrap(call)() if decorated else policy(call))
        del caught
        assert left
        assert [ref() for ref in left] == [None] * len(left)


@pytest.mark.parametrize("make", [retry, default_layers])
@pytest.mark.usefixtures("no_collector")
@virtual_time
async def test_errors_of_a_call_that_recovers_are_freed_at_once(make: Callable[[], Standalone]) -> None:
    """Once a further attempt is good, nobody holds the errors of those before it."""
    left: list[weakref.ref[Broken]] = []
    assert await make()(failing(2, left)) == "done"
    assert [ref() for ref in left] == [None, None]


@pytest.mark.usefixtures("no_collector")
@virtual_time
async def test_an_exhausted_budget_leaves_no_circle() -> None:
    """The refusal holds the errors as its attempts and its cause, and they do not hold it."""
    left: list[weakref.ref[Broken]] = []
    subject = Retry(RetryConfig(), budget=RetryBudget(RetryBudgetConfig(ratio=0.0, floor_per_second=0.0)))
    with pytest.raises(Exception, match="budget allows no further") as caught:
        await subject(failing(99, left))
    del caught
    assert [ref() for ref in left] == [None]


@pytest.mark.usefixtures("no_collector")
@virtual_time
async def test_a_deadline_during_the_retries_leaves_no_circle() -> None:
    """The errors before the deadline go with the one that tells of it."""
    left: list[weakref.ref[Broken]] = []
    first = failing(2, left)

    async def call() -> str:
        await first()
        await asyncio.sleep(3600)
        return "late"

    policy = Pipeline(Layers(deadline=Deadline(DeadlineConfig(total=10.0)), retry=retry(), breaker=patient_breaker()))
    with pytest.raises(DeadlineExceeded) as caught:
        await policy(call)
    assert len(caught.value.attempts) == 2
    del caught
    assert [ref() for ref in left] == [None, None]


async def _use(pipeline: Pipeline, calls: int) -> None:
    async def call() -> int:
        return 1

    decorated = pipeline.wrap(call)
    for index in range(calls):
        await decorated()
        if index % 100 == 0:
            await _breathe()


async def _breathe() -> None:
    """Let the event loop drop cancelled timers, as it does wherever calls really wait."""
    await asyncio.sleep(0)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_million_calls_leave_nothing_behind() -> None:
    """After a million calls through the default layers, no more memory is in use than after five thousand."""
    pipeline = default_layers()
    await _use(pipeline, 5_000)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    await _use(pipeline, 1_000_000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 64 * 1024
