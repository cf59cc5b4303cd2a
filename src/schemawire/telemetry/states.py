"""The state of anything that shows `statistics()`, read as gauges when somebody asks; knows none of the records."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass

from schemawire.telemetry.instruments import Gauge
from schemawire.telemetry.shown import shown_endpoint

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IDENTITIES = ("url", "name")
"""The fields by which records of one list are told apart, the first that there is."""

Numbers = Iterator[tuple[str, str, float]]
"""The metric's name, which of several records, and its value."""


def is_metric_name(text: str) -> bool:
    """Tell whether `text` may begin the name of a metric."""
    return _NAME.fullmatch(text) is not None


def state_gauges(prefix: str, read: Callable[[], object], *, max_series: int) -> list[Gauge]:
    """Return one gauge for each number in the record that `read` returns, nested records and lists of them included.

    Args:
        prefix: begins each name.
        read: returns a dataclass, such as `client.statistics`.
        max_series: of each gauge.
    """
    gauges: dict[str, Gauge] = {}
    for name, owner, value in _numbers(prefix, read(), ""):
        gauge = gauges.get(name)
        if gauge is None:
            words = name.removeprefix("schemawire_").replace("_", " ")
            gauge = gauges[name] = Gauge(name, f"State: {words}.", ("name",), max_series=max_series)
        gauge.set((owner,), value)
    return list(gauges.values())


def _numbers(name: str, value: object, owner: str) -> Numbers:
    if isinstance(value, int | float):
        yield name, owner, float(value)
    elif is_dataclass(value) and not isinstance(value, type):
        owner = _identity(value) or owner
        for field in fields(value):
            yield from _numbers(f"{name}_{field.name}", getattr(value, field.name), owner)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(name, item, f"{owner}/{key}" if owner else str(key))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _numbers(name.removesuffix("s"), item, owner)


def _identity(record: object) -> str:
    for name in _IDENTITIES:
        found = getattr(record, name, None)
        if isinstance(found, str):
            return shown_endpoint(found)
    return ""
