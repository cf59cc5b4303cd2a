"""One trace from the words to the worker, over real processes, a real database, a real broker and real protobuf."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.telemetry.collector import Collector, collecting, values

from schemawire import DomainSchemaHandler
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.telemetry import OtlpConfig, TraceListener, open_tracer_provider
from schemawire.testing.chaos_proxy import ChaosProxy
from schemawire.testing.service_process import ServiceProcess

if TYPE_CHECKING:
    from tests.servers.brokers import Brokers
    from tests.servers.postgres import Databases

WORDS = "A library has books and members. A member borrows books."
HIDDEN = "hunter2-library"


class Tree:
    """The spans of one trace by their ids."""

    def __init__(self, collector: Collector, root: str) -> None:
        self.root = collector.span(root)
        self.spans = [span for span in collector.spans if span.trace_id == self.root.trace_id]
        self.by_id = {span.span_id: span for span in self.spans}

    def chain(self, span: Span) -> list[str]:
        """Return the names from the root down to a span."""
        names = [span.name]
        while span.parent_span_id:
            span = self.by_id[span.parent_span_id]
            names.append(span.name)
        return names[::-1]

    def named(self, name: str, kind: "Span.SpanKind.ValueType | None" = None) -> list[Span]:
        """Return the spans of this trace that have a name, oldest first."""
        found = [span for span in self.spans if span.name == name and kind in (None, span.kind)]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


async def run_story(collector: Collector, service: ServiceProcess, workers: list[ServiceProcess]) -> None:
    """Analyse words and submit them, over a connection that breaks the first time; wait until a worker is done."""
    provider = open_tracer_provider(OtlpConfig(endpoint=collector.url, service_name="engine", interval=60.0))
    tracer = provider.get_tracer("engine")
    async with ChaosProxy("127.0.0.1", service.port) as proxy:
        proxy.is_down = True
        handler = DomainSchemaHandler(
            f"http://127.0.0.1:{proxy.port}", service.admin_key, listener=TraceListener(provider),
            retry_config=RetryConfig(max_retries=20, transient_cap=0.1),
            circuit_breaker_config=CircuitBreakerConfig(recovery_timeout=0.2),
        )  # fmt: skip
        async with handler:
            with tracer.start_as_current_span("engine"):
                draft = await handler.analyze(WORDS)
                merge = [{"operation": "merge_schema", "data": draft.schema.to_document()}]
                submitting = asyncio.create_task(handler.submit(HIDDEN, merge, session_id="s-1"))
                await asyncio.sleep(0.1)
                proxy.is_down = False
                operation = await submitting
            done = await handler.wait_for_operation(operation.operation_id)
            assert done.state == "succeeded", done
    for process in (*workers, service):
        assert await asyncio.to_thread(process.stop) == 0
    await asyncio.to_thread(provider.shutdown)


def judge(tree: Tree, system: str) -> None:
    """Check the way from the words to the row that the worker wrote."""
    submit = "POST /api/domain-schema/{projectId}/async"
    attempts = tree.named(submit, Span.SPAN_KIND_CLIENT)
    assert len(attempts) > 1
    assert [values(span.attributes).get("http.request.resend_count") for span in attempts] == [
        None, *range(1, len(attempts))
    ]  # fmt: skip
    [server] = tree.named(submit, Span.SPAN_KIND_SERVER)
    assert tree.chain(server) == ["engine", f"call {submit}", submit, submit]
    assert server.parent_span_id == attempts[-1].span_id
    assert tree.chain(tree.named("analyze")[0]) == ["engine", "analyze"]
    [sent] = tree.named("send operations")
    assert sent.kind == Span.SPAN_KIND_PRODUCER
    [processed] = tree.named("process operations")
    assert processed.kind == Span.SPAN_KIND_CONSUMER
    assert tree.chain(processed)[-3:] == [submit, "send operations", "process operations"]
    # On SQLite the statements of every write go to the driver itself, unseen; their transaction is told of.
    stored = ["WRITE schemas", "INSERT operations"] if system == "postgresql" else ["WRITE schemas"]
    written = [tree.chain(span) for span in tree.named(stored[-1])]
    assert [submit, "send operations", *stored] in [chain[-2 - len(stored) :] for chain in written]
    done = [["WRITE schemas"]]
    if system == "postgresql":
        done = [["WRITE schemas", name] for name in ("UPDATE operations", "INSERT versions")]
    for way in done:
        chains = [tree.chain(span) for span in tree.named(way[-1])]
        assert ["process operations", *way] in [chain[-1 - len(way) :] for chain in chains]
    for span in tree.spans:
        found = values(span.attributes)
        if "db.system.name" in found:
            assert found["db.system.name"] == system
            assert span.kind == Span.SPAN_KIND_CLIENT
            assert not [text for text in found.values() if HIDDEN in str(text) or "library" in str(text)]


def log_lines(service: ServiceProcess) -> list[dict[str, object]]:
    """Return the request lines of a service."""
    lines = [json.loads(line) for line in service.log_path.read_text().splitlines()]
    return [line for line in lines if line.get("event") == "request"]


async def test_words_to_worker_is_one_trace(tmp_path: Path) -> None:
    """Analysis, retry, request, statements, queue and work are one, where one process is service and worker."""
    with collecting() as collector:
        service = ServiceProcess(tmp_path, environment={"SCHEMAWIRE_OTLP_ENDPOINT": collector.url})
        async with service:
            await run_story(collector, service, [])
        tree = Tree(collector, "engine")
        judge(tree, "sqlite")
        [line] = [each for each in log_lines(service) if each["route"] == "POST /api/domain-schema/{projectId}/async"]
        assert line["traceId"] == tree.root.trace_id.hex()
        assert not [span for span in collector.spans if not span.parent_span_id and span.name.startswith("READ")]


@pytest.mark.parametrize(
    "kind", ["nats", pytest.param("rabbitmq", marks=pytest.mark.soak), pytest.param("redis", marks=pytest.mark.soak)]
)
async def test_a_broker_carries_the_trace_to_another_process(
    tmp_path: Path, kind: str, postgres_databases: "Databases", brokers: "Brokers"
) -> None:
    """The service publishes, another process works: the message's headers and the row lead back to the same trace."""
    broker = await asyncio.to_thread(brokers.get, kind)
    with collecting() as collector, postgres_databases.fresh() as database:
        shared = {
            "SCHEMAWIRE_DATABASE_URL": database,
            "SCHEMAWIRE_BROKER_URL": broker.url,
            "SCHEMAWIRE_OTLP_ENDPOINT": collector.url,
        }
        service = ServiceProcess(tmp_path / "s", environment={**shared, "SCHEMAWIRE_RUN_OPERATIONS": "false"})
        worker = ServiceProcess(tmp_path / "w", environment=shared, admin_key=service.admin_key)
        async with service, worker:
            await run_story(collector, service, [worker])
        tree = Tree(collector, "engine")
        judge(tree, "postgresql")
        assert {resource["service.name"] for resource in collector.resources} == {"engine", "schemawire"}
        [queue] = {span.name for span in tree.spans if span.name.startswith("send schemawire.")}
        [published] = tree.named(queue)
        found = values(published.attributes)
        assert found["messaging.system"] in {"nats", "amqp", "redis"}
        assert tree.chain(published)[-2:] == ["send operations", queue]
        heard = tree.named(queue.replace("send", "process"))
        assert heard
        assert heard[0].parent_span_id == published.span_id
