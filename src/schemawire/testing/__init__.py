"""Public test tools: virtual time, cancellation at every await, scripted dependencies; never used in production."""

from schemawire.testing.cancellation import (
    CancellationLeak,
    CancellationReport,
    CancelMoment,
    cancel_at_every_await,
)
from schemawire.testing.scripted import (
    RecordedCall,
    ScriptedDependency,
    ScriptedStatistics,
    ScriptExhausted,
    Step,
    answer,
    fail,
    hang,
)
from schemawire.testing.virtual_time import (
    VirtualDeadlock,
    VirtualTimeExceeded,
    VirtualTimeLoop,
    run_virtual,
    settle,
    virtual_time,
)

__all__ = [
    "CancelMoment",
    "CancellationLeak",
    "CancellationReport",
    "RecordedCall",
    "ScriptExhausted",
    "ScriptedDependency",
    "ScriptedStatistics",
    "Step",
    "VirtualDeadlock",
    "VirtualTimeExceeded",
    "VirtualTimeLoop",
    "answer",
    "cancel_at_every_await",
    "fail",
    "hang",
    "run_virtual",
    "settle",
    "virtual_time",
]
