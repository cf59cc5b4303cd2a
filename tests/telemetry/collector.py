"""A small OTLP/HTTP receiver: decodes the real protobuf and keeps the spans."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What was received so far; `status` is what the next deliveries are answered with."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.deliveries = 0
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, object]] = []
        self.spans: list[Span] = []
        self.metrics: list[Metric] = []

    def take_metrics(self, body: bytes) -> None:
        """Decode one delivery of metrics; a malformed one raises."""
        request = ExportMetricsServiceRequest.FromString(body)
        for batch in request.resource_metrics:
            for scope in batch.scope_metrics:
                self.metrics.extend(scope.metrics)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Decode one delivery of spans; a malformed one raises."""
        self.headers.append(headers)
        request = ExportTraceServiceRequest.FromString(body)
        for batch in request.resource_spans:
            self.resources.append(values(batch.resource.attributes))
            for scope in batch.scope_spans:
                self.spans.extend(scope.spans)

    def span(self, name: str) -> Span:
        """Return the one span of this name."""
        [found] = self.named(name)
        return found

    def named(self, name: str) -> list[Span]:
        """Return the spans of this name, oldest first."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)


def values(attributes: Any) -> dict[str, object]:
    """Return attributes as plain values."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free loopback port."""
    collector = Collector()

    class Receiving(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.deliveries += 1
            assert self.headers["Content-Type"] == "application/x-protobuf"
            if self.path == "/v1/metrics":
                collector.take_metrics(body)
            elif collector.status == 200:
                assert self.path == "/v1/traces"
                collector.take(body, {name.lower(): value for name, value in self.headers.items()})
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiving) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
