"""What every policy shares: the context of one call, the judgement of an outcome, and the shape of a policy.

A policy is a callable around a callable: `bind(inner)` returns an async function of the `Context`, so the order in
which a pipeline lists its policies is the order in which they run. Knows nothing of HTTP.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from schemawire.errors import ConnectFailed, DeadlineExceeded, Failed, Refused, SchemawireError, Throttled

R = TypeVar("R")

_CLOCK_SLACK = 0.02
"""Event loops run a timer up to one tick of their clock early: nanoseconds on Linux, 16 ms on Windows."""


class RetryClass(Enum):
    """Why an outcome may be retried; each class has its own backoff base."""

    TRANSIENT = "transient"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one outcome means to the policies.

    `failed` counts against breakers and endpoints; `retry` says whether and as what a further attempt makes sense;
    `retry_after` (seconds) is the other side's lower bound; `unsent` means that the request provably never arrived;
    `safe` means that repeating the request cannot apply it twice; `neutral` outcomes (cancelled, refused by ourselves)
    count as nothing at all.
    """

    failed: bool = False
    retry: RetryClass | None = None
    retry_after: float | None = None
    unsent: bool = False
    safe: bool = True
    neutral: bool = False
    reason: str = ""


SUCCESS = Judgement(reason="success")
NEUTRAL = Judgement(neutral=True, reason="neutral")


class Scope:
    """Permits that outlive the call because its body is still being read.

    Each entry is told once how the body ended: with `None` when it was read or closed in good order, else the error.
    """

    __slots__ = ("_exits",)

    def __init__(self) -> None:
        self._exits: list[Callable[[BaseException | None], None]] = []

    def keep(self, on_close: Callable[[BaseException | None], None]) -> None:
        """Hold something until the scope closes; the last kept is told first."""
        self._exits.append(on_close)

    def close(self, error: BaseException | None = None) -> None:
        """Release everything; a second call does nothing."""
        while self._exits:
            self._exits.pop()(error)


class Context:
    """The state of one logical call as it passes through the policies; each hedge or attempt may work on a copy.

    Invariants: `deadline` is an absolute time of the event loop's clock and never grows; `attempt` counts from 1;
    `scope` is `None` unless the result's body outlives the call.
    """

    __slots__ = (
        "attempt",
        "call",
        "deadline",
        "deposited",
        "endpoint",
        "errors",
        "excluded",
        "key",
        "partition",
        "priority",
        "scope",
        "state",
    )

    def __init__(
        self,
        *,
        deadline: float = float("inf"),
        call: Any = None,
        key: str = "",
        priority: int = 0,
        partition: str = "",
        scope: Scope | None = None,
    ) -> None:
        self.deadline = deadline
        self.call = call
        """Whatever the innermost callable needs; policies pass it on unread."""
        self.key = key
        """What equal calls share: for single flight, hashing and per-key limits."""
        self.priority = priority
        """0 is the most important; larger numbers are shed first."""
        self.partition = partition
        self.scope = scope
        self.attempt = 1
        self.deposited = False
        """Whether the retry budget already has this call's deposit; the outermost layer with a budget makes it."""
        self.errors: list[BaseException] = []
        """The errors of earlier attempts, oldest first."""
        self.endpoint: Any = None
        self.excluded: set[Any] = set()
        """Endpoints that have already failed this call."""
        self.state: dict[str, Any] = {}
        """Notes between layers, by layer name (such as the split of waiting times)."""

    def fork(self) -> "Context":
        """Return a copy for one hedge: shared call, key and deadline; own attempt, endpoint, scope and notes."""
        twin = Context(
            deadline=self.deadline,
            call=self.call,
            key=self.key,
            priority=self.priority,
            partition=self.partition,
            scope=None if self.scope is None else Scope(),
        )
        twin.attempt = self.attempt
        twin.deposited = self.deposited
        if self.errors:
            twin.errors = list(self.errors)
        if self.excluded:
            twin.excluded = set(self.excluded)
        return twin


Handler = Callable[[Context], Awaitable[R]]
Judge = Callable[[Context, Any, BaseException | None], Judgement]
"""(context, result or None, error or None) → what the outcome means."""


def is_neutral(context: Context, error: BaseException, now: float) -> bool:
    """Return whether an error says nothing about the other side: cancelled, refused here, or out of the call's time."""
    if isinstance(error, Refused) or not isinstance(error, Exception):
        return True
    return isinstance(error, DeadlineExceeded) and now >= context.deadline - _CLOCK_SLACK


def judge_exceptions(context: Context, result: object, error: BaseException | None) -> Judgement:
    """Judge a generic call: any `Exception` is a transient failure, any result is a success.

    Our own errors are judged by their branch of the tree: a refusal is neutral, a rejection is no failure of the other
    side, and only what calls itself retryable is retried.
    """
    if error is None:
        return SUCCESS
    if isinstance(error, Refused) or not isinstance(error, Exception):
        return NEUTRAL
    if isinstance(error, SchemawireError):
        return _judge_own(error)
    return _passing_failure(type(error).__name__)


@lru_cache(maxsize=256)
def _passing_failure(reason: str) -> Judgement:
    # Judgements are values, so those of the same kind of error can be one: making it costs more than the judging.
    return Judgement(failed=True, retry=RetryClass.TRANSIENT, reason=reason)


def _judge_own(error: SchemawireError) -> Judgement:
    retry = RetryClass.THROTTLED if isinstance(error, Throttled) else RetryClass.TRANSIENT
    return Judgement(
        failed=isinstance(error, Failed),
        retry=retry if error.retryable else None,
        retry_after=error.retry_after,
        unsent=isinstance(error, ConnectFailed),
        reason=error.code,
    )


class Policy(Protocol):
    """One layer of a pipeline."""

    name: str

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` surrounded by this policy."""

    def describe(self) -> str:
        """Return one line that names the policy and its effective options."""

    def statistics(self) -> object:
        """Return a frozen record of the policy's present state."""
