"""Reads InfluxDB 1 in its own language; writes nothing."""

import json
import math
from typing import Any

from schemawire.errors import BadReply, Failed
from schemawire.telemetry.rollups import require_range
from schemawire.telemetry.series import Question, Taken, Track
from schemawire.transport import Client

_LONGEST_REASON = 200


class InfluxReader:
    """Asks InfluxDB 1 for series as `LineProtocol` writes them: one measurement per metric, with the field `value`.

    Args:
        client: for the store's base URL.
        database: that the series are in.
        matching: tags that every series must have, such as this program's `instance`.
    """

    def __init__(self, client: Client, database: str, matching: dict[str, str] | None = None) -> None:
        self._client = client
        self._database = database
        self._matching = matching or {}

    async def answer(self, question: Question, *, window: float, step: float, end: float) -> list[Track]:
        """Return every series that a question asks for; see `MetricStore.answer`.

        Raises:
            ValueError: window or step is out of range.
            Failed: the store cannot be reached, or refuses the question.
            BadReply: it answers with something else than its JSON.
        """
        seconds, length = require_range(window, step)
        until = math.floor(end) // length * length + length
        begin = until - -(-seconds // length) * length
        text = _influxql(question, self._matching, (begin, until, length))
        response = await self._client.request(
            "GET", "/query", params={"db": self._database, "epoch": "s", "q": text}, route="/query"
        )
        try:
            document = json.loads(response.body)
            [result] = document.get("results", [{}])
            problem = document.get("error") or result.get("error")
        except (ValueError, TypeError, AttributeError) as error:
            raise BadReply("The metrics store answers with something that is no InfluxDB result.") from error
        if not response.is_success or problem:
            reason = str(problem or f"status {response.status}")[:_LONGEST_REASON]
            raise Failed(f"The metrics store does not answer: {reason}", fix="Look at its log and its address.")
        return _tracks(result, length)


def _influxql(question: Question, always: dict[str, str], times: tuple[int, int, int]) -> str:
    begin, until, step = times
    conditions = [f"time >= {begin}s", f"time < {until}s"]
    conditions += [f"{_name(tag)} =~ /^(?:{_pattern(text)})$/" for tag, text in question.matching.items()]
    conditions += [f"{_name(tag)} = '{_text(value)}'" for tag, value in always.items()]
    metric, where = _name(question.metric), " AND ".join(conditions)
    if question.kind is Taken.GROWTH:
        # A counter that begins again has a zero of its own, so only what rises is growth.
        inner = f'SELECT non_negative_difference("value") AS grown FROM {metric} WHERE {where} GROUP BY *'  # noqa: S608
        times_alone = " AND ".join(conditions[:2])
        return f"SELECT sum(grown) FROM ({inner}) WHERE {times_alone} GROUP BY time({step}s), *"  # noqa: S608
    return (
        f'SELECT {question.kind.value}("value") FROM {metric} WHERE {where}'  # noqa: S608  # each part is quoted
        f" GROUP BY time({step}s), * fill(none)"
    )


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")


def _pattern(text: str) -> str:
    return text.replace("/", "\\/")


def _tracks(result: dict[str, Any], step: int) -> list[Track]:
    try:
        return [_track(each, step) for each in result.get("series", [])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReply("The metrics store answers with something that is no InfluxDB result.") from error


def _track(found: dict[str, Any], step: int) -> Track:
    labels = tuple(sorted((str(tag), str(value)) for tag, value in found.get("tags", {}).items() if value != ""))
    points = tuple((int(at) + step, float(value)) for at, value in found["values"] if value is not None)
    return Track(str(found["name"]), labels, points)
