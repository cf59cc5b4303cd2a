"""What travels through a broker, and what a broker must be able to do; knows no broker by name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from schemawire.service.logs import log

DEAD_SUFFIX = ".dead"
"""How the name of a queue ends that keeps what could not be worked on."""
REDELIVERY_PAUSE = 0.5
"""Seconds before a message that must be looked at again is delivered again."""


class Verdict(Enum):
    """What becomes of a message that was looked at."""

    DONE = "done"
    """It is forgotten."""
    AGAIN = "again"
    """It is delivered again, here or elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message as it came."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By lower-case name; they may hold a key, so they never reach a log."""
    message_id: str | None = None
    """The sender's name for it, the same at every delivery."""


Handle = Callable[[Letter], Awaitable[Verdict]]
"""Looks at a message; what it raises means `Verdict.AGAIN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A queue that is listened to. All subscribers of a queue share its messages."""

    queue: str
    handle: Handle
    concurrency: int = 4
    """Messages looked at at once."""
    redeliver_after: float = 30.0
    """Seconds after which a message whose reader has gone silent is given to another one."""


async def judge(handle: Handle, letter: Letter) -> Verdict:
    """Return what a handler says about a message; one that fails has not done with it."""
    try:
        return await handle(letter)
    except Exception as error:
        log.error("message could not be looked at", exc_info=error)
        return Verdict.AGAIN


async def settle(answer: Awaitable[object]) -> None:
    """Tell the broker what became of a message; one that cannot be told delivers it again."""
    try:
        await answer
    except Exception as error:
        log.info("message will come again", reason=type(error).__name__)


class Broker(Protocol):
    """One connection to a broker: opened once, closed once, and thrown away when it fails."""

    system: str
    """The broker's name in telemetry."""

    async def open(self, queues: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        """Connect, make the queues that are missing, and begin to listen."""

    async def publish(self, queue: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Put a message into a queue; it is the broker's to keep when this returns."""

    async def check(self) -> None:
        """Raise unless the broker answers and still has our queues."""

    async def close(self) -> None:
        """Stop listening and disconnect; harmless when it was never open."""
