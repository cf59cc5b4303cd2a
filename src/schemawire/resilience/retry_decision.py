"""Whether and when to try again: one pure function of an outcome's judgement, the progress of the call and the time."""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from schemawire.resilience.backoff import Backoff, BackoffKind
from schemawire.resilience.call import Judgement, RetryClass
from schemawire.resilience.ranges import require_count, require_kind, require_number, require_order

_THROTTLED = RetryClass.THROTTLED  # CPython 3.11 takes 0.1 µs to find a member of an enumeration

SHORTEST_LOOK = 0.005
"""Seconds between two looks at whether a call may go on that was refused here, however short the configured pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often and after what delays a call is tried again.

    Args:
        max_retries: attempts after the first, 0 to 100; 0 allows no further attempt of any kind.
        backoff_factor: how much longer the delays' ceiling is at each retry, 0 to 10.
        backoff: the shape of the delays.
        transient_base: the ceiling of the first delay after a passing failure, seconds; 0 makes no pause at all.
        transient_cap: the longest delay after a passing failure, seconds.
        throttled_base: the same where the other side asked for fewer calls.
        throttled_cap: the longest delay there.
        hint_jitter: how much longer than the other side's own hint to wait at most, as a share of it, 0 to 1.
        max_hint: a hint above this many seconds is not waited for, even if the deadline would allow it.
        transparent_retries: further attempts outside `max_retries` for calls that provably never left, 0 to 10.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* AWS SDK retry behaviour 2026 (bases and caps by class), full jitter; gRPC A6 (transparent retries); the
    hint limit is that of the OpenAI client.
    """

    max_retries: int = 3
    backoff_factor: float = 2.0
    backoff: BackoffKind = BackoffKind.FULL_JITTER
    transient_base: float = 0.05
    transient_cap: float = 5.0
    throttled_base: float = 1.0
    throttled_cap: float = 20.0
    hint_jitter: float = 0.2
    max_hint: float = 120.0
    transparent_retries: int = 1
    transient: Backoff = field(init=False, repr=False, compare=False)
    throttled: Backoff = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_count(self, "max_retries", high=100)
        require_number(self, "backoff_factor", low=0, high=10)
        require_kind(self, "backoff", BackoffKind)
        require_number(self, "hint_jitter", low=0, high=1)
        require_number(self, "max_hint", low=0, high=86_400)
        require_count(self, "transparent_retries", high=10)
        for name in ("transient", "throttled"):
            require_number(self, f"{name}_base", low=0, high=86_400)
            require_number(self, f"{name}_cap", low=0, high=86_400)
            require_order(self, f"{name}_base", f"{name}_cap")
            object.__setattr__(self, name, self._formula(name))

    def _formula(self, name: str) -> Backoff:
        base, cap = getattr(self, f"{name}_base"), getattr(self, f"{name}_cap")
        return Backoff(kind=self.backoff, base=base, cap=cap, factor=self.backoff_factor)

    def longest_wait(self) -> float:
        """Return the longest time that the delays of one call can take together, seconds, hints left out."""
        retries = range(1, self.max_retries + 1)
        return sum(max(self.transient.longest(retry), self.throttled.longest(retry)) for retry in retries)


class StopReason(Enum):
    """Why no further attempt is made."""

    FINAL = "final"
    """The outcome is good, or repeating the call cannot change it."""
    UNSAFE = "unsafe"
    """Repeating the call could apply it twice."""
    ATTEMPTS = "attempts"
    DEADLINE = "deadline"
    """The delay, or the other side's hint, does not fit the time left."""
    HINT = "hint"
    """The other side asks for a longer pause than we are willing to make."""
    BUDGET = "budget"
    REFUSED = "refused"
    """A policy of our own refused the further attempt."""


class Verdict(NamedTuple):
    """What follows from an outcome: stop for a reason, or try again after a delay.

    A named tuple, as one is made for every failure, and a frozen dataclass would take four times as long to make.
    """

    stop: StopReason | None = None
    delay: float = 0.0
    transparent: bool = False
    free: bool = False
    """Whether the attempt before was refused by ourselves, so that going again owes neither pause nor budget."""
    memory: float = 0.0
    """What the backoff formula wants to be told at the next retry."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far the retries of one call have come.

    Invariant: `pauses` ≥ `retries`; they differ by the pauses made while the budget was empty.
    """

    deadline: float = math.inf
    patient: bool = False
    """Whether the deadline alone, and no count, ends the retries; without a deadline the count does."""
    retries: int = 0
    transparent: int = 0
    pauses: int = 0
    memory: float = 0.0
    last: Any = None
    """The last result, where it can still be handed over; errors that come after it do not take its place."""


def decide(options: RetryConfig, judgement: Judgement, progress: Progress, *, now: float, draw: float) -> Verdict:
    """Return whether to try again, why not, and after what delay.

    Args:
        options: the limits and formulas.
        judgement: what the last outcome means.
        progress: what has been tried so far.
        now: the event loop's time, seconds.
        draw: a uniform draw from [0, 1).
    """
    transparent = judgement.unsent and _is_transparent(options, progress)
    stop = _obstacle(options, judgement, progress, transparent=transparent)
    if stop is not None:
        return Verdict(stop=stop)
    delay, memory = _backoff(options, judgement, progress, draw=draw, transparent=transparent)
    left = progress.deadline - now
    hint = judgement.retry_after or 0.0
    if hint >= left:
        return Verdict(stop=StopReason.DEADLINE)
    if delay >= left:
        if not progress.patient or left <= max(options.transient_base, SHORTEST_LOOK):
            return Verdict(stop=StopReason.DEADLINE)
        # The last chance of a call that goes on until its deadline comes before it, not after.
        delay = draw * left
    if hint > 0:
        # The jitter is drawn inside the time left, so that it never turns a hint that fits into one that does not.
        jittered = hint + draw * (min(hint * (1 + options.hint_jitter), left) - hint)
        delay = max(delay, min(jittered, math.nextafter(left, 0.0)))  # a draw of almost 1 is rounded up
    return Verdict(None, delay, transparent, judgement.neutral, memory)


def _obstacle(
    options: RetryConfig, judgement: Judgement, progress: Progress, *, transparent: bool
) -> StopReason | None:
    if judgement.retry is None and not judgement.unsent:
        return StopReason.FINAL
    if not judgement.safe and not judgement.unsent:
        return StopReason.UNSAFE
    if progress.retries >= options.max_retries and not transparent:
        unlimited = progress.patient and progress.deadline < math.inf
        if not unlimited:
            return StopReason.ATTEMPTS
    if judgement.retry_after is not None and judgement.retry_after > options.max_hint:
        return StopReason.HINT
    return None


def _is_transparent(options: RetryConfig, progress: Progress) -> bool:
    # Whoever allows no retry at all means these too.
    return progress.transparent < options.transparent_retries and options.max_retries > 0


def _backoff(
    options: RetryConfig, judgement: Judgement, progress: Progress, *, draw: float, transparent: bool
) -> tuple[float, float]:
    if transparent and progress.transparent == 0:
        # Nothing was asked of the other side yet, so the first such attempt owes it no pause.
        return 0.0, progress.memory
    if judgement.neutral:
        # Our own refusal says nothing about the other side: look again soon, and do not back off from it.
        return max(options.transient_base, SHORTEST_LOOK) * (0.5 + draw / 2), progress.memory
    formula = options.throttled if judgement.retry is _THROTTLED else options.transient
    return formula.delay(progress.pauses + 1, draw, progress.memory)
