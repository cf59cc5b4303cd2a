"""The store in a PostgreSQL database that several processes may share; the only code that knows its driver.

Works run on two lanes, one that reads and one that writes, each with a few connections. A read sees one snapshot and
cannot change it. A write is a transaction of its own at READ COMMITTED: what it changes it locks first, so every
statement behind the lock sees what earlier writers left. Knows nothing of what is stored.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from schemawire.errors import Closed, ConfigurationInvalid
from schemawire.service.store import postgres_faults as faults
from schemawire.service.store.heads import HeadMemory, take_touched
from schemawire.service.store.lane import Lane
from schemawire.service.store.locks import wait_for_lock
from schemawire.service.store.migrate import is_up_to_date, migrate
from schemawire.service.store.refusals import StoreError, StoreUnavailable, ValueRefused
from schemawire.service.store.store import POSTGRES_SCHEMES, StoreStatistics

T = TypeVar("T")

_OPTIONS = frozenset({"host", "pgbouncer", "port", "ssl", "sslmode"})
"""What may stand behind the `?` of an address; `sslmode` is the name that PostgreSQL's own programs use."""
ATTEMPTS = 5
"""How often a work is tried that the database undoes to let another one through."""
CONNECT_TIMEOUT = 5.0
RECYCLE = 1_800.0
"""Seconds after which a connection is replaced, so that a new leader behind one address is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """How much the store does at once, and how long a statement may take."""

    connections: int = 10
    """Of this process, 2 to 200: half of them read, half write."""
    max_waiting_reads: int = 1_000
    max_waiting_writes: int = 1_000
    statement_timeout: float = 30.0
    """Seconds, 0.1 to 3,600; a lock is waited for half as long."""

    def __post_init__(self) -> None:
        for name, least, most in (("connections", 2, 200), ("max_waiting_reads", 1, 10**6),
                                  ("max_waiting_writes", 1, 10**6), ("statement_timeout", 0.1, 3_600)):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value!r}; use {least} to {most}")


@dataclass(slots=True)
class _Counts:
    """What was done; each field is changed on one lane's loop alone."""

    writes: int = 0
    failed_writes: int = 0
    commits: int = 0
    failed_commits: int = 0
    reads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lanes:
    reading: Lane
    writing: Lane


class PostgresStore:
    """A store in a PostgreSQL database.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; with `?pgbouncer=true` it works behind a pooler that
            gives a connection away after each transaction, with `?sslmode=verify-full` over verified TLS.
        options: how much the store does at once.
        clock: seconds since 1970-01-01 UTC.

    Raises:
        ConfigurationInvalid: the address is malformed, or the driver is not installed.
    """

    is_exclusive = False
    heads: HeadMemory | None = None
    """None: another process may have written since."""

    def __init__(
        self, url: str, *, options: PostgresOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._url, self._is_pooled = _read_url(url)
        self._options = options or PostgresOptions()
        self._clock = clock
        self._lanes: _Lanes | None = None
        self._store_id = ""
        self._counts = _Counts()

    @property
    def store_id(self) -> str:
        """The identity of the stored rows, the same for every process; empty before the first start."""
        return self._store_id

    @property
    def address(self) -> str:
        """Where the database is, without the password."""
        return self._url.render_as_string(hide_password=True)

    async def start(self) -> None:
        """Connect and bring the tables up to date; of several processes one does it and the others wait.

        Harmless when repeated.

        Raises:
            StoreUnavailable: it cannot be reached or migrated; nothing was changed.
        """
        if self._lanes is not None:
            return
        half = self._options.connections // 2
        opened = _Lanes(
            reading=Lane(
                "schemawire-pg-reader",
                partial(self._engine, is_reading=True, size=self._options.connections - half),
                connections=self._options.connections - half,
                max_waiting=self._options.max_waiting_reads,
            ),
            writing=Lane(
                "schemawire-pg-writer",
                partial(self._engine, is_reading=False, size=half),
                connections=half,
                max_waiting=self._options.max_waiting_writes,
            ),
        )
        try:
            self._store_id = await opened.writing.run(lambda: self._prepare(opened.writing.engine))
        except BaseException:
            await _closed(opened, timeout=0.0)  # nobody waits any more for a database that says nothing
            raise
        self._lanes = opened

    async def _prepare(self, engine: AsyncEngine) -> str:
        now = self._clock()
        try:
            async with engine.connect() as conn:
                known: str | None = await conn.run_sync(is_up_to_date)
                await conn.rollback()
            return known or await self._migrate(now)
        except StoreError:
            raise
        except Exception as error:
            raise faults.unavailable(error, f"the database at {self.address} cannot be used") from error

    async def _migrate(self, now: float) -> str:
        """Take the steps that are missing, without time limits: an index on a large table takes its time."""
        engine = self._engine(is_reading=False, size=1, is_patient=True)
        try:
            async with engine.connect() as conn:
                store_id = await conn.run_sync(_migrate_alone, now=now)
                await conn.commit()
                return store_id
        finally:
            await engine.dispose()

    def _engine(self, *, is_reading: bool, size: int, is_patient: bool = False) -> AsyncEngine:
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return create_async_engine(
            self._url,
            pool_size=size,
            max_overflow=0,
            pool_recycle=RECYCLE,
            hide_parameters=True,  # they are what users wrote, and errors end in logs
            connect_args=self._connect_arguments(is_patient=is_patient),
            execution_options=snapshot if is_reading else {"isolation_level": "READ COMMITTED"},
        )

    def _connect_arguments(self, *, is_patient: bool) -> dict[str, Any]:
        timeout = self._options.statement_timeout
        limit = None if is_patient else timeout + 5.0
        arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, "command_timeout": limit}
        if self._is_pooled:  # statements prepared on one server connection are unknown on the next
            unnamed = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
            return {**arguments, **unnamed, "prepared_statement_name_func": lambda: f"s{uuid4().hex}"}
        milliseconds = {
            "statement_timeout": timeout,
            "lock_timeout": timeout / 2,
            "idle_in_transaction_session_timeout": 2 * timeout,
        }
        settings = {
            name: "0" if is_patient else str(max(1, round(value * 1_000))) for name, value in milliseconds.items()
        }
        return {**arguments, "server_settings": {**settings, "application_name": "schemawire"}}

    async def close(self) -> None:
        """Finish what was accepted, refuse the rest, and let go of threads and connections. Harmless when repeated."""
        opened, self._lanes = self._lanes, None
        if opened is not None:
            await asyncio.shield(_closed(opened))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot that it cannot change, and return what it returns.

        Raises:
            Closed: the store is not open.
            StoreUnavailable: the database cannot be read, or too many reads are waiting.

        *Cancelled:* the work may run on to its end, unheard.
        """
        lane = self._require_open().reading
        return await lane.run(lambda: self._read(lane.engine, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own and return what it returns, once that is durably committed.

        What the database undoes to let another transaction through is done again, so `work` may run more than once;
        at most one of its runs is kept.

        Raises:
            Closed: the store is not open.
            StoreUnavailable: too many writes are waiting, or the database cannot keep the work: nothing of it was
                kept, unless the connection was lost while it was being committed, which the message then says.

        *Cancelled:* a work that has not begun never runs; one that has begun is committed or undone as a whole.
        """
        lane = self._require_open().writing
        return await lane.run(lambda: self._write(lane.engine, work))

    async def peek(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one snapshot of a store that need not be started; nothing is migrated, made or locked.

        Raises:
            StoreUnavailable: there is no such database, or it cannot be read.
        """
        lane = Lane(
            "schemawire-pg-peek", partial(self._engine, is_reading=True, size=1), connections=1, max_waiting=1
        )  # fmt: skip
        try:
            return await lane.run(lambda: _transaction(lane.engine, work))
        except Exception as error:
            if not faults.is_of_the_database(error):
                raise
            raise faults.unavailable(error, f"the database at {self.address} cannot be read") from error
        finally:
            await asyncio.shield(asyncio.to_thread(lane.close))

    def _require_open(self) -> _Lanes:
        if self._lanes is None:
            raise Closed("the store is not open", fix="Call `start()` first.")
        return self._lanes

    async def _read(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        self._counts.reads += 1
        try:
            try:
                return await _transaction(engine, work)
            except Exception as error:
                if not (faults.is_lost(error) or faults.is_undone(error)):
                    raise
                return await _transaction(engine, work)  # the pool knows by now that its connections are old
        except Exception as error:
            raise _translated(error) from error.__cause__

    async def _write(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        self._counts.writes += 1
        try:
            result = await self._write_until_kept(engine, work)
        except BaseException as error:
            self._counts.failed_writes += 1
            raise _translated(error) from error.__cause__
        self._counts.commits += 1
        return result

    async def _write_until_kept(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await _transaction(engine, work)
            except Exception as error:
                self._counts.failed_commits += isinstance(error, _CommitUnknown)
                is_worth_it = faults.is_undone(error) or (attempt == 1 and faults.is_lost(error))
                if not is_worth_it:
                    raise
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - no secret
        return await _transaction(engine, work)

    def statistics(self) -> StoreStatistics:
        """Return the counters as they are now."""
        counts, lanes = replace(self._counts), self._lanes
        return StoreStatistics(
            writes=counts.writes,
            failed_writes=counts.failed_writes,
            commits=counts.commits,
            failed_commits=counts.failed_commits,
            largest_group=min(1, counts.commits),
            waiting_writes=lanes.writing.waiting if lanes else 0,
            reads=counts.reads,
            active_reads=lanes.reading.running + lanes.reading.waiting if lanes else 0,
            is_open=lanes is not None,
        )


class _CommitUnknown(StoreUnavailable):
    """The connection was lost while a write was being committed, so it is not known whether it was kept."""

    default_fix = "Repeat it with the same idempotency key: it is done once, whatever became of it."


async def _transaction(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Run a work and commit it; what raises before the commit is undone."""
    async with engine.connect() as conn:
        try:
            result = await conn.run_sync(partial(_run, work))
        except Exception as error:
            if faults.is_standby(error) and not conn.invalidated:
                await conn.invalidate()  # a new connection finds the new leader
            raise
        await _commit(conn)
        return result


def _run(work: Callable[[Connection], T], conn: Connection) -> T:
    try:
        return work(conn)
    finally:
        if not conn.invalidated:
            take_touched(conn)  # nobody here keeps documents that a write makes old


async def _commit(conn: AsyncConnection) -> None:
    try:
        await conn.commit()
    except Exception as error:
        if not faults.is_lost(error):
            raise
        raise _CommitUnknown(f"the connection was lost during the commit: {faults.reason_of(error)}",
                             retry_after=1.0) from error  # fmt: skip


def _translated(error: BaseException) -> BaseException:
    if not faults.is_of_the_database(error):
        return error
    if faults.is_unfit_value(error):
        refusal = ValueRefused(f"the database cannot hold a value of the request: {faults.reason_of(error)}")
        refusal.__cause__ = error
        return refusal
    if faults.is_fault(error):
        return error
    return faults.unavailable(error)


def _migrate_alone(conn: Connection, *, now: float) -> str:
    wait_for_lock(conn, "migrations")
    return migrate(conn, now=now)


async def _closed(lanes: _Lanes, timeout: float = 30.0) -> None:
    await asyncio.gather(*(asyncio.to_thread(lane.close, timeout) for lane in (lanes.reading, lanes.writing)))


def _read_url(url: str) -> tuple[URL, bool]:
    try:
        found = make_url(url)
        is_right = found.drivername in POSTGRES_SCHEMES and bool(found.database)
    except (ArgumentError, ValueError):
        is_right = False
    if not is_right:
        raise ConfigurationInvalid(
            "SCHEMAWIRE_DATABASE_URL is not the address of a PostgreSQL database",
            fix="Write postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters percent-encoded.",
        )
    if find_spec("asyncpg") is None:
        raise ConfigurationInvalid(
            "a PostgreSQL database needs the driver 'asyncpg', which is not installed",
            fix='Run: pip install "schemawire[server,postgres]"',
        )
    unknown = sorted(set(found.query) - _OPTIONS)
    if unknown:
        raise ConfigurationInvalid(
            f"SCHEMAWIRE_DATABASE_URL has options that are not known: {', '.join(unknown)[:200]}",
            fix=f"Known ones are {', '.join(sorted(_OPTIONS))}; user and password stand before the host.",
        )
    is_pooled = str(found.query.get("pgbouncer", "")).lower() in ("true", "1", "yes")
    ssl = found.query.get("ssl") or found.query.get("sslmode")
    plain = found.set(drivername="postgresql+asyncpg").difference_update_query(["pgbouncer", "ssl", "sslmode"])
    return (plain if ssl is None else plain.update_query_dict({"ssl": ssl})), is_pooled
