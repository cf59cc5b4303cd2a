"""A store whose work inside a trace is seen: one span for each transaction, and one for each of its statements.

A statement's text is never looked at beyond its verb and its table: its values are what users wrote.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span
from sqlalchemy import Connection, Engine, event

from schemawire.service.store.heads import HeadMemory
from schemawire.service.store.store import Store, StoreStatistics
from schemawire.telemetry.work_spans import WorkSpans

T = TypeVar("T")

MOST_STATEMENTS = 50
"""Statements of one transaction that have spans of their own; a large write has thousands."""
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?(\w+)", re.IGNORECASE)
_VERB = re.compile(r"\s*([A-Za-z]+)")
_WORK = otel_context.create_key("schemawire-store-work")
_OPEN = "schemawire-span"


class TracedStore:
    """Passes everything on to a store, inside spans where a trace is running.

    Args:
        store: what does the work.
        spans: opens the spans.
    """

    def __init__(self, store: Store, spans: WorkSpans) -> None:
        self._store = store
        self._spans = spans
        self._heard: WeakSet[Engine] = WeakSet()

    @property
    def store_id(self) -> str:
        """The identity of the stored rows."""
        return self._store.store_id

    @property
    def is_exclusive(self) -> bool:
        """Whether this process is the only one that works on the store."""
        return self._store.is_exclusive

    @property
    def heads(self) -> HeadMemory | None:
        """The newest documents in memory; `None` where other processes write too."""
        return self._store.heads

    async def start(self) -> None:
        """Open the store; see `Store.start`."""
        await self._store.start()

    async def close(self) -> None:
        """Close the store; see `Store.close`."""
        await self._store.close()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a snapshot; see `Store.read`."""
        if not trace.get_current_span().is_recording():
            return await self._store.read(work)
        with self._transaction("READ") as span:
            return await self._store.read(self._watched(work, span))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` durably; see `Store.write`."""
        if not trace.get_current_span().is_recording():
            return await self._store.write(work)
        with self._transaction("WRITE") as span:
            return await self._store.write(self._watched(work, span))

    def statistics(self) -> StoreStatistics:
        """Return the counters as they are now."""
        return self._store.statistics()

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the store has."""
        return getattr(self._store, name)

    def _transaction(self, kind: str) -> Any:
        system = "sqlite" if self._store.is_exclusive else "postgresql"
        return self._spans.database(system, kind, "schemas")

    def _watched(self, work: Callable[[Connection], T], span: Span) -> Callable[[Connection], T]:
        def watched(conn: Connection) -> T:
            self._hear(conn.engine)
            system = "sqlite" if conn.dialect.name == "sqlite" else "postgresql"
            state = _Work(self._spans, system)
            # The store runs this on a thread of its own, or on another task, where no trace is current.
            context = otel_context.set_value(_WORK, state, trace.set_span_in_context(span))
            token = otel_context.attach(context)
            try:
                return work(conn)
            finally:
                otel_context.detach(token)
                span.set_attribute("schemawire.db.statements", state.statements)

        return watched

    def _hear(self, engine: Engine) -> None:
        if engine not in self._heard:
            self._heard.add(engine)
            event.listen(engine, "before_cursor_execute", _begin, named=True)
            event.listen(engine, "after_cursor_execute", _end, named=True)
            event.listen(engine, "handle_error", _fail)


class _Work:
    """One transaction. Invariant: at most one statement's span is open, that of the statement that runs."""

    def __init__(self, spans: WorkSpans, system: str) -> None:
        self._spans = spans
        self._system = system
        self.statements = 0

    def open(self, statement: str) -> Any:
        self.statements += 1
        if self.statements > MOST_STATEMENTS:
            return None
        verb, table = _VERB.match(statement), _TABLE.search(statement)
        scope = self._spans.database(
            self._system, verb[1].upper() if verb else "OTHER", table[1].lower() if table else ""
        )
        scope.__enter__()
        return scope


def _begin(*, statement: str, context: Any, **_: Any) -> None:
    work = otel_context.get_value(_WORK)
    if isinstance(work, _Work) and context is not None:
        context.__dict__[_OPEN] = work.open(statement)


def _end(*, context: Any, **_: Any) -> None:
    _close(context, None)


def _fail(found: Any) -> None:
    _close(found.execution_context, found.original_exception)


def _close(context: Any, error: BaseException | None) -> None:
    scope = getattr(context, "__dict__", {}).pop(_OPEN, None)
    if scope is None:
        return
    if error is None:
        scope.__exit__(None, None, None)
        return
    try:
        scope.__exit__(type(error), error, error.__traceback__)
    except BaseException as same:  # a scope raises what it was told again, and the driver raises it by itself
        if same is not error:
            raise
