"""Reads Prometheus, VictoriaMetrics and whatever else answers PromQL; writes nothing."""

import json
import math
from typing import Any

from schemawire.errors import BadReply, Failed
from schemawire.telemetry.rollups import require_range
from schemawire.telemetry.series import Question, Taken, Track
from schemawire.transport import Client

_LONGEST_REASON = 200
_LEAST_LOOKS = 2
_MOST_LOOKS = 50_000
"""Of one answer at each series, where growth has to be added up from differences."""
_FUNCTIONS = {Taken.LAST: "last_over_time", Taken.MEAN: "avg_over_time", Taken.HIGHEST: "max_over_time"}


class PromqlReader:
    """Asks a store in PromQL.

    Args:
        client: for the store's base URL.
        matching: labels that every series must have, such as this program's `instance`.
        interval: seconds between readings.
        has_exact_increase: whether its `increase` is what was counted, as with VictoriaMetrics; Prometheus estimates.
    """

    def __init__(
        self,
        client: Client,
        matching: dict[str, str] | None = None,
        *,
        interval: float = 10.0,
        has_exact_increase: bool = False,
    ) -> None:
        self._client = client
        self._matching = matching or {}
        self._interval = interval
        self._has_exact_increase = has_exact_increase

    async def answer(self, question: Question, *, window: float, step: float, end: float) -> list[Track]:
        """Return every series that a question asks for; see `MetricStore.answer`.

        Raises:
            ValueError: window or step is out of range.
            Failed: the store cannot be asked.
        """
        seconds, length = require_range(window, step)
        promql = self._promql(question, seconds, length)
        found = await self.range(promql, window=seconds, step=length, end=end)
        # Functions over time drop the name.
        return [Track(question.metric, track.labels, track.points) for track in found]

    def _promql(self, question: Question, window: int, step: int) -> str:
        matchers = [f'{label}=~"{_quoted(pattern)}"' for label, pattern in question.matching.items()]
        matchers += [f'{label}="{_quoted(value)}"' for label, value in self._matching.items()]
        series = f"{question.metric}{{{','.join(matchers)}}}"
        if question.kind is not Taken.GROWTH:
            return f"{_FUNCTIONS[question.kind]}({series}[{step}s])"
        if self._has_exact_increase:
            return f"increase({series}[{step}s])"
        # A counter that begins again has a zero of its own, so what rises from one look to the next is growth.
        look = _look(window, step, self._interval)
        # Half a look shorter than the step, so that its first look is not the last one of the step before: Prometheus 2
        # counts both ends of a range, Prometheus 3 one.
        within = f"[{step * 1000 - look // 2}ms:{look}ms]"
        return f"sum_over_time(clamp_min({series} - {series} offset {look}ms, 0){within})"

    async def range(self, promql: str, *, window: float, step: float, end: float) -> list[Track]:
        """Return what an expression was over a window, at whole multiples of the step.

        Args:
            promql: any expression of PromQL.
            window: how far back, seconds.
            step: seconds between values.
            end: seconds since 1970.

        Raises:
            ValueError: window or step is out of range.
            Failed: the store cannot be reached, or refuses the expression.
            BadReply: it answers with something else than PromQL's JSON.
        """
        seconds, length = require_range(window, step)
        until = math.floor(end) // length * length + length
        params = {"query": promql, "start": until - -(-seconds // length) * length + length, "end": until,
                  "step": length, "nocache": 1}  # fmt: skip
        # VictoriaMetrics would remember the answer from before a late delivery; Prometheus ignores the word.
        response = await self._client.request(
            "GET", "/api/v1/query_range", params={name: str(value) for name, value in params.items()}
        )
        document = _document(response.body)
        if not response.is_success or document.get("status") != "success":
            reason = str(document.get("error", f"status {response.status}"))[:_LONGEST_REASON]
            raise Failed(f"The metrics store does not answer: {reason}", fix="Look at its log and its address.")
        return _tracks(document)


def _look(window: int, step: int, interval: float) -> int:
    """Return the milliseconds between two looks at a counter, which divide the step.

    Unless there would be far too many, one falls between the zero of a new counter and its first value.
    """
    longest = min(interval * 1000, step * 1000 / _LEAST_LOOKS)
    shortest = window * 1000 / _MOST_LOOKS
    number = math.ceil(step * 1000 / max(1.0, longest, shortest))
    return next(step * 1000 // each for each in range(number, step * 1000 + 1) if step * 1000 % each == 0)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _tracks(document: dict[str, Any]) -> list[Track]:
    try:
        return [_track(each) for each in document["data"]["result"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadReply("The metrics store answers with something that is no PromQL range.") from error


def _track(found: dict[str, Any]) -> Track:
    labels = {str(name): str(value) for name, value in found["metric"].items()}
    name = labels.pop("__name__", "")
    points = [(round(float(at)), float(value)) for at, value in found["values"]]
    return Track(name, tuple(sorted(labels.items())), tuple(point for point in points if math.isfinite(point[1])))
