"""What the policies of one pipeline must agree on, checked when it is built and whenever its options change.

Each rule catches a combination in which one option silently makes another meaningless.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TypeVar

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.breaker_state import CircuitBreakerConfig, WindowKind
from schemawire.resilience.call import Policy
from schemawire.resilience.hedge import HedgeConfig
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.timeout import DeadlineConfig, TimeLimiterConfig

O = TypeVar("O")  # noqa: E741  # the type of one policy's options

_INSIDE_OUT = (
    (DeadlineConfig, RetryConfig, "the deadline stands inside the retries, so each attempt would have it anew"),
    (RetryConfig, TimeLimiterConfig, "the attempt timeout stands outside the retries, so all attempts would share it"),
    (
        RetryConfig,
        CircuitBreakerConfig,
        "the breaker stands outside the retries, so it would judge calls, not attempts",
    ),
)
"""What must stand outside what, and what goes wrong otherwise."""


def require_coherent(name: str, policies: Sequence[Policy], options: Sequence[object]) -> None:
    """Check the policies of a pipeline against each other.

    Args:
        name: what the message calls the pipeline.
        policies: the policies, outside in.
        options: the options that each of them has or is about to get, in the same order.

    Raises:
        ConfigurationInvalid: they contradict each other; the message lists every contradiction.
    """
    _require_none(f"pipeline {name!r}", [*_about_policies(policies), *_about_order(options), *contradictions(options)])


def require_agreement(name: str, options: Sequence[object]) -> None:
    """Check options of policies that work together, though not in one pipeline.

    Args:
        name: what the message calls them together.
        options: the options, in any order; those of unknown kinds, and `None`, say nothing.

    Raises:
        ConfigurationInvalid: they contradict each other; the message lists every contradiction.
    """
    _require_none(name, contradictions(options))


def _require_none(name: str, complaints: Sequence[str]) -> None:
    if complaints:
        raise ConfigurationInvalid(
            f"{name} contradicts itself: " + "; ".join(complaints), fix="Change one of the options named on each side."
        )


def contradictions(options: Sequence[object]) -> list[str]:
    """Return what contradicts what among the options of policies that work together, wherever each of them stands.

    *Source:* the validators of Microsoft.Extensions.Http.Resilience (attempt ≤ total, window ≥ 2 × attempt).
    """
    total = _shortest(policy.total for policy in _of(options, DeadlineConfig))
    attempt = _shortest(policy.attempt for policy in _of(options, TimeLimiterConfig))
    found = list(_about_total(options, total, attempt))
    if attempt is not None:
        found += _about_attempt(options, attempt)
    return found


def _about_policies(policies: Sequence[Policy]) -> Iterator[str]:
    if len({id(policy) for policy in policies}) < len(policies):
        yield "one policy stands in it twice, so a call would wait for itself"
    spenders = [policy for policy in policies if getattr(policy, "budget", None) is not None]
    for one, other in combinations(spenders, 2):
        if getattr(one, "budget", None) is not getattr(other, "budget", None):
            yield f"{one.name!r} and {other.name!r} have separate budgets, so nothing bounds their sum; share one"


def _about_order(options: Sequence[object]) -> Iterator[str]:
    for outer, inner, complaint in _INSIDE_OUT:
        outside = [place for place, present in enumerate(options) if isinstance(present, outer)]
        inside = [place for place, present in enumerate(options) if isinstance(present, inner)]
        if outside and inside and min(outside) > min(inside):
            yield complaint


def _about_total(options: Sequence[object], total: float | None, attempt: float | None) -> Iterator[str]:
    if total is None:
        return
    if attempt is not None and attempt > total:
        yield f"one attempt may take {attempt:g} s, but the whole call only {total:g} s"
    for retry in _of(options, RetryConfig):
        waits = retry.longest_wait()
        if waits > total:
            yield f"the pauses between attempts may add up to {waits:g} s, but the whole call ends after {total:g} s"


def _about_attempt(options: Sequence[object], attempt: float) -> Iterator[str]:
    for breaker in _of(options, CircuitBreakerConfig):
        window_alone = breaker.failure_threshold is None and breaker.window is WindowKind.TIME
        if window_alone and breaker.window_span < 2 * attempt:
            # Failures in a row are counted across windows; without that rule, time-outs leave before they add up.
            yield (
                f"the breaker looks back {breaker.window_span:g} s, less than two attempts of {attempt:g} s, "
                "so attempts that time out one after another could not open it"
            )
        if breaker.slow_call_duration is not None and breaker.slow_call_duration >= attempt:
            yield f"a call is slow after {breaker.slow_call_duration:g} s, but an attempt ends after {attempt:g} s"
        if breaker.probe_lease < attempt:
            yield f"a probe's lease of {breaker.probe_lease:g} s ends before its attempt of {attempt:g} s"
    for hedge in _of(options, HedgeConfig):
        if hedge.delay is not None and hedge.delay >= attempt:
            yield f"a hedge starts after {hedge.delay:g} s, but the first attempt ends after {attempt:g} s"


def _of(options: Sequence[object], kind: type[O]) -> list[O]:
    return [present for present in options if isinstance(present, kind)]


def _shortest(times: Iterator[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
