"""Samples as Prometheus remote-write requests and as InfluxDB lines; pure encoding, sends nothing."""

import math
import struct
from collections.abc import Iterable
from typing import Protocol

from schemawire.telemetry.instruments import Sample

_CHUNK = 1 << 16
_LINE_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\=", "\n": "\\n", "\r": "\\r"})


class Target(Protocol):
    """How a store wants its samples."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]

    def encode(self, samples: Iterable[Sample], at: float) -> bytes:
        """Return the body that holds `samples`, all measured at one moment; empty if there is nothing to send."""


class RemoteWrite:
    """Prometheus remote-write 1.0, as Prometheus, VictoriaMetrics, Mimir and others take it.

    *Source:* Prometheus Remote-Write Specification 1.0: protobuf in the snappy block format, labels sorted by name.
    """

    def __init__(self, path: str = "/api/v1/write") -> None:
        self.path = path
        self.params: dict[str, str] = {}
        self.headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }

    def encode(self, samples: Iterable[Sample], at: float) -> bytes:
        """Return one write request."""
        moment = round(at * 1000)
        series = b"".join(_field(1, _series(sample, moment)) for sample in samples)
        return snappy(series) if series else b""


class LineProtocol:
    """InfluxDB line protocol, version 1, as InfluxDB and VictoriaMetrics take it; each metric has one field, `value`.

    Args:
        database: that the lines belong to, where the store has several.
        path: of the store's write interface.
    """

    def __init__(self, database: str = "", *, path: str = "/write") -> None:
        self.path = path
        self.params = {"precision": "ms", **({"db": database} if database else {})}
        self.headers = {"Content-Type": "text/plain; charset=utf-8"}

    def encode(self, samples: Iterable[Sample], at: float) -> bytes:
        """Return one line per sample; infinities and not-a-number cannot be said and are left out."""
        moment = round(at * 1000)
        lines = (_line(sample, moment) for sample in samples if math.isfinite(sample.value))
        return "".join(lines).encode("utf-8", "replace")


def _line(sample: Sample, moment: int) -> str:
    # An empty tag value is no tag, and a trailing backslash would escape the separator behind it.
    tags = "".join(f",{name}={_tag(value)}" for name, value in sorted(sample.labels) if value)
    return f"{sample.name}{tags} value={float(sample.value)!r} {moment}\n"


def _tag(value: str) -> str:
    return value.replace("\\", "/").translate(_LINE_ESCAPES)


def _series(sample: Sample, moment: int) -> bytes:
    labels = sorted([("__name__", sample.name), *(label for label in sample.labels if label[1])])
    parts = [_field(1, _field(1, _text(name)) + _field(2, _text(value))) for name, value in labels]
    value = b"\x09" + struct.pack("<d", sample.value) + b"\x10" + _varint(moment)
    return b"".join([*parts, _field(2, value)])


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a time before 1970 is negative: two's complement, as protobuf has it
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def snappy(content: bytes) -> bytes:
    """Return `content` in the snappy block format, as literals alone: valid for every reader, and not smaller.

    *Source:* snappy's format description, section 2.1; a literal's tag 61 carries its length less one in two bytes.
    """
    parts = [_varint(len(content))]
    for start in range(0, len(content), _CHUNK):
        piece = content[start : start + _CHUNK]
        parts += [bytes([61 << 2]), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(parts)
