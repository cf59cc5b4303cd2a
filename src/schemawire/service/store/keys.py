"""API keys: only their SHA-256 is stored, so a stolen database opens nothing.

Knows nothing of headers, nor of what a scope allows. *Source:* 256 random bits need no slow hash, for guessing them is
hopeless at any speed.
"""

import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from schemawire.service.store.records import KeyRecord
from schemawire.service.store.tables import keys


def find_key(conn: Connection, sha256: bytes) -> KeyRecord | None:
    """Return the key with this hash, even if it is expired or revoked, or `None`."""
    row = conn.execute(select(keys).where(keys.c.sha256 == sha256)).one_or_none()
    return None if row is None else _to_record(row)


def add_key(conn: Connection, record: KeyRecord, sha256: bytes) -> None:
    """Store a new key."""
    conn.execute(
        insert(keys).values(
            key_id=record.key_id,
            sha256=sha256,
            name=record.name,
            scopes=json.dumps(sorted(record.scopes)),
            projects=None if record.projects is None else json.dumps(sorted(record.projects)),
            created_at=record.created_at,
            expires_at=record.expires_at,
            revoked_at=record.revoked_at,
            rate=record.rate,
            replaced_by=record.replaced_by,
        )
    )


def find_key_by_id(conn: Connection, key_id: str) -> KeyRecord | None:
    """Return the key of this id, even if it is expired or revoked, or `None`."""
    row = conn.execute(select(keys).where(keys.c.key_id == key_id)).one_or_none()
    return None if row is None else _to_record(row)


def replace_key(conn: Connection, old: KeyRecord, new: KeyRecord, sha256: bytes, *, ends: float) -> None:
    """Store a key that takes the place of another one, which ends at a time unless it ends earlier anyway."""
    add_key(conn, new, sha256)
    earlier = ends if old.expires_at is None else min(ends, old.expires_at)
    conn.execute(update(keys).where(keys.c.key_id == old.key_id).values(expires_at=earlier, replaced_by=new.key_id))


def list_keys(conn: Connection) -> list[KeyRecord]:
    """Return every key, oldest first."""
    return [_to_record(row) for row in conn.execute(select(keys).order_by(keys.c.created_at, keys.c.key_id))]


def revoke_key(conn: Connection, key_id: str, *, now: float) -> bool:
    """Make a key useless from now on; tell whether there was one that still could be used."""
    query = update(keys).where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
    return conn.execute(query).rowcount > 0


def _to_record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        key_id=row.key_id,
        name=row.name,
        scopes=frozenset(json.loads(row.scopes)),
        projects=None if row.projects is None else frozenset(json.loads(row.projects)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        rate=row.rate,
        replaced_by=row.replaced_by,
    )
