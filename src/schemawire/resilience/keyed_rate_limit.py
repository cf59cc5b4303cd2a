"""One rate limit per key, such as per tenant or credential, for as many keys as are in use; knows no kind of key."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from schemawire.errors import ConfigurationInvalid
from schemawire.events import Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, R
from schemawire.resilience.ranges import show
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRateLimitStatistics:
    """How many keys are remembered, and what their limits have done; `waiting` is zero when nobody uses them."""

    keys: int
    waiting: int
    forgotten: int
    """Keys that made room for others."""


def _by_key(context: Context) -> str:
    return context.key


class KeyedRateLimit(Standalone):
    """A rate limit of its own for each key, so that a busy tenant does not take the others' share.

    The keys used last are remembered. A forgotten key starts afresh, with its burst, so `max_keys` should exceed the
    number of keys in use at one time; a key that somebody waits for is never forgotten.

    Args:
        options: the limit that each key has.
        max_keys: how many keys are remembered, from 1 to 1 000 000.
        key: what a call is counted under; by default `Context.key`.
        name: what events and errors call it.
        listener: hears each refusal.

    *Cancelled:* as for `RateLimit`: a waiting call leaves the queue of its key.
    """

    def __init__(
        self,
        options: RateLimitConfig | None = None,
        *,
        max_keys: int = 10_000,
        key: Callable[[Context], str] = _by_key,
        name: str = "keyed_rate_limit",
        listener: Listener | None = None,
    ) -> None:
        if not 1 <= max_keys <= 1_000_000:
            raise ConfigurationInvalid(f"max_keys={max_keys!r} must be from 1 to 1 000 000")
        self.name = name
        self.options = options or RateLimitConfig()
        self._max_keys = max_keys
        self._key = key
        self._listener = listener
        self._limits: OrderedDict[str, RateLimit] = OrderedDict()
        self._forgotten = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` behind the limit of each call's key."""

        async def limited(context: Context) -> R:
            await self.limit(self._key(context)).acquire(deadline=context.deadline)
            return await inner(context)

        return limited

    def limit(self, key: str) -> RateLimit:
        """Return the limit of one key, which is then the one used last."""
        found = self._limits.get(key)
        if found is None:
            found = RateLimit(self.options, name=f"{self.name} of {key!r}", listener=self._listener)
            self._limits[key] = found
            self._make_room()
        else:
            self._limits.move_to_end(key)
        return found

    def replace_options(self, options: RateLimitConfig) -> None:
        """Go on with other options at once, for every key."""
        self.options = options
        for limit in self._limits.values():
            limit.replace_options(options)

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: rate limit per key, {self._max_keys} keys, {show(self.options)}"

    def statistics(self) -> KeyedRateLimitStatistics:
        """Return how many keys are remembered and how many calls wait."""
        return KeyedRateLimitStatistics(
            keys=len(self._limits),
            waiting=sum(limit.statistics().waiting for limit in self._limits.values()),
            forgotten=self._forgotten,
        )

    def _make_room(self) -> None:
        """Forget the key that was used longest ago; one that somebody waits for counts as used now."""
        for _ in range(len(self._limits)):
            if len(self._limits) <= self._max_keys:
                return
            key, oldest = self._limits.popitem(last=False)
            if oldest.statistics().waiting:
                self._limits[key] = oldest
            else:
                self._forgotten += 1
