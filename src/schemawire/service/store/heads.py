"""The newest documents of projects, kept in memory; right only where one process does all the writing.

A read that misses takes a ticket first, and what it found is kept only if the project was not written in between. The
writer forgets what a transaction touched after its commit and before anybody hears of it. So whoever has been told of
a write never reads what was before it. Knows nothing of SQL, nor of requests.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import Connection

from schemawire.service.store.records import StoredDocument

_TOUCHED = "schemawire.touched"

Ticket = object
"""Stands for one reading of one project."""


class HeadMemory:
    """Remembers whole documents up to a number of bytes, and forgets the longest unused first.

    Invariants: `_size_bytes` is the sum of the bodies kept; `_tickets` holds a project's newest ticket, and only while
    nothing was written to it since the ticket was given.

    Args:
        max_bytes: of all bodies together.
        max_document_bytes: a larger body is not kept, so that one project does not push out all others.
    """

    def __init__(self, *, max_bytes: int = 16_000_000, max_document_bytes: int = 2_000_000) -> None:
        self._max_bytes = max_bytes
        self._max_document_bytes = max_document_bytes
        self._documents: OrderedDict[str, StoredDocument] = OrderedDict()
        self._size_bytes = 0
        self._tickets: dict[str, Ticket] = {}
        self._gate = threading.Lock()  # the writer's thread forgets

    @property
    def size_bytes(self) -> int:
        """The size of everything that is kept."""
        return self._size_bytes

    def find(self, project_id: str) -> StoredDocument | None:
        """Return the newest document of a project, if it is kept."""
        with self._gate:
            found = self._documents.get(project_id)
            if found is not None:
                self._documents.move_to_end(project_id)
            return found

    def begin(self, project_id: str) -> Ticket:
        """Return the ticket with which what is read from now on may be kept."""
        with self._gate:
            ticket = self._tickets[project_id] = object()
            return ticket

    def keep(self, ticket: Ticket, document: StoredDocument | None, project_id: str) -> None:
        """Keep what was read with a ticket, unless it may be out of date by now; `None` gives the ticket back."""
        with self._gate:
            if self._tickets.get(project_id) is not ticket:
                return
            del self._tickets[project_id]
            if document is None or len(document.body) > self._max_document_bytes:
                return
            self._drop(project_id)
            self._documents[project_id] = document
            self._size_bytes += len(document.body)
            while self._size_bytes > self._max_bytes:
                self._drop(next(iter(self._documents)))

    def forget(self, project_ids: Iterable[str]) -> None:
        """Forget projects that were written, and void the tickets of those who read them now."""
        with self._gate:
            for project_id in project_ids:
                self._tickets.pop(project_id, None)
                self._drop(project_id)

    def _drop(self, project_id: str) -> None:
        dropped = self._documents.pop(project_id, None)
        self._size_bytes -= 0 if dropped is None else len(dropped.body)


def note_touched(conn: Connection, project_id: str) -> None:
    """Note that the transaction on this connection changes what a project's newest document is."""
    conn.info.setdefault(_TOUCHED, set()).add(project_id)


def take_touched(conn: Connection) -> set[str]:
    """Return the projects noted since this was last asked."""
    touched: set[str] = conn.info.pop(_TOUCHED, set())
    return touched
