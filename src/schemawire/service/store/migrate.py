"""Brings a database's tables up to date; knows nothing of what is stored in them."""

from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, inspect, select, text

from schemawire.service.store.refusals import StoreError
from schemawire.service.store.tables import store_meta

HEAD = "0007"
"""The newest step; a database that names it needs no work (and the migration library is not even loaded)."""


def current_revision(conn: Connection) -> str | None:
    """Return the step that the database has reached, or `None` if it is empty."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    revision: str | None = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def is_up_to_date(conn: Connection) -> str | None:
    """Return the store's id if every step was taken, else `None`; changes nothing."""
    if current_revision(conn) != HEAD:
        return None
    store_id: str | None = conn.execute(select(store_meta.c.store_id)).scalar_one_or_none()
    return store_id


def migrate(conn: Connection, *, now: float) -> str:
    """Bring the tables up to date within the caller's transaction, and return the store's id.

    Args:
        conn: a connection inside a write transaction.
        now: when, noted where the database is new.

    Raises:
        StoreError: the database was made by a newer release.
    """
    revision = current_revision(conn)
    if revision != HEAD:
        _refuse_newer(revision)
        upgrade(conn)
    return _identity(conn, now)


def _refuse_newer(revision: str | None) -> None:
    if revision is not None and revision > HEAD:
        raise StoreError(
            f"the database is at migration {revision!r}, this release knows up to {HEAD!r}",
            fix="Run the newer release that last used this database, or restore a back-up made before it.",
        )


def upgrade(conn: Connection, revision: str = HEAD) -> None:
    """Take every step up to a revision within the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def _identity(conn: Connection, now: float) -> str:
    store_id: str | None = conn.execute(select(store_meta.c.store_id)).scalar_one_or_none()
    if store_id is None:
        store_id = uuid4().hex
        conn.execute(store_meta.insert().values(store_id=store_id, created_at=now))
    return store_id
