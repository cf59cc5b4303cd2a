"""What the operator decided about all projects and callers; plain values, made from the settings once."""

from dataclasses import dataclass, field

from schemawire.schema import Mode
from schemawire.settings.service import ServiceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms under which the service works."""

    compatibility: Mode = "NONE"
    """Of a project that has not chosen a mode."""
    rate: float = 0.0
    """Requests per second that one key may send in the long run; 0: as many as it likes."""
    burst: int = 1
    """Requests that a key may send at once after a pause."""
    concurrency: int = 0
    """Requests worked on at once; 0: as many as come."""
    queue_delay: float = 1.0
    """Seconds that a request of normal priority waits for its turn at most."""
    audit_retention: float = 365 * 86_400.0
    """Seconds for which a line of the audit log is kept."""
    cors_origins: frozenset[str] = field(default_factory=frozenset)
    """Web pages of these origins may call; `*` stands for all."""


def terms_of(settings: ServiceSettings) -> Terms:
    """Return the terms that the settings name."""
    return Terms(
        compatibility=settings.compatibility,
        rate=settings.rate_limit,
        burst=settings.rate_burst,
        concurrency=settings.max_concurrency,
        queue_delay=settings.max_queue_delay,
        audit_retention=settings.audit_retention,
        cors_origins=frozenset(part.strip() for part in settings.cors_origins.split(",") if part.strip()),
    )
