"""What goes into the audit log: a line with each change, in its transaction; and refused attempts, a moment later.

Refused attempts are written in groups, and more than a group holds are counted only: whoever hammers at the door must
not make the service write as fast as it hammers. Knows nothing of HTTP servers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from schemawire.protocol import headers as names
from schemawire.service.access import ANONYMOUS
from schemawire.service.context import RequestContext
from schemawire.service.logs import log
from schemawire.service.store.audit import AuditLine, add_audit, list_audit, new_line_id
from schemawire.service.store.records import timestamp
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store
from schemawire.service.write_request import WriteRequest

DONE = "done"
MAX_PENDING = 1_000
"""Refused attempts that wait to be written; further ones are counted."""
FLUSH_INTERVAL = 0.5
"""Seconds between two groups."""


def line_of(write: WriteRequest, *, version: int | None = None, detail: str | None = None) -> AuditLine:
    """Return the line about a write that was done."""
    now = time.time()
    return AuditLine(
        line_id=new_line_id(now),
        at=now,
        principal=write.principal,
        action=write.route,
        project_id=write.project_id or None,
        outcome=DONE,
        version=version,
        request_id=write.trail.request_id,
        address=write.trail.address,
        client=write.trail.client,
        detail=detail,
    )


class AuditTrail:
    """Refused attempts on their way into the log.

    Invariants: `_pending` holds at most `MAX_PENDING` lines; those that found no room are counted in `_dropped`.
    `_strangers` holds, by address, the first attempt without a valid key since the last group was written, and how many
    there were: whoever guesses keys fills one line a group.
    """

    def __init__(self) -> None:
        self._pending: deque[AuditLine] = deque()
        self._strangers: dict[str | None, tuple[AuditLine, int]] = {}
        self._dropped = 0

    def note_end(self, scope: Mapping[str, Any], context: RequestContext, status: int) -> None:
        """Note how a request ended, if it was an attempt to change something, or to get in, and was refused."""
        is_intruder = status in (401, 403)
        if status < 400 or not (is_intruder or context.is_audited):
            return
        if len(self._pending) + len(self._strangers) >= MAX_PENDING:
            self._dropped += 1
        elif context.principal is not ANONYMOUS:
            self._pending.append(_attempt(scope, context, status))
        else:
            address = _address(scope)
            line, count = self._strangers.get(address) or (_attempt(scope, context, status), 0)
            self._strangers[address] = (line, count + 1)

    async def flush(self, store: Store) -> None:
        """Write what is pending.

        Raises:
            StoreError: the store does not take it; it stays pending.
        """
        dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("refused attempts were not audited one by one", count=dropped)
        for line, count in self._strangers.values():
            self._pending.append(line if count == 1 else replace(line, detail=f"{count} attempts"))
        self._strangers.clear()
        lines = list(self._pending)
        if lines:
            await store.write(partial(add_audit, lines=lines))
            for _ in lines:
                self._pending.popleft()

    async def keep_flushing(self, store: Store) -> None:
        """Write what is pending again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            try:
                await self.flush(store)
            except StoreError as error:
                log.warning("the audit log could not be written", code=error.code)


def _attempt(scope: Mapping[str, Any], context: RequestContext, status: int) -> AuditLine:
    now = time.time()
    project_id = (scope.get("path_params") or {}).get("projectId")
    return AuditLine(
        line_id=new_line_id(now),
        at=now,
        principal=context.principal.name,
        action=context.route if context.route != "unmatched" else f"{scope['method'][:20]} (not looked at)",
        project_id=None if project_id is None else project_id[:128].replace("\0", ""),
        outcome=context.outcome or str(status),
        request_id=context.request_id,
        address=_address(scope),
        client=context.label(names.CLIENT),
    )


def _address(scope: Mapping[str, Any]) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])[:100]


async def page_of_lines(
    store: Store, *, before: str | None, limit: int, project_id: str | None, principal: str | None
) -> dict[str, Any]:
    """Return lines of the audit log, newest first; `next` is the `before` of the following page."""
    select = partial(list_audit, before=before, limit=limit, project_id=project_id, principal=principal)
    lines = await store.read(select)
    return {"lines": [_to_document(line) for line in lines], "next": lines[-1].line_id if len(lines) == limit else None}


def _to_document(line: AuditLine) -> dict[str, Any]:
    return {
        "lineId": line.line_id,
        "at": timestamp(line.at),
        "principal": line.principal,
        "action": line.action,
        "projectId": line.project_id,
        "outcome": line.outcome,
        "version": line.version,
        "requestId": line.request_id,
        "address": line.address,
        "client": line.client,
        "detail": line.detail,
    }
