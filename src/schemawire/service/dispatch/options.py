"""How operations are worked off, how that is counted, and how it is told what went wrong; does none of it."""

import os
import socket
from dataclasses import dataclass, field
from uuid import uuid4

from schemawire.errors import SchemawireError
from schemawire.service.operations import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchOptions:
    """How operations are worked off."""

    concurrency: int = 4
    """Operations carried out at once, 1 to 1,000."""
    lease: float = 30.0
    """Seconds after which an operation whose worker has gone silent is taken over; renewed every third of it."""
    poll_interval: float | None = None
    """Seconds between two looks at the store at most; what suits the engine if not given."""
    is_working: bool = True
    """Whether operations are carried out here, and not only announced."""
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 1_000:
            raise ValueError(f"concurrency is {self.concurrency!r}; use 1 to 1000")
        for name, value in (("lease", self.lease), ("poll_interval", self.poll_interval)):
            if value is not None and not 0 < value <= 86_400:
                raise ValueError(f"{name} is {value!r}; use more than 0 and at most 86400 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchStatistics:
    """What a dispatcher has done since its start, and what it is doing now."""

    running: int = 0
    claimed: int = 0
    succeeded: int = 0
    failed: int = 0
    """Failed for good, or parked."""
    retried: int = 0
    released: int = 0
    """Given back unfinished at a stop."""
    lost: int = 0
    """Cancelled, or taken over by another worker, while they ran."""
    taken_over: int = 0
    """Found in the hands of a dead process at the start."""
    failed_polls: int = 0
    announced: int = 0
    """Announcements made to other processes."""
    heard: int = 0
    """Announcements that arrived here."""
    engine_failures: int = 0
    """Announcements that could not be made, and connections of the engine that were refused or lost."""
    engine_connected: bool = True
    """Without it operations are found by polling alone."""


def new_owner() -> str:
    """Return a name that no other dispatcher has, by which a lease can be traced to its process."""
    return f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid4().hex[:12]}"


def describe_error(error: BaseException) -> dict[str, object]:
    """Return the problem document of an error; what we did not foresee says no more than its kind."""
    if isinstance(error, SchemawireError):
        return {"code": error.code, "detail": error.message, "fix": error.fix, "retryable": error.retryable}
    fix = "Look at the service's log; report it if it looks like a fault of schemawire."
    return {"code": "internal_error", "detail": type(error).__name__, "fix": fix, "retryable": True}


def may_help_again(error: BaseException) -> bool:
    """Tell whether another attempt could end otherwise; what we did not foresee gets its attempts, then is parked."""
    return error.retryable if isinstance(error, SchemawireError) else True
