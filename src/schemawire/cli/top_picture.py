"""How the live view looks: figures in, something to print out; asks nobody and knows no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemawire.cli.top_client import ClientView
from schemawire.cli.visible import visible

_BARS = "▁▂▃▄▅▆▇█"
_MOST_ROUTES = 8
_MOST_CHANGES = 4
_WINDOWS = ("5m", "1h", "6h", "3d")
_COLOURS = {"page": "bold red", "ticket": "yellow", "none": "green"}
_STATES = {"open": "bold red", "forced_open": "bold red", "half_open": "yellow", "closed": "green"}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One look: what the service said, and what it had said before."""

    figures: Mapping[str, Any]
    before: "Frame | None" = None
    at: float = 0.0
    """On the monotonic clock."""
    clock: float = 0.0
    """Seconds since 1970."""
    client: ClientView = field(default_factory=lambda: ClientView(whose=""))
    problem: str = ""

    def rate(self, *path: str) -> float | None:
        """Return by how much a figure grew per second since the look before; `None` for the first look."""
        now, earlier = _at(self.figures, path), None if self.before is None else _at(self.before.figures, path)
        if self.before is None or now is None or earlier is None or self.at <= self.before.at:
            return None
        # A service that was restarted counts from 0 again.
        return (now - earlier if now >= earlier else now) / (self.at - self.before.at)


def _at(record: Mapping[str, Any], path: Sequence[str]) -> float | None:
    found: Any = record
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) else None


def picture(frame: Frame) -> RenderableType:
    """Return the whole view."""
    parts: list[RenderableType] = [_head(frame)]
    if frame.problem:
        parts.append(Text(f"the service does not answer: {visible(frame.problem)}", style="bold red"))
    parts += [_lines(frame), _routes(frame), Columns([_objectives(frame), _work(frame)], padding=(0, 2))]
    parts.append(_callers(frame.client))
    changes = _changes(frame)
    return Group(*parts, changes) if changes is not None else Group(*parts)


def _head(frame: Frame) -> Text:
    service, health = frame.figures.get("service", {}), frame.figures.get("health", {})
    unwell = health.get("unhealthy") or ()
    text = Text("schemawire", style="bold")
    text.append(f"  up {_span(service.get('uptime', 0))}", style="default")
    text.append(f"  requests {service.get('totalRequests', 0)}", style="default")
    text.append(f"  in flight {service.get('inFlight', 0)}  ", style="default")
    state = "healthy" if not unwell else f"not well: {', '.join(map(visible, unwell))}"
    return text.append(state, style="green" if not unwell else "bold red")


def _lines(frame: Frame) -> RenderableType:
    history = frame.figures.get("history") or {}
    lines = history.get("lines") or {}
    if not lines:
        return Text(f"no history: {visible(history.get('problem', 'the service keeps none'))}", style="dim")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    rows = (("requests/s", "requests", _number), ("errors/s", "serverErrors", _number), ("p50", "latencyP50", _time),
            ("p99", "latencyP99", _time), ("waiting writes", "waitingWrites", _number))  # fmt: skip
    for title, name, show in rows:
        values = [value for _, value in lines.get(name, ())][:-1]  # the last step is not over yet
        table.add_row(title, Text(spark(values), style="cyan"), show(values[-1]) if values else "–",
                      Text(f"highest {show(max(values))}" if values else "", style="dim"))  # fmt: skip
    return table


def spark(values: Sequence[float], width: int = 48) -> str:
    """Return the latest values as bars between nothing and the highest of them."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * (len(_BARS) - 1) + 0.5))] for value in shown)


def _routes(frame: Frame) -> Table:
    table = _table("route", "req/s", "requests", "failed", "p50", "p90", "p99", "max")
    routes = frame.figures.get("routes", {})

    def weight(label: str) -> float:
        return (frame.rate("routes", label, "requests") or 0.0) * 1e9 + float(routes[label].get("requests", 0))

    for label in sorted(routes, key=weight, reverse=True)[:_MOST_ROUTES]:
        entry, rate = routes[label], frame.rate("routes", label, "requests")
        times, failed = entry.get("latency", {}), entry.get("failed", 0)
        table.add_row(
            visible(label), "–" if rate is None else _number(rate), str(entry.get("requests", 0)),
            Text(str(failed), style="red" if failed else "default"),
            *(_time(times.get(part, 0.0)) for part in ("p50", "p90", "p99", "max")),
        )  # fmt: skip
    return table


def _objectives(frame: Frame) -> Table:
    table = _table("objective", "target", *(f"burn {window}" for window in _WINDOWS), "budget left", "alert")
    for each in frame.figures.get("objectives", ()):
        windows = each.get("windows", {})
        left, alert = each.get("budgetLeft", 1.0), str(each.get("alert", ""))
        threshold = each.get("threshold")
        name = visible(each.get("name", "")) + (f" < {_time(threshold)}" if threshold else "")
        table.add_row(
            name, f"{each.get('target', 0):.2%}",
            *(_burn(windows.get(window, {}).get("burn", 0.0)) for window in _WINDOWS),
            Text(f"{left:.1%}", style="green" if left > 0.25 else "yellow" if left > 0 else "bold red"),
            Text(alert, style=_COLOURS.get(alert, "default")),
        )  # fmt: skip
    return table


def _burn(value: float) -> Text:
    return Text(f"{value:.2f}", style="bold red" if value > 14.4 else "yellow" if value > 1 else "default")


def _work(frame: Frame) -> Table:
    table = _table("operations", "", "store", "")
    done, store = frame.figures.get("operations", {}), frame.figures.get("store", {})
    writes = frame.rate("store", "writes")
    left = [
        ("queued", _latest(frame, "operationsQueued")),
        ("running", done.get("running", 0)),
        ("succeeded", done.get("succeeded", 0)),
        ("failed", done.get("failed", 0)),
        ("retried", done.get("retried", 0)),
    ]
    right = [("writes/s", "–" if writes is None else _number(writes)), ("waiting", store.get("waitingWrites", 0)),
             ("commits", store.get("commits", 0)), ("failed commits", store.get("failedCommits", 0)),
             ("reads now", store.get("activeReads", 0))]  # fmt: skip
    for (name, value), (other, figure) in zip(left, right, strict=True):
        table.add_row(name, str(value), other, str(figure))
    return table


def _latest(frame: Frame, name: str) -> str:
    points = ((frame.figures.get("history") or {}).get("lines") or {}).get(name) or ()
    return _number(points[-1][1]) if points else "–"


def _callers(client: ClientView) -> RenderableType:
    table = _table("endpoint", "breaker", "in flight", "waiting", "ejected", "checks")
    for each in client.endpoints:
        checks = "–" if each.healthy is None else "well" if each.healthy else "not well"
        table.add_row(
            visible(each.url), Text(each.state or "–", style=_STATES.get(each.state, "default")),
            _number(each.in_flight), _number(each.waiting), _number(each.ejections),
            Text(checks, style="red" if each.healthy is False else "default"),
        )  # fmt: skip
    budget = "" if client.budget is None else f"  budget {_number(client.budget)}"
    words = (f"calls {_number(client.calls)}  attempts {_number(client.attempts)}  retries {_number(client.retries)}"
             f"  refused {_number(client.refused)}{budget}")  # fmt: skip
    return Panel(Group(Text(words), table), title=client.whose, title_align="left", box=box.SQUARE, border_style="dim")


def _changes(frame: Frame) -> RenderableType | None:
    changes = (frame.figures.get("health") or {}).get("changes") or ()
    if not changes:
        return None
    table = _table("latest changes of health", "", "")
    for each in list(changes)[-_MOST_CHANGES:][::-1]:
        style = "green" if each.get("healthy") else "red"
        table.add_row(visible(each.get("at", "")), visible(each.get("name", "")),
                      Text(visible(each.get("state", "")), style=style))  # fmt: skip
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, overflow="ellipsis", no_wrap=True)
    for name in others:  # the first column gives way, so that figures stay whole on a narrow screen
        table.add_column(name, justify="right", no_wrap=True, min_width=max(len(name), 6))
    return table


def _number(value: float) -> str:
    if value == int(value):
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _time(seconds: float) -> str:
    scale, unit = (1e6, "µs") if seconds < 1e-3 else (1e3, "ms") if seconds < 1 else (1, "s")
    value = seconds * scale
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours}:{minutes:02}:{rest:02}"
