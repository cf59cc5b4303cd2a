"""Which formats there are; knows nothing of how each is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemawire.exchange.json import export_json
from schemawire.schema import DomainSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One text format."""

    name: str
    media_type: str
    extension: str
    export: Callable[[DomainSchema], str]


FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (Format(name="json", media_type="application/json", extension="json", export=export_json),)
}
"""Every format by its name."""
