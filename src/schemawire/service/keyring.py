"""Who a key belongs to: the operator's key from the settings, and the stored ones, remembered for a moment."""

import time
from collections import OrderedDict
from functools import partial

from schemawire.service.access import Principal, hash_key, is_same_hash
from schemawire.service.refusals import RequestRefused
from schemawire.service.store.keys import find_key
from schemawire.service.store.records import KeyRecord
from schemawire.service.store.store import Store

MEMORY = 5.0
"""Seconds for which a key is not looked up again; a key revoked by another process works that much longer."""
MAX_REMEMBERED = 1_024

ADMIN = Principal(name="admin", scopes=frozenset({"admin"}))


class KeyRing:
    """Tells callers apart by the hashes of their keys.

    Invariant: `_remembered` holds only keys that the store knew when asked, the longest unused first.
    """

    def __init__(self, store: Store, admin_key: str | None) -> None:
        self._store = store
        self._admin_hash = None if admin_key is None else hash_key(admin_key)
        self._remembered: OrderedDict[bytes, tuple[float, KeyRecord]] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return who sends this `Authorization` header.

        Raises:
            RequestRefused: nobody we know.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise RequestRefused("unauthenticated", "The request carries no API key.")
        key_hash = hash_key(key.strip())
        if self._admin_hash is not None and is_same_hash(key_hash, self._admin_hash):
            return ADMIN
        record = await self._find(key_hash)
        if record is None or not record.is_valid(time.time()):
            raise RequestRefused("unauthenticated", "This API key is unknown, expired or revoked.")
        return Principal(
            name=f"key:{record.key_id}", scopes=record.scopes, projects=record.projects, rate=record.rate
        )  # fmt: skip

    def forget(self) -> None:
        """Look every key up again, because one has changed."""
        self._remembered.clear()

    async def _find(self, key_hash: bytes) -> KeyRecord | None:
        known = self._remembered.get(key_hash)
        if known is not None and time.monotonic() - known[0] < MEMORY:
            self._remembered.move_to_end(key_hash)
            return known[1]
        record = await self._store.read(partial(find_key, sha256=key_hash))
        if record is not None:
            self._remembered[key_hash] = (time.monotonic(), record)
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return record
