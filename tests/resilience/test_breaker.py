"""The circuit breaker around real calls: what counts, what is neutral, and what happens to permits."""

import asyncio
from typing import Any

import pytest

from schemawire.errors import AttemptTimeout, CircuitOpen, DeadlineExceeded, NotFound, QueueFull, ServerFailed
from schemawire.events import BreakerChanged, CallRefused, Event, SilentListener
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.breaker_state import BreakerStateName, CircuitBreakerConfig
from schemawire.resilience.call import NEUTRAL, SUCCESS, Context, Judgement, Scope
from schemawire.testing import ScriptedDependency, answer, cancel_at_every_await, hang, settle, virtual_time

Work = ScriptedDependency[Any]
OPEN, CLOSED, HALF_OPEN = BreakerStateName.OPEN, BreakerStateName.CLOSED, BreakerStateName.HALF_OPEN


class Ear(SilentListener):
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.heard.append(event)


async def fail(breaker: CircuitBreaker, times: int, error: Exception | None = None) -> None:
    for _ in range(times):
        with pytest.raises(Exception, match=r"."):
            await breaker(Work(error or ServerFailed()))


async def opened(**options: Any) -> CircuitBreaker:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2, **options), draw=lambda: 0.5)
    await fail(breaker, 2)
    assert breaker.state is OPEN
    return breaker


@virtual_time
async def test_an_open_breaker_refuses_and_says_when_to_come_back() -> None:
    """Five failures in a row open it for thirty seconds; a refused call never reaches the other side."""
    ear = Ear()
    breaker = CircuitBreaker(listener=ear, name="orders")
    await fail(breaker, 5)
    await asyncio.sleep(10)
    work = Work(then="unused")
    with pytest.raises(CircuitOpen, match="'orders' is open; the next probe is due in 20") as caught:
        await breaker(work)
    assert caught.value.retry_after == 20
    assert work.statistics().calls == 0
    assert ear.heard == [
        BreakerChanged(name="orders", before="closed", after="open", reason="5 failures in a row", open_for=30.0),
        CallRefused(name="orders", policy="breaker", reason="open", retry_after=20.0),
    ]


@virtual_time
async def test_a_successful_probe_closes_it() -> None:
    """Once its time is over, the next call is the probe; its success closes the breaker."""
    breaker = await opened()
    await asyncio.sleep(30)
    assert await breaker(Work("back")) == "back"
    assert breaker.state is CLOSED


@pytest.mark.parametrize("probes", [1, 7])
def test_a_herd_at_a_half_open_breaker_sends_exactly_its_probes(probes: int) -> None:
    """Of a thousand calls at the same moment, exactly `probes` reach the other side."""

    @virtual_time
    async def play() -> None:
        breaker = await opened(probes=probes)
        await asyncio.sleep(30)
        work = Work(then=answer("back", after=1.0))
        outcomes = await asyncio.gather(*(breaker(work) for _ in range(1_000)), return_exceptions=True)
        assert work.statistics().calls == probes
        assert outcomes.count("back") == probes
        assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 1_000 - probes
        assert breaker.state is CLOSED

    play()


@virtual_time
async def test_a_cancelled_probe_gives_its_permit_back() -> None:
    """The breaker stays half-open, neither closed nor opened by it, and lets another probe through."""
    breaker = await opened()
    await asyncio.sleep(30)
    probe = asyncio.ensure_future(breaker(Work(hang())))
    await settle()
    assert breaker.statistics().probes_in_flight == 1
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    statistics = breaker.statistics()
    assert (statistics.state, statistics.probes_in_flight, statistics.neutral) == (HALF_OPEN, 0, 1)
    assert await breaker(Work("back")) == "back"
    assert breaker.state is CLOSED


@virtual_time
async def test_cancelled_calls_neither_count_as_failures_nor_reset_the_row() -> None:
    """Two failures with a cancelled call between them are two in a row, and three cancelled calls are none."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))
    for outcome in ("cancelled", "cancelled", "cancelled", "failed", "cancelled"):
        if outcome == "failed":
            await fail(breaker, 1)
            continue
        with pytest.raises(asyncio.CancelledError):
            await breaker(Work(asyncio.CancelledError()))
    assert breaker.statistics().consecutive_failures == 1
    await fail(breaker, 1)
    assert breaker.state is OPEN


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (ServerFailed(), True),
        (AttemptTimeout(), True),
        (OSError("reset"), True),
        (DeadlineExceeded("of a nested call"), True),
        (QueueFull(), False),
        (NotFound(), False),
    ],
)
async def test_only_failures_of_the_other_side_count(error: Exception, opens: bool) -> None:
    """Failures and attempt timeouts open it; refusals of our own and rejections do not."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=3))
    await fail(breaker, 3, error)
    assert (breaker.state is OPEN) == opens


@virtual_time
async def test_the_callers_own_deadline_is_neutral() -> None:
    """A call whose deadline came says nothing about the other side."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    async def inner(context: Context) -> None:
        await asyncio.sleep(2)
        raise DeadlineExceeded()

    with pytest.raises(DeadlineExceeded):
        await breaker.bind(inner)(Context(deadline=2.0))
    assert breaker.statistics().neutral == 1
    assert breaker.state is CLOSED


async def test_results_are_judged_too() -> None:
    """A judge that looks at results can open the breaker without any exception."""

    def judge(context: Context, result: Any, error: BaseException | None) -> Judgement:
        return Judgement(failed=True) if result == 503 else SUCCESS

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2), judge=judge)
    assert [await breaker(Work(status)) for status in (503, 200, 503, 503)] == [503, 200, 503, 503]
    assert breaker.state is OPEN


@virtual_time
async def test_a_judge_that_fails_gives_the_permit_back() -> None:
    """A fault in the caller's judge surfaces, and does not keep a half-open breaker's place."""
    broken = [False]

    def judge(context: Context, result: Any, error: BaseException | None) -> Judgement:
        if broken[0]:
            raise LookupError("fault in the judge")
        return Judgement(failed=error is not None)

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), judge=judge)
    await fail(breaker, 1)
    await asyncio.sleep(30)
    broken[0] = True
    with pytest.raises(LookupError):
        await breaker(Work("answer"))
    assert breaker.statistics().probes_in_flight == 0
    broken[0] = False
    assert await breaker(Work("answer")) == "answer"


@virtual_time
async def test_slow_calls_are_timed() -> None:
    """A call of 3 s is slow at a limit of 2 s; enough of them open it."""
    breaker = CircuitBreaker(CircuitBreakerConfig(slow_call_duration=2.0, minimum_calls=3, failure_threshold=None))
    for _ in range(3):
        await breaker(Work(answer(after=3.0)))
    assert breaker.state is OPEN


async def respond(context: Context) -> str:
    return "headers"


@pytest.mark.parametrize(
    ("error", "state", "neutral"),
    [(None, CLOSED, 0), (OSError("cut"), OPEN, 0), (asyncio.CancelledError(), HALF_OPEN, 1)],
)
def test_under_streaming_a_probe_ends_with_its_body(
    error: BaseException | None, state: BreakerStateName, neutral: int
) -> None:
    """A body read to its end closes it, a broken one opens it again, an abandoned one says nothing."""

    @virtual_time
    async def play() -> None:
        breaker = await opened()
        await asyncio.sleep(30)
        scope = Scope()
        await breaker.bind(respond)(Context(scope=scope))
        assert breaker.statistics().probes_in_flight == 1
        with pytest.raises(CircuitOpen):
            await breaker(Work("unused"))
        await asyncio.sleep(5)
        scope.close(error)
        statistics = breaker.statistics()
        assert (statistics.state, statistics.probes_in_flight, statistics.neutral) == (state, 0, neutral)

    play()


@virtual_time
async def test_under_streaming_a_bad_answer_counts_at_once() -> None:
    """A failing status needs no body to be judged."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), judge=lambda *_: Judgement(failed=True))
    await breaker.bind(respond)(Context(scope=Scope()))
    assert breaker.state is OPEN


async def test_a_neutral_result_counts_as_nothing() -> None:
    """The judge may call a result neutral, such as one served from a cache."""
    breaker = CircuitBreaker(judge=lambda *_: NEUTRAL)
    await breaker(Work("cached"))
    assert breaker.statistics().calls == 0


@virtual_time
async def test_the_block_form_counts_like_a_call() -> None:
    """`async with breaker` takes a permit and judges how the block ends; blocks of several tasks do not mix."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))

    async def block(error: Exception | None, wait: float) -> None:
        async with breaker:
            await asyncio.sleep(wait)
            if error is not None:
                raise error

    outcomes = await asyncio.gather(
        block(ServerFailed(), 2), block(None, 1), block(ServerFailed(), 3), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ServerFailed, type(None), ServerFailed]
    assert breaker.state is OPEN
    with pytest.raises(CircuitOpen):
        async with breaker:
            pytest.fail("an open breaker let the block in")


async def test_manual_control_is_announced() -> None:
    """Isolating, disabling, observing and resetting each say what changed; a change to the same state says nothing."""
    ear = Ear()
    breaker = CircuitBreaker(listener=ear)
    for move in (breaker.force_open, breaker.disable, breaker.observe, breaker.reset, breaker.reset):
        move()
    moves = [(event.before, event.after) for event in ear.heard if isinstance(event, BreakerChanged)]
    assert moves == [
        ("closed", "forced_open"),
        ("forced_open", "disabled"),
        ("disabled", "metrics_only"),
        ("metrics_only", "closed"),
    ]


@virtual_time
async def test_a_caller_can_look_before_it_leaps() -> None:
    """Asking whether a call would be refused takes no permit, so a balancer may ask before it chooses."""
    breaker = await opened()
    assert breaker.would_refuse(0.0)
    assert breaker.retry_after(10.0) == 20.0
    assert not breaker.would_refuse(30.0)
    await asyncio.sleep(30)
    probe = asyncio.ensure_future(breaker(Work(answer(after=1.0))))
    await settle()
    assert breaker.would_refuse(30.0)
    await probe
    assert not breaker.would_refuse(31.0)
    breaker.force_open()
    assert breaker.would_refuse(1e9)
    assert breaker.retry_after(0.0) is None


async def test_a_block_is_left_in_the_task_that_entered_it() -> None:
    """Leaving it elsewhere is refused with words, and the task that entered can still leave it."""
    breaker = CircuitBreaker(name="orders")

    async def leave() -> None:
        await breaker.__aexit__(None, None, None)

    async with breaker:
        with pytest.raises(RuntimeError, match="'orders' was entered in another task"):
            await asyncio.ensure_future(leave())
    assert breaker.statistics().calls == 1


async def test_it_shows_its_state_and_options() -> None:
    """`describe` names the state and the options in force."""
    breaker = CircuitBreaker(name="orders")
    assert breaker.describe().startswith("orders: closed; failure_threshold=5 recovery_timeout=30 ")
    breaker.replace_options(CircuitBreakerConfig(failure_threshold=9))
    assert "failure_threshold=9" in breaker.describe()


def test_a_coroutine_closed_without_its_loop_frees_the_probe() -> None:
    """A call that is thrown away after its event loop has gone gives its permit back all the same."""
    loop = asyncio.new_event_loop()
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0.001))
    loop.run_until_complete(fail(breaker, 1))
    loop.run_until_complete(asyncio.sleep(0.01))

    async def start() -> Any:
        coroutine = breaker(Work(hang()))
        coroutine.send(None)
        return coroutine

    coroutine = loop.run_until_complete(start())
    loop.close()
    assert breaker.statistics().probes_in_flight == 1
    coroutine.close()
    assert breaker.statistics().probes_in_flight == 0


def test_cancellation_at_every_await_leaves_no_probe_behind() -> None:
    """A probe and a streamed probe give their permits back wherever the caller leaves."""

    async def scenario(breaker: CircuitBreaker) -> None:
        await asyncio.gather(*(breaker(Work(ServerFailed())) for _ in range(2)), return_exceptions=True)
        await asyncio.sleep(30)
        await breaker(Work(answer(after=0.5)))
        async with breaker:
            await asyncio.sleep(0.5)

    def check(breaker: CircuitBreaker) -> None:
        statistics = breaker.statistics()
        assert statistics.probes_in_flight == 0
        assert statistics.failures == 0

    report = cancel_at_every_await(
        lambda: CircuitBreaker(CircuitBreakerConfig(failure_threshold=2)), scenario, check=check
    )
    assert report.cancelled >= 5
