"""Calls that go on until their deadline: what they wait for, and what waiting costs."""

import asyncio

import pytest

from schemawire.errors import CircuitOpen
from schemawire.resilience import CircuitBreaker, CircuitBreakerConfig, Retry, RetryConfig
from schemawire.resilience.call import NEUTRAL, SUCCESS, Context, Judgement, RetryClass
from schemawire.testing import virtual_time

DOWN_FOR = 4.0


def judge(context: Context, result: object, error: BaseException | None) -> Judgement:
    """A refusal of our own is waited out; anything else that is raised is a failure."""
    match error:
        case None:
            return SUCCESS
        case CircuitOpen():
            return Judgement(retry=RetryClass.TRANSIENT, retry_after=error.retry_after, neutral=True)
        case Exception():
            return Judgement(failed=True, retry=RetryClass.TRANSIENT)
        case _:
            return NEUTRAL


@virtual_time
async def test_waiting_for_an_open_breaker_neither_backs_off_nor_pays() -> None:
    """After a short outage every patient call is done soon, and the waits took nothing from the retry budget."""
    loop = asyncio.get_running_loop()
    back_at = loop.time() + DOWN_FOR

    async def call() -> str:
        if loop.time() < back_at:
            raise ConnectionRefusedError
        return "done"

    breaker = CircuitBreaker(CircuitBreakerConfig(recovery_timeout=0.5, max_recovery_timeout=1.0), judge=judge)
    retry = Retry(RetryConfig(), judge=judge, until_deadline=lambda context: True)
    handler = retry.bind(breaker.bind(lambda context: call()))
    contexts = [Context(deadline=loop.time() + 60) for _ in range(60)]
    results = await asyncio.gather(*(handler(context) for context in contexts))
    assert results == ["done"] * 60
    assert loop.time() < back_at + 3.0
    failures_that_were_sent = breaker.statistics().admitted - 60
    assert breaker.statistics().refused > 0
    assert retry.budget.statistics().granted == failures_that_were_sent


@virtual_time
async def test_a_breaker_that_stays_open_ends_the_call_at_its_deadline() -> None:
    """The call ends in time, with the breaker's own word about when to come back."""
    loop = asyncio.get_running_loop()

    async def call() -> str:
        raise ConnectionRefusedError

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, recovery_timeout=30.0), judge=judge)
    retry = Retry(RetryConfig(), judge=judge, until_deadline=lambda context: True)
    handler = retry.bind(breaker.bind(lambda context: call()))
    start = loop.time()
    with pytest.raises(CircuitOpen) as caught:
        await handler(Context(deadline=start + 10))
    assert loop.time() - start <= 10
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 10
