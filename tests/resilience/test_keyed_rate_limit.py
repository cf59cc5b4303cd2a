"""One rate limit per key: keys do not disturb each other, and there are never too many."""

import asyncio

import pytest

from schemawire.errors import ConfigurationInvalid, RateLimited
from schemawire.resilience.call import Context
from schemawire.resilience.keyed_rate_limit import KeyedRateLimit
from schemawire.resilience.rate_limit import RateLimitConfig
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency
from schemawire.testing.virtual_time import settle, virtual_time


@virtual_time
async def test_a_busy_key_does_not_take_from_the_others() -> None:
    """While one key is exhausted, another passes at once; the refusal names the key."""
    limit = KeyedRateLimit(RateLimitConfig(rate=1.0, burst=2, max_wait=0.0))
    handler = limit.bind(ScriptedDependency[int](then=1))
    for _ in range(2):
        await handler(Context(key="busy"))
    with pytest.raises(RateLimited, match="of 'busy'"):
        await handler(Context(key="busy"))
    assert await handler(Context(key="calm")) == 1
    assert limit.statistics().keys == 2


@virtual_time
async def test_the_key_used_longest_ago_is_forgotten() -> None:
    """With room for two keys a third makes the oldest start afresh; a million keys do not fill the memory."""
    limit = KeyedRateLimit(RateLimitConfig(rate=0.001, max_wait=0.0), max_keys=2)
    handler = limit.bind(ScriptedDependency[int](then=1))
    for key in "abac":
        try:
            await handler(Context(key=key))
        except RateLimited:
            assert key == "a"
    assert await handler(Context(key="b")) == 1
    for number in range(1_000):
        await handler(Context(key=str(number)))
    assert limit.statistics().keys == 2
    assert limit.statistics().forgotten == 1_002


@virtual_time
async def test_a_key_that_somebody_waits_for_is_kept() -> None:
    """Keys with waiters are not forgotten, so their order and pace hold."""
    limit = KeyedRateLimit(RateLimitConfig(rate=1.0), max_keys=1)
    await limit.limit("a").acquire()
    waiting = asyncio.create_task(limit.limit("a").acquire())
    await settle()
    await limit.limit("b").acquire()
    assert limit.statistics().waiting == 1
    await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(1.0)


@virtual_time
async def test_new_options_hold_for_every_key() -> None:
    """A key that was exhausted passes at the new rate."""
    limit = KeyedRateLimit(RateLimitConfig(rate=0.001, max_wait=0.0))
    await limit.limit("a").acquire()
    limit.replace_options(RateLimitConfig(rate=1e6, burst=5))
    await limit.limit("a").acquire()


def test_a_cancelled_waiter_leaves_its_queue() -> None:
    """At every point nobody waits any more once the caller is gone."""

    async def scenario(limit: KeyedRateLimit) -> None:
        for _ in range(3):
            await limit.limit("k").acquire()

    def check(limit: KeyedRateLimit) -> None:
        assert limit.statistics().waiting == 0

    assert cancel_at_every_await(lambda: KeyedRateLimit(RateLimitConfig(rate=1.0)), scenario, check=check).cancelled


@pytest.mark.parametrize("wrong", [0, 1_000_001])
def test_the_number_of_keys_has_a_range(wrong: int) -> None:
    """No keys at all, or too many, is refused."""
    with pytest.raises(ConfigurationInvalid, match="max_keys"):
        KeyedRateLimit(max_keys=wrong)
