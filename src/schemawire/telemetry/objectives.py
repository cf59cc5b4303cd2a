"""Objectives and how fast their error budgets burn; pure, told what was counted and what the time is.

*Source:* The Site Reliability Workbook, chapter 5: burn rate = share of bad events / (1 - target), and alerts on a long
and a short window together, so that a short burst wakes nobody and an alert ends soon after its cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from schemawire.errors import ConfigurationInvalid

PERIOD = 30 * 86_400
"""Seconds over which the error budget of an objective is counted."""
WINDOWS = {"5m": 300, "30m": 1800, "1h": 3600, "6h": 21_600, "3d": 259_200, "30d": PERIOD}
_FINE, _FINE_KEPT = 10, 21_600
_COARSE, _COARSE_KEPT = 3600, PERIOD


class Alert(Enum):
    """What the burn rates ask for."""

    NONE = "none"
    TICKET = "ticket"
    """A tenth of the month's budget would be gone in three days, or a twentieth in six hours."""
    PAGE = "page"
    """A fiftieth of the month's budget is gone within an hour."""


_ALERTS = ((Alert.PAGE, 14.4, "1h", "5m"), (Alert.TICKET, 6.0, "6h", "30m"), (Alert.TICKET, 1.0, "3d", "6h"))
"""Burn rate, long window, short window. Source: the workbook, table 5-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What share of events is to be good.

    Args:
        name: such as `availability`.
        target: the share, above 0 and below 1.
        threshold: seconds within which an event is good, where it is about time.
    """

    name: str
    target: float
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ConfigurationInvalid(f"target={self.target!r} must be a share above 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBurn:
    """One window of one objective."""

    total: int
    bad: int
    burn: float
    """1 spends exactly the budget; 0 without events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveState:
    """How an objective stands."""

    objective: Objective
    windows: Mapping[str, WindowBurn]
    budget_left: float
    """The share of the error budget of the last 30 days that is left; below 0 when overspent, 1 without events."""
    alert: Alert


class BurnMeter:
    """Remembers the good and the bad of one objective, finely for six hours and by the hour for thirty days.

    Invariants: a slot begins at a multiple of its length; there are at most 2160 fine and 720 coarse slots, and what a
    clock that jumps leaves outside of every window is forgotten.

    Args:
        objective: what is judged.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._fine: dict[int, list[int]] = {}
        self._coarse: dict[int, list[int]] = {}

    def add(self, at: float, total: int, bad: int) -> None:
        """Count events that happened shortly before `at`, seconds since 1970."""
        self.add_fine(at, total, bad)
        self.add_coarse(at, total, bad)

    def add_fine(self, at: float, total: int, bad: int) -> None:
        """Count events for the windows up to six hours alone, as they come back from a store."""
        _count(self._fine, at, _FINE, total, bad)
        _forget(self._fine, at - _FINE_KEPT, at + _FINE, most=_FINE_KEPT // _FINE + 1)

    def add_coarse(self, at: float, total: int, bad: int) -> None:
        """Count events for the longer windows alone."""
        _count(self._coarse, at, _COARSE, total, bad)
        _forget(self._coarse, at - _COARSE_KEPT, at + _COARSE, most=_COARSE_KEPT // _COARSE + 1)

    def state(self, now: float) -> ObjectiveState:
        """Return how the objective stands."""
        budget = 1 - self.objective.target
        windows = {name: self._window(now, seconds, budget) for name, seconds in WINDOWS.items()}
        alert = next(
            (kind for kind, rate, long, short in _ALERTS if min(windows[long].burn, windows[short].burn) > rate),
            Alert.NONE,
        )
        return ObjectiveState(
            objective=self.objective, windows=windows, budget_left=1 - windows["30d"].burn, alert=alert
        )

    def _window(self, now: float, seconds: int, budget: float) -> WindowBurn:
        slots, length = (self._fine, _FINE) if seconds <= _FINE_KEPT else (self._coarse, _COARSE)
        found = [counts for start, counts in slots.items() if now - seconds < start + length and start <= now]
        total, bad = sum(counts[0] for counts in found), sum(counts[1] for counts in found)
        return WindowBurn(total=total, bad=bad, burn=bad / total / budget if total else 0.0)


def _count(slots: dict[int, list[int]], at: float, length: int, total: int, bad: int) -> None:
    if total <= 0:
        return
    counts = slots.setdefault(int(at // length) * length, [0, 0])
    counts[0] += total
    counts[1] += min(bad, total)


def _forget(slots: dict[int, list[int]], before: float, after: float, *, most: int) -> None:
    # Slots come in the order of time, so the first is the oldest, unless the clock has jumped.
    while len(slots) > most and next(iter(slots)) < before:
        del slots[next(iter(slots))]
    if len(slots) <= most:
        return
    for start in [start for start in slots if not before <= start <= after]:
        del slots[start]
    while len(slots) > most:
        del slots[min(slots)]
