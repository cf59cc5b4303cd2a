"""Spans as a collector receives them: what belongs together, what is said, what is never said."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from tests.telemetry.collector import Collector, collecting, values

from schemawire.errors import ConfigurationInvalid, ConnectFailed, ConnectionLost
from schemawire.events import BreakerChanged, CallFinished, Listeners
from schemawire.resilience import RetryConfig
from schemawire.telemetry import (
    OtlpConfig,
    ServerTracing,
    TraceListener,
    WorkSpans,
    call_labels,
    carried_headers,
    open_tracer_provider,
)
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client, Request
from schemawire.transport.wires.inprocess import InProcessWire

SECRET = "hunter2"
QUICK = RetryConfig(max_retries=2, transient_base=0.001)


class Bench:
    """A provider that delivers to a real collector when asked to."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.provider = open_tracer_provider(
            OtlpConfig(endpoint=collector.url, service_name="bench", headers={"X-Key": "k"}, interval=60.0)
        )

    def delivered(self) -> Collector:
        assert self.provider.force_flush(5000)
        return self.collector

    def client(self, *script: Any, **options: Any) -> tuple[Client, ScriptedWire]:
        wire = ScriptedWire(*script)
        options = {"retry": QUICK, **options}
        return Client("http://a.test:81", wire=wire, listener=TraceListener(self.provider), **options), wire


@pytest.fixture
def bench() -> Iterator[Bench]:
    with collecting() as collector:
        made = Bench(collector)
        yield made
        made.provider.shutdown()


async def test_a_call_is_one_span_and_each_attempt_a_client_span_below_it(bench: Bench) -> None:
    """Names and attributes are those of the stable HTTP conventions, the resend count among them."""
    client, wire = bench.client(Reply(status=503), ConnectionLost(), Reply())
    with call_labels(project="shop", request="r1"):
        await client.request("GET", "/items/7", route="/items/{id}", params={"key": SECRET})
    seen = bench.delivered()
    call = seen.span("call GET /items/{id}")
    attempts = seen.named("GET /items/{id}")
    assert call.kind == Span.SPAN_KIND_INTERNAL
    assert {span.kind for span in attempts} == {Span.SPAN_KIND_CLIENT}
    assert {span.parent_span_id for span in attempts} == {call.span_id}
    first, second, third = (values(span.attributes) for span in attempts)
    assert first == {
        "http.request.method": "GET", "url.template": "/items/{id}", "server.address": "a.test", "server.port": 81,
        "http.response.status_code": 503, "error.type": "503", "schemawire.outcome": "failed",
    }  # fmt: skip
    assert (second["http.request.resend_count"], second["error.type"]) == (1, "connection_lost")
    assert (third["http.request.resend_count"], third["http.response.status_code"]) == (2, 200)
    assert "error.type" not in third
    assert [span.status.code for span in attempts] == [Status.STATUS_CODE_ERROR] * 2 + [Status.STATUS_CODE_UNSET]
    told = values(call.attributes)
    assert (told["schemawire.attempts"], told["schemawire.outcome"], told["http.response.status_code"]) == (
        3,
        "success",
        200,
    )
    assert (told["schemawire.project.id"], told["schemawire.request.id"]) == ("shop", "r1")
    assert [event.name for event in call.events] == ["retry scheduled", "retry scheduled"]
    sent = [each.request.headers["traceparent"].rpartition("-")[0] for each in wire.sent]
    assert sent == [f"00-{call.trace_id.hex()}-{span.span_id.hex()}" for span in attempts]


async def test_no_secret_reaches_a_span(bench: Bench) -> None:
    """Query, headers, bodies and error texts stay out, of exception events too."""
    client, _ = bench.client(*[ConnectFailed(SECRET)] * 4)
    with pytest.raises(ConnectFailed):
        await client.request(
            "POST", "/x", json={"p": SECRET}, params={"k": SECRET}, headers={"Authorization": SECRET},
            idempotency_key=SECRET,
        )  # fmt: skip
    seen = bench.delivered()
    assert len(seen.spans) == 5
    assert SECRET not in "".join(map(str, seen.spans))
    assert values(seen.span("call POST").attributes)["error.type"] == "connect_failed"


async def test_a_streamed_calls_span_lasts_until_its_body_is_read(bench: Bench) -> None:
    """While the caller reads, its own spans are not below the call; the end of the body ends the span."""
    client, _ = bench.client(Reply(chunks=(b"a", b"b"), chunk_delay=0.02))
    tracer = trace.get_tracer("user", tracer_provider=bench.provider)
    async with client.stream("GET", "/x", route="/{x}") as response:
        with tracer.start_as_current_span("reading"):
            assert await response.read() == b"ab"
    seen = bench.delivered()
    call, reading = seen.span("call GET /{x}"), seen.span("reading")
    assert reading.parent_span_id == b""
    assert call.end_time_unix_nano > reading.end_time_unix_nano
    assert values(call.attributes)["schemawire.outcome"] == "success"


async def test_streams_that_cross_end_their_own_spans(bench: Bench) -> None:
    """Two streams of one task that end in the order in which they began do not mix up."""
    client, _ = bench.client(Reply(chunks=(b"a",)), Reply(chunks=(b"b",), status=404))
    first, second = client.stream("GET", "/a", route="/{a}"), client.stream("GET", "/b", route="/{b}")
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    await second.__aexit__(None, None, None)
    seen = bench.delivered()
    statuses = [
        values(seen.span(name).attributes)["http.response.status_code"] for name in ("call GET /{a}", "call GET /{b}")
    ]
    assert statuses == [200, 404]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_cancelled_call_is_no_error(bench: Bench) -> None:
    """Giving up is the caller's right: the spans say cancelled, and not error."""
    sending = asyncio.Event()

    def hold(request: Request) -> Reply:
        sending.set()
        return Reply(delay=60.0)

    client, _ = bench.client(hold)
    task = asyncio.create_task(client.request("GET", "/x", route="/{x}"))
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen = bench.delivered()
    for name in ("call GET /{x}", "GET /{x}"):
        span = seen.span(name)
        assert values(span.attributes)["schemawire.outcome"] == "cancelled"
        assert span.status.code == Status.STATUS_CODE_UNSET


async def test_concurrent_calls_keep_their_own_traces(bench: Bench) -> None:
    """Each call of many at once is the parent of its own attempt alone."""
    wire = ScriptedWire(then=Reply(delay=0.01))
    client = Client("http://a.test", wire=wire, listener=Listeners(TraceListener(bench.provider)))
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(client.request("GET", "/x", route=f"/{number}/{{x}}"))
    seen = bench.delivered()
    assert len({span.trace_id for span in seen.spans}) == 20
    for number in range(20):
        assert seen.span(f"GET /{number}/{{x}}").parent_span_id == seen.span(f"call GET /{number}/{{x}}").span_id


async def test_from_analysis_to_worker_it_is_one_trace(bench: Bench) -> None:
    """Analysis, call, retry, service, store, queue and worker share one trace, each below what caused it."""
    work = WorkSpans(bench.provider)
    queue: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue()
    seen_before: list[str] = []

    async def service(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("no lifespan here")
        seen_before.append(scope["path"])
        status = 503 if len(seen_before) == 1 else 202
        if status == 202:
            with work.database("sqlite", "INSERT", "operations"):
                message: dict[str, str] = {}
            with work.send("operations", message):
                queue.put_nowait(("op-1", message))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def worker() -> None:
        _, message = await queue.get()
        with work.process("operations", message), work.database("sqlite", "UPDATE", "operations"):
            pass

    app = ServerTracing(service, bench.provider, route_of=lambda scope: "/{project}/async")
    client = Client("http://a.test", wire=InProcessWire(app), retry=QUICK, listener=TraceListener(bench.provider))
    worker_task = asyncio.create_task(worker())
    with work.step("analyse"):
        await client.request("POST", "/shop/async", route="/{project}/async", idempotency_key="k")
    await worker_task
    await client.aclose()
    seen = bench.delivered()
    below = {span.span_id: span for span in seen.spans}
    kinds = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}

    def path(span: Span) -> list[str]:
        parent = below.get(span.parent_span_id)
        name = f"{kinds.get(span.kind, '')} {span.name}".strip()
        return [*(path(parent) if parent else []), name]

    assert len({span.trace_id for span in seen.spans}) == 1
    assert path(seen.span("UPDATE operations")) == [
        "analyse",
        "call POST /{project}/async",
        "client POST /{project}/async",
        "server POST /{project}/async",
        "send operations",
        "process operations",
        "client UPDATE operations",
    ]
    assert path(seen.span("INSERT operations"))[3:] == ["server POST /{project}/async", "client INSERT operations"]
    servers = [span for span in seen.spans if span.kind == Span.SPAN_KIND_SERVER]
    resent = values(below[servers[-1].parent_span_id].attributes)["http.request.resend_count"]
    assert (len(servers), resent) == (2, 1)


async def serve(app: ServerTracing, **changes: Any) -> None:
    """Send one request into `app`, without a client."""
    scope = {
        "type": "http", "method": "GET", "path": "/x", "scheme": "http", "headers": [], "server": ("h", 80), **changes,
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    await app(scope, receive, send)


async def test_server_errors_are_errors_and_refusals_are_not(bench: Bench) -> None:
    """A 4xx is the caller's fault, a 5xx and an exception the server's; a cancelled request is neither."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].strip("/")
        if name == "broken":
            raise ValueError(SECRET)
        if name == "left":
            raise asyncio.CancelledError
        await send({"type": "http.response.start", "status": int(name), "headers": []})

    traced = ServerTracing(app, bench.provider, route_of=lambda scope: scope["path"])
    for path in ("/200", "/404", "/500"):
        await serve(traced, path=path)
    with pytest.raises(ValueError, match=SECRET):
        await serve(traced, path="/broken")
    with pytest.raises(asyncio.CancelledError):
        await serve(traced, path="/left")
    seen = bench.delivered()
    bad = {span.name for span in seen.spans if span.status.code == Status.STATUS_CODE_ERROR}
    assert bad == {"GET /500", "GET /broken"}
    assert values(seen.span("GET /left").attributes)["schemawire.outcome"] == "cancelled"
    assert SECRET not in "".join(map(str, seen.spans))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"traceparent", b"")],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01")],
        [(b"traceparent", b"\xff" * 4000)],
        [(b"tracestate", b"a=b")],
    ],
)
async def test_an_unreadable_caller_begins_a_new_trace(bench: Bench, headers: list[tuple[bytes, bytes]]) -> None:
    """Hostile or missing trace headers cost nobody a reply."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await serve(ServerTracing(app, bench.provider), headers=headers, method="BREW\x07")
    [span] = bench.delivered().spans
    assert span.parent_span_id == b""
    assert (span.name, values(span.attributes)["http.request.method"]) == ("HTTP", "_OTHER")


async def test_health_checks_need_no_span(bench: Bench) -> None:
    """Paths can be left out, and so is everything that is not HTTP."""
    calls: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["type"])

    traced = ServerTracing(app, bench.provider, is_traced=lambda path: path != "/health")
    await serve(traced, path="/health")
    await serve(traced, type="lifespan")
    assert calls == ["http", "lifespan"]
    assert not bench.delivered().spans


def test_a_workers_own_trace_is_linked(bench: Bench) -> None:
    """Work continues the trace that caused it, and links the loop that took it."""
    work = WorkSpans(bench.provider)
    with work.step("cause"):
        carried = carried_headers()
    with work.step("loop"), work.process("jobs", carried):
        pass
    seen = bench.delivered()
    job = seen.span("process jobs")
    assert job.parent_span_id == seen.span("cause").span_id
    assert [link.span_id for link in job.links] == [seen.span("loop").span_id]
    assert carried_headers() == {}


def test_failed_work_says_what_failed_and_no_more(bench: Bench) -> None:
    """A failed step is an error with the class of what was raised."""
    work = WorkSpans(bench.provider)
    with pytest.raises(KeyError), work.database("sqlite", "SELECT"):
        raise KeyError(SECRET)
    span = bench.delivered().span("SELECT")
    assert (values(span.attributes)["error.type"], span.status.code) == ("KeyError", Status.STATUS_CODE_ERROR)
    assert SECRET not in str(span)


async def test_events_outside_a_call_are_noted_or_ignored(bench: Bench) -> None:
    """A breaker that moves outside any call, or an end without a beginning, harms nothing."""
    listener = TraceListener(bench.provider)
    moved = BreakerChanged(name="b", before="CLOSED", after="OPEN", reason="failures")
    listener.on_event(moved)
    listener.on_event(CallFinished(name="c", method="GET", route="/", outcome="success", duration=0.1, attempts=1))
    with WorkSpans(bench.provider).step("around"):
        listener.on_event(moved)
    [span] = bench.delivered().spans
    assert [event.name for event in span.events] == ["breaker changed"]


async def test_without_an_sdk_nothing_happens() -> None:
    """The listener costs a program without an SDK no more than no-op spans, and sends no header."""
    wire = ScriptedWire(Reply())
    response = await Client("http://a.test", wire=wire, listener=TraceListener()).request("GET", "/x")
    assert response.status == 200
    assert "traceparent" not in wire.sent[0].request.headers


def test_what_is_delivered_names_its_service(bench: Bench) -> None:
    """The collector sees the service's name and the configured headers."""
    with WorkSpans(bench.provider).step("x"):
        pass
    seen = bench.delivered()
    assert seen.resources[0]["service.name"] == "bench"
    assert seen.headers[0]["x-key"] == "k"


async def test_an_absent_collector_never_holds_up_a_call(caplog: pytest.LogCaptureFixture) -> None:
    """With nobody listening, calls go on at once and the end is bounded by the timeout."""
    provider: TracerProvider = open_tracer_provider(
        OtlpConfig(endpoint="http://127.0.0.1:9", timeout=0.5, interval=0.01, max_queue=4)
    )
    client = Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=TraceListener(provider))
    for _ in range(50):
        assert (await client.request("GET", "/x")).status == 200
    started = time.monotonic()
    await asyncio.to_thread(provider.shutdown)
    assert time.monotonic() - started < 5.0


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": ""}, {"endpoint": "localhost:4318"}, {"endpoint": "ftp://h"}, {"endpoint": "http://h:99999"},
        {"endpoint": f"ftp://u:{SECRET}@h/"}, {"sample_ratio": 1.5}, {"sample_ratio": float("nan")},
        {"timeout": 0.0}, {"interval": float("inf")}, {"max_queue": 0},
    ],
)  # fmt: skip
def test_options_are_checked(options: dict[str, Any]) -> None:
    """A value out of range is refused by name, and a password in an address is not repeated."""
    with pytest.raises(ConfigurationInvalid, match=next(iter(options))) as caught:
        OtlpConfig(**{"endpoint": "http://h:4318", **options})
    assert SECRET not in str(caught.value)


def test_the_sdk_is_loaded_only_when_it_is_used() -> None:
    """Importing every sink does not load the SDK, which is an extra."""
    script = "import sys, schemawire.telemetry; print([n for n in sys.modules if n.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_without_an_sdk_nothing_is_spent_and_a_trace_is_passed_on() -> None:
    """Where no SDK is installed no span is made; the context of somebody else's trace still goes along."""
    program = """
import asyncio
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.context import attach
from schemawire.telemetry import TraceListener
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client

async def main():
    wire = ScriptedWire(then=Reply())
    client = Client("http://a.test", wire=wire, listener=TraceListener())
    await client.request("GET", "/x")
    attach(extract({"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"}))
    await client.request("GET", "/x")
    print([sent.request.headers.get("traceparent") for sent in wire.sent])

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert out.decode().strip() == f"[None, '00-{'ab' * 16}-{'cd' * 8}-01']", errors.decode()
