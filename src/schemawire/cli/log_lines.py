"""Our JSON log lines made readable: which are shown, and how; pure, reads no file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from schemawire.cli.visible import visible

LEVELS = ("debug", "info", "warning", "error", "critical")
LONGEST_LINE = 1 << 20
_STYLES = {"debug": "dim", "info": "default", "warning": "yellow", "error": "red", "critical": "bold red"}
_HEAD = frozenset({"timestamp", "level", "event"})
_TRAIL = ("exception", "exc_info", "stack")
_NAMES = {"request": "requestId", "trace": "traceId"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which lines are wanted; an empty text wants all.

    Args:
        level: the least severe level.
        request: a request's id, or its beginning.
        trace: a trace's id, or its beginning.
        project: a project's id.
        text: what a line holds anywhere.
    """

    level: str = "debug"
    request: str = ""
    trace: str = ""
    project: str = ""
    text: str = ""

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a record is wanted; one of an unknown level is."""
        level = str(record.get("level", "")).lower()
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(self.level):
            return False
        if self.project and record.get("projectId") != self.project:
            return False
        for option in ("request", "trace"):
            wanted = getattr(self, option)
            if wanted and not str(record.get(_NAMES[option], "")).startswith(wanted):
                return False
        return self.text in json.dumps(record, ensure_ascii=False) if self.text else True

    @property
    def wants_all(self) -> bool:
        """Whether lines that are no records are wanted too."""
        return not (self.request or self.trace or self.project)


def parsed(line: str) -> dict[str, Any] | None:
    """Return the record that a line holds, or `None` where it is none of ours."""
    if not line.lstrip().startswith("{") or len(line) > LONGEST_LINE:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "event" in found else None


def rendered(record: Mapping[str, Any]) -> Text:
    """Return a record as one line for people: time, level, what happened, then its fields."""
    level = str(record.get("level", "")).lower()
    style = _STYLES.get(level, "default")
    text = Text(_time(record.get("timestamp")), style="dim")
    text.append(f" {visible(level)[:8]:<8}", style=style)
    text.append(f" {visible(record.get('event', ''))}", style=f"bold {style}" if style != "default" else "bold")
    for name, value in record.items():
        if name in _HEAD or name in _TRAIL or value is None:
            continue
        text.append(f"  {visible(name)}=", style="dim")
        text.append(_value(value), style=_style_of(name, value))
    for name in _TRAIL:
        if record.get(name):
            text.append("\n" + visible(record[name], lines=True), style="red")
    return text


def _time(stamp: Any) -> str:
    text = visible(stamp or "")
    # Of an ISO time the day says little and the microseconds less.
    return text[11:23].rstrip("Z") if len(text) >= 20 and text[10] == "T" else text


def _value(value: Any) -> str:
    if isinstance(value, str):
        return visible(value if value and " " not in value else json.dumps(value, ensure_ascii=False))
    return visible(json.dumps(value, ensure_ascii=False))


def _style_of(name: str, value: Any) -> str:
    if name == "status" and isinstance(value, int):
        return "red" if value >= 500 else "yellow" if value >= 400 else "green"
    if name == "outcome":
        return "green" if value == "success" else "yellow" if value == "cancelled" else "red"
    return "cyan" if isinstance(value, int | float) else "default"
