"""The demo's settings, all of which it shows on the screen; decides numbers and nothing else."""

from dataclasses import dataclass, field
from pathlib import Path

from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.testing.toxics import Delay, Direction, Reset, Toxic, Truncate
from schemawire.transport import PoolConfig, TimeoutConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one demo runs.

    Args:
        seed: of the proxy's faults.
        fault_rate: the share of connections that are broken, 0 to 1.
        sabotage: whether to drop one stored schema before the proof.
        keep: the folder that the database and the log stay in; `None` for a temporary one.
    """

    seed: int
    fault_rate: float = 0.2
    sabotage: bool = False
    keep: Path | None = None
    senders: int = 3
    """Descriptions under way at once."""
    send_limit: float = 30.0
    """Seconds that one description may take from its first attempt to its acknowledgement."""
    outage_limit: float = 10.0
    """Seconds that the breaker may take to open after the service was killed."""
    questions: int = 5
    """How often a read is asked, each time with all the retries of the client."""
    delay: float = 1.5
    """Seconds by which a delayed reply comes late: more than the client waits for one."""
    retry: RetryConfig = field(default_factory=lambda: RetryConfig(max_retries=8, transient_cap=0.5))
    breaker: CircuitBreakerConfig = field(
        default_factory=lambda: CircuitBreakerConfig(
            failure_threshold=3, recovery_timeout=0.5, max_recovery_timeout=1.0
        )
    )
    timeout: TimeoutConfig = field(default_factory=lambda: TimeoutConfig(connect=1.0, read=1.0, total=30.0))
    # A connection of its own for every request, so that breaking a fifth of the connections breaks a fifth of the
    # requests; with one kept-alive connection the proxy would hardly ever get a chance.
    pool: PoolConfig = field(default_factory=lambda: PoolConfig(max_connections=4, keepalive_expiry=0.0))

    def toxics(self) -> tuple[Toxic, ...]:
        """Return the faults, each as likely as the others, that together hit `fault_rate` of the connections."""
        kinds = 4
        each = 1 - (1 - self.fault_rate) ** (1 / kinds)
        return (
            Reset(probability=each, direction=Direction.UP),
            Reset(probability=each, after_bytes=40),  # the request was done, and its reply is lost
            Truncate(probability=each, after_bytes=120),
            Delay(probability=each, delay=self.delay),
        )

    def lines(self) -> list[str]:
        """Return the settings as they stand on the screen."""
        return [
            f"faults   {self.fault_rate:.0%} of connections are reset, cut short"
            f" or delayed by {self.delay:g} s (seed {self.seed})",
            f"retry    max_retries={self.retry.max_retries}, full jitter from {self.retry.transient_base:g} s"
            f" up to {self.retry.transient_cap:g} s; keyed writes go on until {self.send_limit:g} s",
            f"breaker  opens after {self.breaker.failure_threshold} failures in a row,"
            f" tries again after {self.breaker.recovery_timeout:g} s",
            f"timeout  connect {self.timeout.connect:g} s, read {self.timeout.read:g} s,"
            f" total {self.timeout.total:g} s",
        ]
