"""The store inside a trace: a span per transaction and statement, errors marked, nothing that users wrote shown."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Connection, text

from schemawire.service.store import SqliteStore
from schemawire.service.traced_store import MOST_STATEMENTS, TracedStore
from schemawire.telemetry import WorkSpans


class Seen:
    """A traced store and what is seen of it."""

    def __init__(self, store: SqliteStore) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.store = TracedStore(store, WorkSpans(self.provider))
        self.tracer = self.provider.get_tracer("test")

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended, in order of their ends."""
        return list(self.exporter.get_finished_spans())


@pytest.fixture
async def seen(tmp_path: Path) -> AsyncIterator[Seen]:
    """A traced store on a file of its own."""
    found = Seen(SqliteStore(tmp_path / "schemas.db"))
    await found.store.start()
    yield found
    await found.store.close()
    found.provider.shutdown()


def count_keys(conn: Connection) -> int:
    """Look for something that a user wrote."""
    found: int = conn.execute(text("SELECT count(*) FROM keys WHERE name = 'hunter2'")).scalar_one()
    return found


async def test_outside_a_trace_nothing_is_seen(seen: Seen) -> None:
    """The service's own looks at the store begin no trace."""
    await seen.store.read(lambda conn: conn.execute(text("SELECT 1")).scalar_one())
    assert seen.spans() == []


async def test_each_statement_is_seen_by_verb_and_table(seen: Seen) -> None:
    """Below the transaction's span lies one for each statement, and none holds a value or a statement's text."""
    with seen.tracer.start_as_current_span("request"):
        count = await seen.store.read(count_keys)
    statement, transaction, request = seen.spans()
    assert (count, statement.name, transaction.name, request.name) == (0, "SELECT keys", "READ schemas", "request")
    assert statement.parent is not None
    assert statement.parent.span_id == transaction.context.span_id
    assert dict(statement.attributes or {}) == {
        "db.system.name": "sqlite", "db.operation.name": "SELECT", "db.collection.name": "keys"
    }  # fmt: skip


async def test_a_statement_that_fails_is_marked_and_the_error_goes_on(seen: Seen) -> None:
    """The error reaches the caller unchanged, both spans carry its class alone, and the store works on."""

    def fail(conn: Connection) -> None:
        conn.execute(text("SELECT nonsense FROM keys WHERE name = 'hunter2'"))

    with seen.tracer.start_as_current_span("request"), pytest.raises(Exception, match="nonsense"):
        await seen.store.write(fail)
    spans = seen.spans()
    assert [span.name for span in spans][:2] == ["SELECT keys", "WRITE schemas"]
    assert all((span.attributes or {}).get("error.type") for span in spans[:2])
    assert not [value for span in spans for value in (span.attributes or {}).values() if "hunter2" in str(value)]
    assert await seen.store.read(lambda conn: conn.execute(text("SELECT 1")).scalar()) == 1


async def test_a_large_write_has_a_bounded_number_of_spans(seen: Seen) -> None:
    """Of thousands of statements the first few have spans, and all are counted."""

    def work(conn: Connection) -> None:
        for _ in range(MOST_STATEMENTS * 3):
            conn.execute(text("SELECT 1 FROM keys"))

    with seen.tracer.start_as_current_span("request"):
        await seen.store.write(work)
    spans = seen.spans()
    assert len(spans) == MOST_STATEMENTS + 2
    [transaction] = [span for span in spans if span.name == "WRITE schemas"]
    assert (transaction.attributes or {})["schemawire.db.statements"] == MOST_STATEMENTS * 3


async def test_neighbours_in_one_commit_keep_their_traces_apart(seen: Seen) -> None:
    """Writes that share a commit each have their own statements below their own request."""

    async def one(number: int) -> None:
        with seen.tracer.start_as_current_span(f"request {number}"):
            await seen.store.write(lambda conn: conn.execute(text("SELECT 1 FROM projects")).all())

    await asyncio.gather(*(one(number) for number in range(20)))
    by_id = {span.context.span_id: span for span in seen.spans()}
    statements = [span for span in seen.spans() if span.name == "SELECT projects"]
    assert len(statements) == 20
    roots = set()
    for span in statements:
        assert span.parent is not None
        transaction = by_id[span.parent.span_id]
        assert transaction.parent is not None
        roots.add(by_id[transaction.parent.span_id].name)
    assert len(roots) == 20


async def test_a_cancelled_write_ends_its_span(seen: Seen) -> None:
    """Whoever stops waiting leaves no span open."""
    with seen.tracer.start_as_current_span("request"):
        task = asyncio.create_task(seen.store.write(lambda conn: conn.execute(text("SELECT 1")).all()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [span.name for span in seen.spans() if span.name == "WRITE schemas"] == ["WRITE schemas"]
