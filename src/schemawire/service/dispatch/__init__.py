"""Who carries out durable operations, and when; knows neither what they do nor who asked for them."""

from schemawire.service.dispatch.dispatcher import Dispatcher, cancel_operation
from schemawire.service.dispatch.engine import Ears, Engine, EngineStatistics, Polling
from schemawire.service.dispatch.execution import Execute, Execution
from schemawire.service.dispatch.options import (
    DispatchOptions,
    DispatchStatistics,
    describe_error,
    may_help_again,
    new_owner,
)

__all__ = [
    "DispatchOptions",
    "DispatchStatistics",
    "Dispatcher",
    "Ears",
    "Engine",
    "EngineStatistics",
    "Execute",
    "Execution",
    "Polling",
    "cancel_operation",
    "describe_error",
    "may_help_again",
    "new_owner",
]
