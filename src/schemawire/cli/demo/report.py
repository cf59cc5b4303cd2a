"""What a demo came to: figures, and the reasons why it does not count; prints nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemawire.cli.demo.cases import Case
from schemawire.cli.demo.proof import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One finished demo.

    It holds only if the proof does and if there was something to prove: faults hit, requests were under way when the
    service was killed, and a breaker opened and closed again.
    """

    cases: tuple[Case, ...]
    proof: Proof
    attempts: Mapping[str, int]
    """Requests by project until its write was acknowledged."""
    faults: Mapping[str, int]
    """What the proxy did, by kind."""
    retries: int
    """Requests that were sent again."""
    refusals: int
    """Attempts that were not sent, because the breaker was open."""
    connections: int
    """How many connections the client opened, through all of this."""
    killed_in_flight: int
    """Requests under way when the service was killed."""
    replies_swallowed: int
    """Of those, requests that the service had already done, and whose reply was lost."""
    breaker_opened: int
    breaker_closed: int
    errors: tuple[str, ...]
    """Descriptions that could not be sent or read back, with the reason."""
    elapsed: float

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """Why the demo does not count; empty if it does."""
        asked = (
            (sum(self.faults.values()) > 0, "no fault hit a connection"),
            (self.retries > 0, "nothing had to be sent again"),
            (self.killed_in_flight > 0, "no request was under way when the service was killed"),
            (self.replies_swallowed > 0, "no write was committed but unacknowledged when the service was killed"),
            (self.breaker_opened > 0, "the circuit breaker never opened"),
            (self.breaker_closed > 0, "the circuit breaker never closed again"),
        )
        return (*self.errors, *self.proof.faults, *(reason for is_so, reason in asked if not is_so))

    @property
    def holds(self) -> bool:
        """Whether everything was shown that the demo is for."""
        return not self.shortcomings

    def document(self) -> dict[str, Any]:
        """Return the report as `demo --json` prints it."""
        return {
            "holds": self.holds,
            "shortcomings": list(self.shortcomings),
            "descriptions": [self._row(case) for case in self.cases],
            "faults": dict(self.faults),
            "retries": self.retries,
            "refusals": self.refusals,
            "connections": self.connections,
            "killedInFlight": self.killed_in_flight,
            "repliesSwallowed": self.replies_swallowed,
            "breakerOpened": self.breaker_opened,
            "breakerClosed": self.breaker_closed,
            "storedVersions": self.proof.versions,
            "rememberedReplies": self.proof.replies,
            "elapsed": round(self.elapsed, 3),
        }

    def _row(self, case: Case) -> dict[str, Any]:
        return {
            "projectId": case.project,
            "entities": case.figures.entities,
            "fields": case.figures.fields,
            "relationships": case.figures.relationships,
            "attempts": self.attempts.get(case.project, 0),
            "sentDigest": case.digest,
            "storedDigest": self.proof.stored.get(case.project, ""),
        }
