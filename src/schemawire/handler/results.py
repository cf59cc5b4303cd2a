"""What the handler gives back: one small record per kind of question."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from schemawire.analysis import Usage
from schemawire.protocol.messages import Dependency, OperationResult


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainResult:
    """A write that the backend acknowledged: it is stored, exactly once.

    `data` is the schema document, or the record that was asked for; `warnings` are the analyser's, where it took part.
    """

    success: bool
    message: str
    project_id: str
    version: int | None = None
    digest: str | None = None
    data: Any = None
    attempts: int = 1
    """How many requests it took."""
    warnings: tuple[str, ...] = ()
    usage: Usage | None = None
    """What a language model took, where one was asked for the draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult(Sequence[OperationResult]):
    """What became of a batch: a sequence with one result per operation, in the order of the request.

    `success` is true when every operation succeeded; of an atomic batch nothing is stored otherwise.
    """

    success: bool
    message: str
    project_id: str
    version: int | None = None
    digest: str | None = None
    data: tuple[OperationResult, ...] = ()
    attempts: int = 1

    @overload
    def __getitem__(self, index: int) -> OperationResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[OperationResult, ...]: ...
    def __getitem__(self, index: int | slice) -> OperationResult | tuple[OperationResult, ...]:
        return self.data[index]

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[OperationResult]:
        return iter(self.data)

    @property
    def failed(self) -> tuple[OperationResult, ...]:
        """The operations that were refused; each carries its problem in `error`."""
        return tuple(result for result in self.data if not result.success)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStatus:
    """How the backend is, seen from here; asking never raises for a backend that is away."""

    is_healthy: bool
    response_time: float
    """Seconds from the question to the answer, or to giving up."""
    status: str
    """healthy, degraded, unhealthy, draining or unreachable."""
    detail: str = ""
    service_version: str | None = None
    store_id: str | None = None
    dependencies: tuple[Dependency, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineResult:
    """What a sentence about a schema came to.

    `change` carries operations and their differences; `question` wants an answer, by number or in words; `answer` tells
    something; after `undo` the change before is gone; `discard` forgot what was proposed.
    """

    kind: str
    explanation: str
    applied: bool
    """Whether a new version was stored."""
    project_id: str
    session_id: str
    version: int | None = None
    """The newest version now; `None` while there is no project."""
    digest: str | None = None
    operations: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    choices: tuple[str, ...] = ()
    tier: str = "patterns"
    usage: dict[str, Any] | None = None
    """What a language model took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchema:
    """A schema as the backend keeps it."""

    project_id: str
    version: int
    digest: str
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """A stream that arrived complete: the number of elements and the digest were both checked."""

    project_id: str
    version: int
    digest: str
    element_count: int
    resumptions: int = 0
    """How often the stream was cut and taken up again."""
