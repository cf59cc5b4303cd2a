"""Idempotency records and API keys: kept with the write, found again after a restart, gone when their time is up."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256

import pytest
from sqlalchemy import Connection
from tests.service.store.samples import create, edit

from schemawire.service.retention import sweep
from schemawire.service.store import (
    DuplicateInFlight,
    IdempotencyScope,
    KeyRecord,
    KeyReused,
    Store,
    StoredReply,
    add_key,
    find_key,
    find_project,
    find_reply,
    list_keys,
    revoke_key,
    store_reply,
    sweep_replies,
)
from schemawire.service.store.idempotency import RETENTION
from schemawire.service.store.portions import PORTION

SCOPE = IdempotencyScope(principal="key:1", project_id="p", route="batch", key="abc")
HASH = sha256(b"request").digest()
REPLY = StoredReply(status=200, headers={"ETag": '"v1"'}, body=b'{"success":true}')


def write_once(conn: Connection, *, fail: bool = False) -> tuple[StoredReply, bool]:
    """Do the write and keep its reply, unless that was done before; tell whether it was done now."""
    known = find_reply(conn, SCOPE, HASH)
    if known is not None:
        return known, False
    edit("p", create("A"))(conn)
    store_reply(conn, SCOPE, HASH, REPLY, now=100.0)
    if fail:
        raise LookupError
    return REPLY, True


async def test_a_repeated_request_is_answered_and_not_done_again(new_store: Callable[[], Store]) -> None:
    """The reply lives and dies with the write: not there after a failure, there after a restart."""
    store = new_store()
    await store.start()
    with pytest.raises(LookupError):
        await store.write(partial(write_once, fail=True))
    assert await store.read(lambda conn: find_reply(conn, SCOPE, HASH)) is None
    assert await store.read(lambda conn: find_project(conn, "p")) is None
    assert await store.write(write_once) == (REPLY, True)
    await store.close()
    await store.start()
    assert await store.write(write_once) == (REPLY, False)
    head = await store.read(lambda conn: find_project(conn, "p"))
    assert head is not None
    assert head.version == 1
    await store.close()


async def test_the_same_key_with_another_request_is_refused(store: Store) -> None:
    """A key stands for one request; elsewhere (principal, project, route) it is another key."""
    await store.write(write_once)
    with pytest.raises(KeyReused):
        await store.read(lambda conn: find_reply(conn, SCOPE, sha256(b"other").digest()))
    for name in ("principal", "project_id", "route", "key"):
        values = {each: getattr(SCOPE, each) for each in ("principal", "project_id", "route", "key")}
        other = IdempotencyScope(**{**values, name: "else"})
        assert await store.read(partial(find_reply, scope=other, request_hash=HASH)) is None


async def test_a_reply_is_stored_once(store: Store) -> None:
    """Where two writers get past the look-up, the second one's whole write is undone."""
    await store.write(partial(store_reply, scope=SCOPE, request_hash=HASH, reply=REPLY, now=1.0))
    with pytest.raises(DuplicateInFlight) as caught:
        await store.write(partial(store_reply, scope=SCOPE, request_hash=HASH, reply=REPLY, now=1.0))
    assert caught.value.retryable


async def test_replies_are_forgotten_after_a_day(store: Store) -> None:
    """A sweep takes the old ones and leaves the others."""
    await store.write(write_once)
    day = 24 * 3600.0
    assert await store.write(partial(sweep_replies, now=100.0 + day)) == 0
    assert await store.write(partial(sweep_replies, now=100.1 + day)) == 1
    assert await store.read(lambda conn: find_reply(conn, SCOPE, HASH)) is None


async def test_keys_are_found_by_hash_until_revoked(store: Store) -> None:
    """A key is known by its hash alone; expiry and revocation are told, not hidden."""
    every = KeyRecord(key_id="1", name="ops", scopes=frozenset({"read", "admin"}), projects=None, created_at=1.0)
    some = KeyRecord(
        key_id="2",
        name="app",
        scopes=frozenset({"read"}),
        projects=frozenset({"p", "q"}),
        created_at=2.0,
        expires_at=9.0,
    )
    for record in (every, some):
        await store.write(partial(add_key, record=record, sha256=sha256(record.key_id.encode()).digest()))
    assert await store.read(list_keys) == [every, some]
    assert await store.read(lambda conn: find_key(conn, sha256(b"2").digest())) == some
    assert await store.read(lambda conn: find_key(conn, sha256(b"3").digest())) is None
    assert (some.is_valid(8.9), some.is_valid(9.0)) == (True, False)
    assert await store.write(partial(revoke_key, key_id="1", now=5.0))
    assert not await store.write(partial(revoke_key, key_id="1", now=6.0))
    revoked = await store.read(lambda conn: find_key(conn, sha256(b"1").digest()))
    assert revoked is not None
    assert (revoked.revoked_at, revoked.is_valid(5.0)) == (5.0, False)


async def test_a_large_sweep_is_done_in_portions(store: Store) -> None:
    """No single write deletes everything at once, and nothing that is out of date stays."""

    def fill(conn: Connection) -> None:
        for number in range(2 * PORTION + 5):
            scope = IdempotencyScope(principal="p", project_id="p", route="r", key=str(number))
            store_reply(conn, scope, HASH, REPLY, now=float(number))

    await store.write(fill)
    before = store.statistics().writes
    assert await sweep(store, RETENTION + 2 * PORTION) == 2 * PORTION
    assert store.statistics().writes - before >= 4  # three for the replies, one for each other kind of row
    scope = IdempotencyScope(principal="p", project_id="p", route="r", key=str(2 * PORTION))
    assert await store.read(partial(find_reply, scope=scope, request_hash=HASH)) == REPLY
