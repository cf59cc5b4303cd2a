"""What the history in the JSON figures shows: which questions, and how the answers become points; asks nobody."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemawire.telemetry.series import Question, Taken, Track, percentiles, summed

_REQUESTS = "http_server_request_duration_seconds"
UP = Question(metric="schemawire_uptime_seconds")
"""Has a value in every step in which the service ran."""

Ask = Callable[[Question], Awaitable[list[Track]]]
Points = list[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One line over time: a rate per second of a counter, a part of all times, or the highest state."""

    metric: str
    matching: Mapping[str, str] = field(default_factory=dict)
    part: float | None = None
    """Of a histogram: what this part of all measurements stayed below."""

    @property
    def question(self) -> Question:
        """What is asked for."""
        return Question(metric=self.metric, matching=self.matching, taken=Taken.HIGHEST)


PANELS: dict[str, Panel] = {
    "requests": Panel(metric=f"{_REQUESTS}_count"),
    "clientErrors": Panel(metric=f"{_REQUESTS}_count", matching={"http_response_status_code": "4.."}),
    "serverErrors": Panel(metric=f"{_REQUESTS}_count", matching={"http_response_status_code": "5.."}),
    "latencyP50": Panel(metric=f"{_REQUESTS}_bucket", part=0.5),
    "latencyP90": Panel(metric=f"{_REQUESTS}_bucket", part=0.9),
    "latencyP99": Panel(metric=f"{_REQUESTS}_bucket", part=0.99),
    "inFlight": Panel(metric="http_server_active_requests"),
    "writes": Panel(metric="schemawire_store_writes_total"),
    "waitingWrites": Panel(metric="schemawire_store_waiting_writes"),
    "operationsQueued": Panel(metric="schemawire_operations_queue"),
    "operationsSucceeded": Panel(metric="schemawire_operations_succeeded_total"),
    "operationsFailed": Panel(metric="schemawire_operations_failed_total"),
    "unhealthyDependencies": Panel(metric="schemawire_unhealthy_dependencies"),
}


async def drawn(ask: Ask, step: int) -> dict[str, Points]:
    """Return every line, oldest point first; a step in which the service did not run has no point.

    Args:
        ask: returns the series that a question asks for.
        step: seconds of each point.
    """
    up = sorted({at for track in await ask(UP) for at, _ in track.points})
    answers: dict[tuple[str, tuple[tuple[str, str], ...]], list[Track]] = {}
    lines: dict[str, Points] = {}
    for name, panel in PANELS.items():
        asked = panel.metric, tuple(panel.matching.items())
        if asked not in answers:
            answers[asked] = await ask(panel.question)
        lines[name] = _line(panel, answers[asked], up, step)
    return lines


def _line(panel: Panel, tracks: list[Track], up: list[int], step: int) -> Points:
    if panel.part is not None:
        return [(at, round(value, 6)) for at, value in percentiles(tracks, panel.part).items()]
    sums = summed(tracks).get((), {})
    if panel.question.kind is Taken.GROWTH:
        return [(at, round(sums.get(at, 0.0) / step, 6)) for at in up]
    return sorted(sums.items())


def listed(tracks: list[Track]) -> list[dict[str, Any]]:
    """Return series as JSON values."""
    return [{"labels": dict(track.labels), "points": track.points} for track in tracks]
