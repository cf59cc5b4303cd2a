"""Where a setting's value comes from: the layers, strongest first, and the origin of each value; judges no value."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from schemawire.errors import ConfigurationInvalid

ENV_FILE = ".env"
TOML_FILE = "schemawire.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The values of one source by field name; `label` names the source to its user."""

    label: str
    values: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    """Names with the prefix, as written, that are no setting."""


def environment_layer(prefix: str, fields: frozenset[str]) -> Layer:
    """Return the settings among the environment variables; an empty value counts as absent."""
    return _named("environment", os.environ, prefix, fields)


def env_file_layer(prefix: str, fields: frozenset[str]) -> Layer:
    """Return the settings in the file `.env` of the working folder, if there is one.

    Raises:
        ConfigurationInvalid: the file cannot be read.
    """
    if not Path(ENV_FILE).is_file():
        return Layer(label=ENV_FILE)
    try:
        found = dotenv_values(ENV_FILE, interpolate=False)
    except (OSError, ValueError) as error:
        raise ConfigurationInvalid(f"{ENV_FILE} cannot be read: {error}", fix="Correct or remove the file.") from error
    return _named(ENV_FILE, {name: value or "" for name, value in found.items()}, prefix, fields)


def toml_layer(table: str, fields: frozenset[str]) -> Layer:
    """Return the settings in one table of `schemawire.toml` in the working folder, where names stand without prefix.

    Raises:
        ConfigurationInvalid: the file cannot be read, or the table is none.
    """
    path = Path(TOML_FILE)
    if not path.is_file():
        return Layer(label=TOML_FILE)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationInvalid(f"{TOML_FILE} cannot be read: {error}", fix="Correct or remove the file.") from error
    found = document.get(table, {})
    if not isinstance(found, dict):
        raise ConfigurationInvalid(f"{TOML_FILE}: {table!r} must be a table", fix=f"Write [{table}] on its own line.")
    values = {f"{table}_{name}": value for name, value in found.items()}
    known = {name: value for name, value in values.items() if name in fields}
    return Layer(
        label=TOML_FILE,
        values=known,
        unknown=tuple(f"{table}.{name}" for name in found if f"{table}_{name}" not in known),
    )


def _named(label: str, found: Mapping[str, str], prefix: str, fields: frozenset[str]) -> Layer:
    ours = {name: value for name, value in found.items() if name.upper().startswith(prefix) and value != ""}
    known = {name.lower(): value for name, value in ours.items() if name.lower() in fields}
    return Layer(label=label, values=known, unknown=tuple(name for name in ours if name.lower() not in fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The values that hold, and where each came from."""

    values: dict[str, Any]
    origins: dict[str, str]
    unknown: tuple[str, ...]


def merge(layers: list[Layer]) -> Merged:
    """Return the strongest value of each setting; the first layer is the strongest."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for name, value in layer.values.items():
            if name not in values:
                values[name] = value
                origins[name] = layer.label
    unknown = (f"{name} ({layer.label})" for layer in layers for name in layer.unknown)
    return Merged(values=values, origins=origins, unknown=tuple(unknown))


class MergedSource(PydanticBaseSettingsSource):
    """Hands merged layers to pydantic-settings as one source."""

    def __init__(self, settings_class: type[BaseSettings], merged: Merged) -> None:
        super().__init__(settings_class)
        self._merged = merged

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one field."""
        return self._merged.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return every value, with the origins beside them."""
        return {**self._merged.values, "origins": self._merged.origins, "unknown": self._merged.unknown}
