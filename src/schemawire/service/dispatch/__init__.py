"""Who carries out durable operations, and when; knows neither what they do nor who asked for them."""

from schemawire.service.dispatch.execution import Execute, Execution
from schemawire.service.dispatch.sql import (
    DispatchOptions,
    DispatchStatistics,
    SqlDispatcher,
    cancel_operation,
    describe_error,
    may_help_again,
)

__all__ = [
    "DispatchOptions",
    "DispatchStatistics",
    "Execute",
    "Execution",
    "SqlDispatcher",
    "cancel_operation",
    "describe_error",
    "may_help_again",
]
