"""Injects faults, delays, outcomes and behaviour into calls on purpose, to see whether the other policies hold."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from schemawire.errors import ConnectionLost
from schemawire.events import FaultInjected, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, R
from schemawire.resilience.ranges import require_kind, require_number, require_order, show


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosConfig:
    """How much goes wrong.

    Each rate is a share of calls from 0 to 1 and is drawn on its own, in the order of this list.

    Args:
        enabled: the switch over everything.
        behaviour_rate: calls before which the behaviour runs.
        latency_rate: calls that are delayed by `latency` seconds ± `latency_jitter`.
        latency: the delay, seconds from 0 to 3600.
        latency_jitter: how far the delay may be off either way, at most `latency`.
        fault_rate: calls that raise instead of being sent.
        outcome_rate: calls that return the made-up outcome instead of being sent.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* the four kinds are those of Polly 8.
    """

    enabled: bool = True
    behaviour_rate: float = 0.0
    latency_rate: float = 0.0
    latency: float = 1.0
    latency_jitter: float = 0.0
    fault_rate: float = 0.0
    outcome_rate: float = 0.0

    def __post_init__(self) -> None:
        require_kind(self, "enabled", bool)
        for name in ("behaviour_rate", "latency_rate", "fault_rate", "outcome_rate"):
            require_number(self, name, low=0.0, high=1.0)
        require_number(self, "latency", low=0.0, high=3600.0)
        require_number(self, "latency_jitter", low=0.0, high=3600.0)
        require_order(self, "latency_jitter", "latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosStatistics:
    """What was injected."""

    calls: int
    faults: int
    latencies: int
    outcomes: int
    behaviours: int


class Chaos(Standalone):
    """Injects trouble; place it innermost, so that every other policy meets it as if it came from outside.

    Args:
        options: rates and switch.
        fault: makes the error to raise.
        outcome: makes the result to return instead of sending.
        behaviour: runs before the call, plain or async.
        selects: says which calls may be hit; without it all may.
        seed: makes a run repeatable.
        name: what events call it.
        listener: hears each injection.

    *Cancelled:* nothing is held.
    """

    def __init__(
        self,
        options: ChaosConfig | None = None,
        *,
        fault: Callable[[], Exception] = lambda: ConnectionLost("chaos broke the connection"),
        outcome: Callable[[Context], Any] = lambda context: None,
        behaviour: Callable[[Context], Awaitable[None] | None] = lambda context: None,
        selects: Callable[[Context], bool] | None = None,
        seed: int | None = None,
        name: str = "chaos",
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or ChaosConfig()
        self._fault = fault
        self._outcome = outcome
        self._behaviour = behaviour
        self._selects = selects
        self._draw = random.Random(seed).random  # noqa: S311  # repeatable trouble, not a secret
        self._listener = listener
        self._calls = 0
        self._injected = {"fault": 0, "latency": 0, "outcome": 0, "behaviour": 0}

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` with trouble before it."""

        async def troubled(context: Context) -> R:
            self._calls += 1
            options = self.options
            if not options.enabled or (self._selects is not None and not self._selects(context)):
                return await inner(context)
            if self._hits("behaviour", options.behaviour_rate):
                pause = self._behaviour(context)
                if inspect.isawaitable(pause):
                    await pause
            if self._hits("latency", options.latency_rate):
                await asyncio.sleep(options.latency + options.latency_jitter * (2.0 * self._draw() - 1.0))
            if self._hits("fault", options.fault_rate):
                raise self._fault()
            if self._hits("outcome", options.outcome_rate):
                return self._outcome(context)  # type: ignore[no-any-return]  # as the caller promised
            return await inner(context)

        return troubled

    def replace_options(self, options: ChaosConfig) -> None:
        """Go on with other options at once; this is also the switch."""
        self.options = options

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: chaos {show(self.options)}"

    def statistics(self) -> ChaosStatistics:
        """Return what was injected."""
        hits = self._injected
        return ChaosStatistics(
            calls=self._calls,
            faults=hits["fault"],
            latencies=hits["latency"],
            outcomes=hits["outcome"],
            behaviours=hits["behaviour"],
        )

    def _hits(self, kind: str, rate: float) -> bool:
        if rate <= 0.0 or self._draw() >= rate:
            return False
        self._injected[kind] += 1
        if self._listener is not None:
            self._listener.on_event(FaultInjected(name=self.name, kind=kind))
        return True
