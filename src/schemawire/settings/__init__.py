"""The environment turned into options; the only room that reads it.

`settings`, the object that older code imported from `config.settings`, is loaded when it is first asked for.
"""

from typing import Any

from schemawire.settings.client import (
    PRESETS,
    ClientSettings,
    get_preset,
)
from schemawire.settings.findings import ConfigurationIssue, ExplainedSetting

__all__ = [
    "PRESETS",
    "ClientSettings",
    "ConfigurationIssue",
    "ExplainedSetting",
    "get_preset",
]


def __getattr__(name: str) -> Any:
    if name != "settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    loaded = globals()["settings"] = ClientSettings.load()
    return loaded
