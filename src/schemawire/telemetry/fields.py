"""What an event says, field by field: the one place that reads events for sinks that show them; no sink itself."""

from schemawire.events import (
    AttemptFinished,
    BreakerChanged,
    CacheUsed,
    CallFinished,
    CallRefused,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    Event,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    RetryGivenUp,
    RetryScheduled,
)
from schemawire.telemetry.shown import shown, shown_endpoint, shown_error, shown_route

Fields = dict[str, str | int | float]
_Loose = dict[str, str | int | float | None]

_WORDS: dict[type[Event], str] = {
    CallFinished: "call",
    AttemptFinished: "attempt",
    RetryScheduled: "retry scheduled",
    RetryGivenUp: "retry given up",
    BreakerChanged: "breaker changed",
    CallRefused: "call refused",
    HedgeStarted: "hedge started",
    FallbackUsed: "fallback used",
    CacheUsed: "cache used",
    EndpointEjected: "endpoint ejected",
    EndpointsChanged: "endpoints changed",
    EndpointHealthChanged: "endpoint health changed",
    DiscoveryFailed: "discovery failed",
    FaultInjected: "fault injected",
}


def word_for(event: Event) -> str:
    """Return what to call `event` in a line or a span."""
    return _WORDS.get(type(event), shown(type(event).__name__))


def fields_of(event: Event) -> Fields:
    """Return what a line says about `event`; fields that are unknown or empty are left out."""
    fields: _Loose = {"name": shown_endpoint(event.name), **_particulars(event)}
    return {name: value for name, value in fields.items() if value is not None}


def _particulars(event: Event) -> _Loose:
    match event:
        case CallFinished():
            return _call(event)
        case AttemptFinished():
            return {
                "endpoint": shown_endpoint(event.endpoint), "attempt": event.attempt, "outcome": event.outcome,
                "status": event.status, "durationMs": _ms(event.duration), "error": shown_error(event.error),
            }  # fmt: skip
        case RetryScheduled():
            return {"attempt": event.attempt, "delayMs": _ms(event.delay), "reason": shown(event.reason)}
        case RetryGivenUp():
            return {"attempt": event.attempt, "reason": shown(event.reason)}
        case BreakerChanged():
            return {
                "before": event.before, "after": event.after, "reason": shown(event.reason),
                "openForMs": _ms(event.open_for),
            }  # fmt: skip
        case CallRefused():
            after = _ms(event.retry_after)
            return {"policy": event.policy, "reason": shown(event.reason), "retryAfterMs": after}
        case CacheUsed():
            return {"outcome": event.outcome, "ageMs": _ms(event.age)}
        case HedgeStarted():
            return {"delayMs": _ms(event.delay)}
        case FallbackUsed():
            return {"error": shown_error(event.error)}
        case EndpointEjected():
            ejected = _ms(event.ejected_for)
            return {"endpoint": shown_endpoint(event.endpoint), "ejectedForMs": ejected, "reason": event.reason}
        case EndpointsChanged():
            return {"added": len(event.added), "removed": len(event.removed), "total": event.total}
        case EndpointHealthChanged():
            healthy = "yes" if event.healthy else "no"
            return {"endpoint": shown_endpoint(event.endpoint), "healthy": healthy, "reason": shown(event.reason)}
        case DiscoveryFailed():
            return {"reason": shown(event.reason), "kept": event.kept, "retryInMs": _ms(event.retry_in)}
        case FaultInjected():
            return {"kind": event.kind}
        case _:
            return {}


def _call(event: CallFinished) -> _Loose:
    return {
        "method": event.method,
        "route": shown_route(event.route),
        "outcome": event.outcome,
        "status": event.status,
        "durationMs": _ms(event.duration),
        "attempts": event.attempts,
        **{f"{_camel(name)}Ms": _ms(seconds) for name, seconds in event.waits.items()},
        "error": shown_error(event.error),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
