"""API keys as an admin sees them: made, listed, rotated, revoked. Knows nothing of HTTP servers."""

import time
from dataclasses import replace
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field, StrictFloat, StrictInt, StrictStr
from sqlalchemy import Connection

from schemawire.protocol.messages import ProjectId, RequestBody
from schemawire.service.access import Scope, hash_key, new_key
from schemawire.service.auditing import line_of
from schemawire.service.backend import Backend
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import encode
from schemawire.service.store import KeyRecord, add_key, list_keys, revoke_key, timestamp
from schemawire.service.store.audit import add_audit
from schemawire.service.store.keys import find_key_by_id, replace_key
from schemawire.service.write_request import WriteRequest

MAX_LIFETIME = 10 * 366 * 86_400
MAX_OVERLAP = 30 * 86_400
DEFAULT_OVERLAP = 3_600.0
"""Seconds for which a rotated key goes on working, unless the request says otherwise."""

Lifetime = Annotated[StrictInt | StrictFloat, Field(gt=0, le=MAX_LIFETIME)]


class KeyRequest(RequestBody):
    """A key to make."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=3)]
    projects: Annotated[tuple[ProjectId, ...], Field(max_length=1_000)] | None = None
    """The only projects that it may touch; every project if not given."""
    expires_in: Lifetime | None = None
    """Seconds; for ever if not given."""
    rate: Annotated[StrictInt | StrictFloat, Field(gt=0, le=1_000_000)] | None = None
    """Requests per second; as the service's settings say if not given."""


class RotateRequest(RequestBody):
    """How a key is to be replaced."""

    overlap: Annotated[StrictInt | StrictFloat, Field(ge=0, le=MAX_OVERLAP)] = DEFAULT_OVERLAP
    """Seconds for which the old key goes on working."""
    expires_in: Lifetime | None = None
    """Seconds that the new key is valid; as long as the old one was if not given."""


async def make_key(backend: Backend, write: WriteRequest, wanted: KeyRequest) -> bytes:
    """Return a new key's record with the key itself, which is kept nowhere."""
    now, key = time.time(), new_key()
    record = KeyRecord(
        key_id=uuid4().hex[:16],
        name=wanted.name,
        scopes=frozenset(wanted.scopes),
        projects=None if wanted.projects is None else frozenset(wanted.projects),
        created_at=now,
        expires_at=None if wanted.expires_in is None else now + wanted.expires_in,
        rate=wanted.rate,
    )

    def work(conn: Connection) -> None:
        add_key(conn, record, hash_key(key))
        add_audit(conn, [line_of(write, detail=f"key {record.key_id}: {record.name}")])

    await backend.store.write(work)
    return encode({**_to_document(record), "key": key})


async def list_all_keys(backend: Backend) -> bytes:
    """Return the records of all keys, oldest first."""
    return encode({"keys": [_to_document(record) for record in await backend.store.read(list_keys)]})


async def rotate(backend: Backend, write: WriteRequest, key_id: str, wanted: RotateRequest) -> bytes:
    """Return a new key that may do what the old one may; the old one goes on working for a while.

    Raises:
        RequestRefused: there is no such key, or it cannot be used any more.
    """
    now, key = time.time(), new_key()

    def work(conn: Connection) -> KeyRecord:
        old = find_key_by_id(conn, key_id)
        if old is None or not old.is_valid(now) or old.replaced_by is not None:
            raise RequestRefused("not_found", f"There is no key {key_id[:40]!r} that could be rotated.")
        lifetime = wanted.expires_in
        if lifetime is None and old.expires_at is not None:
            lifetime = old.expires_at - old.created_at
        expires_at = None if lifetime is None else now + lifetime
        new = replace(old, key_id=uuid4().hex[:16], created_at=now, expires_at=expires_at)
        replace_key(conn, old, new, hash_key(key), ends=now + wanted.overlap)
        add_audit(conn, [line_of(write, detail=f"key {old.key_id} to {new.key_id}")])
        return new

    record = await backend.store.write(work)
    backend.keys.forget()
    document = {**_to_document(record), "replaces": key_id, "oldKeyEndsAt": timestamp(now + wanted.overlap)}
    return encode({**document, "key": key})


async def revoke(backend: Backend, write: WriteRequest, key_id: str) -> None:
    """Make a key useless from now on.

    Raises:
        RequestRefused: there is no such key, or it is revoked.
    """

    def work(conn: Connection) -> bool:
        is_revoked = revoke_key(conn, key_id, now=time.time())
        if is_revoked:
            add_audit(conn, [line_of(write, detail=f"key {key_id}")])
        return is_revoked

    if not await backend.store.write(work):
        raise RequestRefused("not_found", f"There is no key {key_id[:40]!r} that could be revoked.")
    backend.keys.forget()


def _to_document(record: KeyRecord) -> dict[str, Any]:
    def moment(seconds: float | None) -> str | None:
        return None if seconds is None else timestamp(seconds)

    return {
        "keyId": record.key_id,
        "name": record.name,
        "scopes": sorted(record.scopes),
        "projects": None if record.projects is None else sorted(record.projects),
        "createdAt": timestamp(record.created_at),
        "expiresAt": moment(record.expires_at),
        "revokedAt": moment(record.revoked_at),
        "rate": record.rate,
        "replacedBy": record.replaced_by,
    }
