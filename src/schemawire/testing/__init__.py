"""Public test tools: virtual time, cancellation at every await, scripted dependencies; never used in production."""

from schemawire.testing.cancellation import (
    CancellationLeak,
    CancellationReport,
    CancelMoment,
    cancel_at_every_await,
)
from schemawire.testing.chaos_proxy import ChaosProxy, ChaosStatistics
from schemawire.testing.child_process import ServiceDidNotStart
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
from schemawire.testing.scripted_llm import LlmReply, LlmRequest, LlmScriptRanOut, ScriptedLlm
from schemawire.testing.scripted_wire import Reply, ScriptedWire, ScriptRanOut, Sent
from schemawire.testing.service_process import ServiceProcess
from schemawire.testing.toxics import (
    Bandwidth,
    BlackHole,
    Corrupt,
    Delay,
    Direction,
    Latency,
    Reset,
    Slicer,
    SlowClose,
    SlowLoris,
    Toxic,
    Truncate,
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
    "Bandwidth",
    "BlackHole",
    "CancelMoment",
    "CancellationLeak",
    "CancellationReport",
    "ChaosProxy",
    "ChaosStatistics",
    "Corrupt",
    "Delay",
    "Direction",
    "Latency",
    "LlmReply",
    "LlmRequest",
    "LlmScriptRanOut",
    "RecordedCall",
    "Reply",
    "Reset",
    "ScriptExhausted",
    "ScriptRanOut",
    "ScriptedDependency",
    "ScriptedLlm",
    "ScriptedStatistics",
    "ScriptedWire",
    "Sent",
    "ServiceDidNotStart",
    "ServiceProcess",
    "Slicer",
    "SlowClose",
    "SlowLoris",
    "Step",
    "Toxic",
    "Truncate",
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
