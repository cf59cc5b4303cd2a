"""Keeps figures in a time-series store outside, named by one URL; the same face as the store in a file."""

import base64
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from schemawire.errors import ConfigurationInvalid
from schemawire.telemetry.influxql import InfluxReader
from schemawire.telemetry.metric_store import LocalStore, MetricStore, MetricStoreConfig, Source
from schemawire.telemetry.promql import PromqlReader
from schemawire.telemetry.remote_write import LineProtocol, RemoteWrite, Target
from schemawire.telemetry.rollups import require_range
from schemawire.telemetry.series import Question, Track
from schemawire.telemetry.shipping import Shipper, ShippingConfig, ShippingStatistics
from schemawire.telemetry.shown import shown_endpoint
from schemawire.transport import Client, TimeoutConfig

OFF = "off"
_KINDS = ("prometheus", "victoriametrics", "influx")
_FORMS = (
    "off, sqlite:///PATH, prometheus+http://HOST:9090, victoriametrics+http://HOST:8428, influx+http://HOST/DATABASE"
)
_DELIVERY_TIMEOUT = 10.0


class _Reader(Protocol):
    async def answer(self, question: Question, *, window: float, step: float, end: float) -> list[Track]:
        """Return every series that a question asks for."""


@dataclass(frozen=True, slots=True)
class _Address:
    kind: str
    base: str
    target: Target
    headers: dict[str, str]
    database: str = ""


class OutsideStore:
    """Ships figures to a store over HTTP, through a buffer on disk, and asks that store what they were.

    Args:
        kind: `prometheus`, `victoriametrics` or `influx`.
        shipper: delivers.
        reader: asks.
        client: the reader's, closed with the store.
        clock: seconds since 1970.
    """

    def __init__(
        self, kind: str, shipper: Shipper, reader: _Reader, client: Client, clock: Callable[[], float]
    ) -> None:
        self.kind = kind
        self._shipper = shipper
        self._reader = reader
        self._client = client
        self._clock = clock

    async def start(self) -> None:
        """Open the buffer and begin to read and deliver; the store itself may be away."""
        await self._shipper.start()
        await self._shipper.read()

    def step_for(self, window: float, step: float) -> int:
        """Return the step that an answer will have; see `MetricStore.step_for`."""
        return require_range(window, step)[1]

    async def answer(self, question: Question, *, window: float, step: float) -> list[Track]:
        """Return every series that a question asks for; see `MetricStore.answer`."""
        return await self._reader.answer(question, window=window, step=step, end=self._clock())

    def statistics(self) -> ShippingStatistics:
        """Return the counts so far."""
        return self._shipper.statistics()

    async def aclose(self) -> None:
        """Take a last reading, try to deliver, and close; the rest waits on disk. Safe to call twice."""
        await self._shipper.aclose()
        await self._client.aclose()


def open_metric_store(
    url: str,
    source: Source,
    *,
    buffer: Path,
    options: MetricStoreConfig = MetricStoreConfig(),  # noqa: B008  # frozen
    labels: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> MetricStore | None:
    """Return the store that a URL names, not yet started; `None` for `off`.

    Args:
        url: `off`, `sqlite:///PATH`, `prometheus+http(s)://…` or `victoriametrics+http(s)://…` (a path in them stands
            before that of the API), or `influx+http(s)://USER:PASSWORD@HOST/DATABASE`.
        source: reads all figures.
        buffer: the file in which readings wait for an outside store.
        options: intervals and bounds.
        labels: added to every series in an outside store.
        clock: seconds since 1970.

    Raises:
        ConfigurationInvalid: the URL names no store.
    """
    if url == OFF:
        return None
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        if not path.strip("/") or path.startswith(":memory:"):
            raise _unknown(url)
        return LocalStore(Path(path).absolute(), source, options, clock=clock)
    address = _address(url)
    own = dict(labels or {})
    shipping = ShippingConfig(interval=options.interval, timeout=_DELIVERY_TIMEOUT, max_bytes=options.max_bytes)
    shipper = Shipper(
        address.base, address.target, buffer, source,
        options=shipping, headers=address.headers, labels=own, clock=clock,
    )  # fmt: skip
    client = Client(
        address.base,
        timeout=TimeoutConfig(total=_DELIVERY_TIMEOUT),
        breaker=None,
        headers=address.headers,
        name="figures",
    )
    reader: _Reader = PromqlReader(
        client, own, interval=options.interval, has_exact_increase=address.kind == "victoriametrics"
    )
    if address.database:
        reader = InfluxReader(client, address.database, own)
    return OutsideStore(address.kind, shipper, reader, client, clock)


def _address(url: str) -> _Address:
    kind, plus, rest = url.partition("+")
    try:
        parts = urlsplit(rest)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not plus or kind not in _KINDS or not fits or parts.query or parts.fragment:
        raise _unknown(url)
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    headers = _authorization(parts)
    if kind != "influx":
        return _Address(kind, base + parts.path.rstrip("/"), RemoteWrite(), headers)
    database = unquote(parts.path.strip("/"))
    if not database:
        raise ConfigurationInvalid(
            f"The metrics store {shown_endpoint(url)!r} names no database",
            fix="Write influx+http://HOST:8086/DATABASE.",
        )
    return _Address(kind, base, LineProtocol(database), headers, database)


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _unknown(url: str) -> ConfigurationInvalid:
    scheme = url.partition(":")[0][:40]
    return ConfigurationInvalid(f"there is no metrics store of the form {scheme!r}", fix=f"Use one of {_FORMS}.")


def instance_labels(job: str, port: int, number: int = 0) -> dict[str, str]:
    """Return the labels that tell one process from another, in the words that Prometheus uses.

    Args:
        job: what kind of program it is.
        port: where it listens.
        number: among the processes of one port.
    """
    place = f"{socket.gethostname()[:100]}:{port}"
    return {"instance": f"{place}/{number}" if number else place, "job": job}
