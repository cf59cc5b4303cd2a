"""Schema to and from text: one file per format; pure."""

from schemawire.exchange.formats import FORMATS, Format
from schemawire.exchange.json import export_json

__all__ = ["FORMATS", "Format", "export_json"]
