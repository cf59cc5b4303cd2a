"""API keys as an admin sees them: made, listed, revoked. Knows nothing of HTTP servers."""

import time
from functools import partial
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field, StrictFloat, StrictInt, StrictStr

from schemawire.protocol.messages import ProjectId, RequestBody
from schemawire.service.access import Scope, hash_key, new_key
from schemawire.service.backend import Backend
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import encode
from schemawire.service.store import KeyRecord, add_key, list_keys, revoke_key, timestamp


class KeyRequest(RequestBody):
    """A key to make."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=3)]
    projects: Annotated[tuple[ProjectId, ...], Field(max_length=1_000)] | None = None
    """The only projects that it may touch; every project if not given."""
    expires_in: Annotated[StrictInt | StrictFloat, Field(gt=0, le=10 * 366 * 86_400)] | None = None
    """Seconds; for ever if not given."""


async def make_key(backend: Backend, wanted: KeyRequest) -> bytes:
    """Return a new key's record with the key itself, which is kept nowhere."""
    now, key = time.time(), new_key()
    record = KeyRecord(
        key_id=uuid4().hex[:16],
        name=wanted.name,
        scopes=frozenset(wanted.scopes),
        projects=None if wanted.projects is None else frozenset(wanted.projects),
        created_at=now,
        expires_at=None if wanted.expires_in is None else now + wanted.expires_in,
    )
    await backend.store.write(partial(add_key, record=record, sha256=hash_key(key)))
    return encode({**_to_document(record), "key": key})


async def list_all_keys(backend: Backend) -> bytes:
    """Return the records of all keys, oldest first."""
    return encode({"keys": [_to_document(record) for record in await backend.store.read(list_keys)]})


async def revoke(backend: Backend, key_id: str) -> None:
    """Make a key useless from now on.

    Raises:
        RequestRefused: there is no such key, or it is revoked.
    """
    if not await backend.store.write(partial(revoke_key, key_id=key_id, now=time.time())):
        raise RequestRefused("not_found", f"There is no key {key_id[:40]!r} that could be revoked.")
    backend.keys.forget()


def _to_document(record: KeyRecord) -> dict[str, Any]:
    return {
        "keyId": record.key_id,
        "name": record.name,
        "scopes": sorted(record.scopes),
        "projects": None if record.projects is None else sorted(record.projects),
        "createdAt": timestamp(record.created_at),
        "expiresAt": None if record.expires_at is None else timestamp(record.expires_at),
        "revokedAt": None if record.revoked_at is None else timestamp(record.revoked_at),
    }
