"""What would keep a service from working well here: each thing looked at, judged, and what to do. Changes nothing.

No finding holds a secret: addresses lose their passwords, keys are only counted. Prints nothing.
"""

import asyncio
import http.client
import resource
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Connection, func, select, text

from schemawire._version import __version__
from schemawire.errors import SchemawireError
from schemawire.protocol.paths import HEALTH_LIVE
from schemawire.service.app import open_store
from schemawire.service.store.backups import verify
from schemawire.service.store.migrate import HEAD, current_revision
from schemawire.service.store.sqlite import SqliteStore
from schemawire.service.store.store import Store
from schemawire.service.store.tables import versions
from schemawire.settings.service import ServiceSettings

SOUND_SQLITE = (3, 51, 3)
"""The first release without the defect by which two connections that write or fold back the log at one moment can
corrupt a file in WAL mode. *Source:* sqlite.org, release notes of 3.51.3."""
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 1_000_000_000, 100_000_000
_FEW_FILES = 1_024
_SKEW, _LARGE_SKEW = 1.0, 30.0
"""Seconds between two clocks: leases are kept by them."""
_SLOW = 0.25
"""Seconds for one small query."""
_TIMEOUT = 3.0
_PACKAGES = ("sqlalchemy", "alembic", "fastapi", "uvicorn", "pydantic", "asyncpg", "faststream", "nats-py", "aio-pika")


class Level(Enum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    level: Level = Level.OK
    fix: str = ""

    def to_document(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"name": self.name, "level": self.level.value, "found": self.found, "fix": self.fix}


async def diagnose(settings: ServiceSettings, *, deep: bool = False) -> list[Finding]:
    """Look at everything, and return what was found in a fixed order.

    Args:
        settings: of the service that runs here or is to run here.
        deep: whether every stored schema is compared with its digest, which takes as long as reading all of it.
    """
    found = [*_programs(settings), *_settings(settings), _open_files(), await asyncio.to_thread(_port, settings)]
    found += [finding async for finding in _database(settings, deep=deep)]
    broker_url = getattr(settings, "broker_url", None) or ""
    if broker_url:
        found.append(await _broker(str(broker_url)))
    return found


def worst(findings: list[Finding]) -> Level:
    """Return the level of the worst finding."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def _programs(settings: ServiceSettings) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(name="schemawire", found=__version__)
    yield Finding(name="python", found=python)
    yield judge_sqlite(sqlite3.sqlite_version, is_used=settings.database_url.startswith("sqlite"))
    yield Finding(name="packages", found=", ".join(_installed()))


def judge_sqlite(release: str, *, is_used: bool = True) -> Finding:
    """Judge the release of SQLite that this Python is linked with."""
    numbers = tuple(int(part) for part in release.split(".")[:3])
    if numbers >= SOUND_SQLITE or not is_used:
        return Finding(name="sqlite", found=release)
    return Finding(
        name="sqlite",
        found=f"{release}, which can corrupt a file that two connections write at one moment (fixed in 3.51.3)",
        level=Level.WARNING,
        fix="The service keeps to one writing connection and one process, which avoids it: let no other program "
        "write to the file. A newer SQLite or PostgreSQL takes the risk away.",
    )


def _installed() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _settings(settings: ServiceSettings) -> Iterator[Finding]:
    issues = settings.issues()
    for issue in issues:
        level = Level.ERROR if issue.level == "error" else Level.WARNING
        yield Finding(name=issue.name, found=issue.message, level=level, fix=issue.fix)
    if not issues:
        yield Finding(name="settings", found="nothing unwise")


def _open_files() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < _FEW_FILES:
        fix = "Raise it with `ulimit -n 65536`, or LimitNOFILE= in a systemd unit."
        return Finding(name="open files", found=f"{limit} at most", level=Level.WARNING, fix=fix)
    return Finding(name="open files", found=f"{limit} at most")


def _port(settings: ServiceSettings) -> Finding:
    place = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if _is_ours(settings):
            return Finding(name="port", found=f"a service answers at {place}")
        fix = "Choose another SCHEMAWIRE_PORT or SCHEMAWIRE_HOST, or stop whatever listens there."
        return Finding(name="port", found=f"{place}: {error.strerror or error}", level=Level.ERROR, fix=fix)
    return Finding(name="port", found=f"{place} is free")


def _is_ours(settings: ServiceSettings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - a comparison
    connection = http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", HEALTH_LIVE)
        reply = connection.getresponse()
        reply.read()
        return reply.status == 200 and reply.getheader("X-Request-ID") is not None
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def _database(settings: ServiceSettings, *, deep: bool) -> AsyncIterator[Finding]:
    try:
        store = open_store(settings)
    except SchemawireError as error:
        yield _said("database", error)
        return
    if isinstance(store, SqliteStore):
        yield await asyncio.to_thread(_disk, store.path)
        if not await asyncio.to_thread(store.path.exists):
            yield Finding(name="database", found=f"{store.path} is not there yet; the first start makes it")
            return
    async for finding in _readable_database(store, deep=deep):
        yield finding


async def _readable_database(store: Store, *, deep: bool) -> AsyncIterator[Finding]:
    try:
        revision, took, skew = await store.peek(_look)
    except SchemawireError as error:
        yield _said("database", error)
        return
    except Exception as error:  # whatever it is, it is what there is to say
        yield Finding(name="database", found=type(error).__name__, level=Level.ERROR, fix="Look at its log.")
        return
    kind = "SQLite file" if isinstance(store, SqliteStore) else "PostgreSQL"
    slow = Level.WARNING if took > _SLOW else Level.OK
    yield Finding(name="database", found=f"{kind}, answers in {took * 1_000:.1f} ms", level=slow)
    yield _migration(revision)
    yield _clock(skew)
    if deep and revision == HEAD:
        yield await _digests(store)


def _look(conn: Connection) -> tuple[str | None, float, float]:
    """Return the step the database has reached, how long it takes to answer, and how far its clock is ahead of ours."""
    started = time.perf_counter()
    conn.execute(text("SELECT 1")).scalar_one()
    took = time.perf_counter() - started
    revision = current_revision(conn)
    if conn.dialect.name == "postgresql":
        theirs = float(conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return revision, took, theirs - time.time()
    newest = conn.execute(select(func.max(versions.c.created_at))).scalar_one() if revision == HEAD else None
    return revision, took, max(0.0, (newest or 0.0) - time.time())


def _migration(revision: str | None) -> Finding:
    if revision == HEAD:
        return Finding(name="migrations", found=f"up to date ({HEAD})")
    if revision is not None and revision > HEAD:
        fix = "Run the newer release that last used this database."
        return Finding(name="migrations", found=f"{revision} is newer than {HEAD}", level=Level.ERROR, fix=fix)
    found = f"at {revision or 'nothing'}, this release needs {HEAD}"
    return Finding(name="migrations", found=found, level=Level.WARNING, fix="Run `schemawire migrate`.")


def _clock(skew: float) -> Finding:
    if abs(skew) <= _SKEW:
        return Finding(name="clock", found="agrees with the database")
    level = Level.ERROR if abs(skew) > _LARGE_SKEW else Level.WARNING
    direction = "behind" if skew > 0 else "ahead of"
    fix = "Keep all clocks together with NTP; leases and time limits are kept by them."
    return Finding(name="clock", found=f"{abs(skew):.1f} s {direction} the database's", level=level, fix=fix)


async def _digests(store: Store) -> Finding:
    try:
        count = await store.peek(verify)
    except SchemawireError as error:
        return _said("schemas", error)
    return Finding(name="schemas", found=f"{count} are what their digests say")


def _disk(path: Path) -> Finding:
    folder = next(each for each in (path.parent, *path.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    level = Level.ERROR if free < _TOO_LITTLE_BYTES else Level.WARNING if free < _LITTLE_BYTES else Level.OK
    fix = "" if level is Level.OK else "Make room: a full disk refuses every write."
    return Finding(name="disk", found=f"{free / 1e9:.1f} GB free in {folder}", level=level, fix=fix)


async def _broker(url: str) -> Finding:
    parts = urlsplit(url)
    ports = {"nats": 4222, "amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
    try:
        host, port = parts.hostname or "localhost", parts.port or ports.get(parts.scheme, 0)
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        reason = "does not answer" if isinstance(error, TimeoutError) else str(error)
        fix = (
            "Start it, or correct SCHEMAWIRE_BROKER_URL; without it operations wait for the next look at the database."
        )
        return Finding(name="broker", found=f"{parts.scheme}: {reason}"[:200], level=Level.ERROR, fix=fix)
    return Finding(name="broker", found=f"{parts.scheme} answers at {host}:{port}")


def _said(name: str, error: SchemawireError) -> Finding:
    return Finding(name=name, found=error.message, level=Level.ERROR, fix=error.fix)
