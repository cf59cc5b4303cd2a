"""Locks by name that last until the end of a transaction, for what has no row yet that could be locked.

An engine with one writer needs none: there, nothing happens. Knows nothing of what the names mean.
"""

from hashlib import blake2b

from sqlalchemy import BigInteger, Connection, bindparam, func, select

_KEY = bindparam("key", type_=BigInteger)
_LOCK = select(func.pg_advisory_xact_lock(_KEY))
_TRY = select(func.pg_try_advisory_xact_lock(_KEY))


def lock_number(*parts: str) -> int:
    """Return the number that stands for a name in PostgreSQL; each part counts with its length.

    >>> lock_number("a", "bc") == lock_number("ab", "c")
    False
    """
    seen = blake2b(digest_size=8, person=b"schemawire")
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        seen.update(b"%d:" % len(content) + content)
    return int.from_bytes(seen.digest(), "big", signed=True)


def wait_for_lock(conn: Connection, *parts: str) -> None:
    """Take the lock, once everybody who holds it has committed or rolled back."""
    if has_parallel_writers(conn):
        conn.execute(_LOCK, {"key": lock_number(*parts)})


def try_lock(conn: Connection, *parts: str) -> bool:
    """Take the lock if nobody holds it, and tell whether it is ours."""
    return not has_parallel_writers(conn) or bool(conn.execute(_TRY, {"key": lock_number(*parts)}).scalar_one())


def has_parallel_writers(conn: Connection) -> bool:
    """Tell whether others may write at the same time."""
    return conn.dialect.name != "sqlite"
