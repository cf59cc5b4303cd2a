"""Metrics as text for Prometheus, plain or OpenMetrics, and as JSON; needs no client library and measures nothing."""

import math
from collections.abc import Iterable
from typing import Any

from schemawire.telemetry.instruments import AnyFamily, Counter, Exemplar, Histogram, Sample

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_LABEL_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"})


def prometheus_text(families: Iterable[AnyFamily]) -> str:
    """Return the text format that every Prometheus reads.

    *Source:* Prometheus exposition formats, text format 0.0.4.
    """
    lines: list[str] = []
    for family in families:
        name = f"{family.name}_total" if isinstance(family, Counter) else family.name
        lines += _heading(name, family)
        lines += (_line(sample) for sample in family.samples())
    return "\n".join([*lines, ""])


def openmetrics_text(families: Iterable[AnyFamily]) -> str:
    """Return the text format that carries exemplars: the trace behind the latest value of a bucket.

    *Source:* OpenMetrics 1.0.
    """
    lines: list[str] = []
    for family in families:
        lines += _heading(family.name, family)
        lines += (_line(sample) + _exemplar(sample.exemplar) for sample in family.samples())
    return "\n".join([*lines, "# EOF", ""])


def _heading(name: str, family: AnyFamily) -> tuple[str, str]:
    return f"# HELP {name} {family.help_text.translate(_HELP_ESCAPES)}", f"# TYPE {name} {family.kind}"


def _line(sample: Sample) -> str:
    return f"{sample.name}{_labels(sample.labels)} {_number(sample.value)}"


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    pairs = ",".join(f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    return f' # {{trace_id="{exemplar.trace_id}"}} {_number(exemplar.value)} {exemplar.at:.3f}'


def as_json(families: Iterable[AnyFamily]) -> dict[str, list[dict[str, Any]]]:
    """Return every series by metric; a histogram has its count, sum and estimated percentiles, in seconds."""
    return {family.name: _distributions(family) if isinstance(family, Histogram) else _values(family)
            for family in families}  # fmt: skip


def _values(family: AnyFamily) -> list[dict[str, Any]]:
    return [{"labels": dict(sample.labels), "value": sample.value} for sample in family.samples()]


def _distributions(family: Histogram) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    buckets: list[tuple[float, float]] = []
    for sample in family.samples():
        if sample.name.endswith("_bucket"):
            buckets.append((float(sample.labels[-1][1]), sample.value))
        elif sample.name.endswith("_sum"):
            parts = {f"p{round(part * 100)}": quantile(buckets, part) for part in (0.5, 0.9, 0.99)}
            found.append({"labels": dict(sample.labels), "count": buckets[-1][1], "sum": sample.value, **parts})
            buckets = []
    return found


def quantile(buckets: list[tuple[float, float]], part: float) -> float:
    """Return the value below which that part of all values lies, between bucket bounds by straight line; 0 without any.

    Args:
        buckets: upper bound and cumulative count, growing, the last bound infinite.
        part: 0 to 1.

    *Source:* Prometheus, `histogram_quantile`: what lies above the last finite bound counts as that bound.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return 0.0
    wanted, low, below = total * part, 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted and count > below:
            return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low
