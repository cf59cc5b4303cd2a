"""Who waits for projects to change: one look at the store for all of them, so that a thousand listeners cost one query.

Looking, rather than being told, is what hears of writes by other processes too. Knows nothing of what listeners do.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import Connection, select

from schemawire.service.logs import log
from schemawire.service.refusals import RequestRefused
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store
from schemawire.service.store.tables import projects

INTERVAL = 0.25
"""Seconds between two looks."""
MAX_LISTENERS = 1_000
_IDS_PER_QUERY = 400

State = tuple[int, bool]
"""The newest version of a project, and whether it was deleted."""
GONE: State = (0, True)


class ChangeFeeds:
    """What the newest version of every project is that somebody listens to.

    Invariants: `_listeners` counts those who are inside `listening`; a task looks exactly while there are any;
    `_states` holds what the last look found, for listened projects alone.
    """

    def __init__(self, store: Store, *, interval: float = INTERVAL, max_listeners: int = MAX_LISTENERS) -> None:
        self._store = store
        self._interval = interval
        self._max_listeners = max_listeners
        self._listeners: Counter[str] = Counter()
        self._states: dict[str, State] = {}
        self._looked = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def listener_count(self) -> int:
        """How many listen now, to projects and operations."""
        return self._listeners.total()

    @asynccontextmanager
    async def listening(self, topic: str, *, is_project: bool = True) -> AsyncIterator[None]:
        """Count as a listener while the block lasts.

        Raises:
            RequestRefused: there are too many listeners.
        """
        if self.listener_count >= self._max_listeners:
            raise RequestRefused("overloaded", "Too many callers listen to events.", retry_after=5.0)
        key = topic if is_project else f"~{topic}"
        self._listeners[key] += 1
        try:
            if is_project and self._task is None:
                self._task = asyncio.create_task(self._keep_looking(), name="schemawire-feeds")
            yield
        finally:
            self._listeners[key] -= 1
            if not self._listeners[key]:
                del self._listeners[key]
                self._states.pop(key, None)

    async def changed(self, project_id: str, known: State, *, within: float) -> State | None:
        """Return the state of a project once it is another than the known one; `None` if it is not in time."""
        try:
            async with asyncio.timeout(within), self._looked:
                await self._looked.wait_for(lambda: self._states.get(project_id, known) != known)
                return self._states.get(project_id, known)
        except TimeoutError:
            return None

    async def _keep_looking(self) -> None:
        try:
            while self._projects():
                try:
                    await self._look()
                except StoreError as error:
                    log.warning("change feeds see nothing", code=error.code, reason=error.message)
                await asyncio.sleep(self._interval)
        finally:
            self._task = None

    def _projects(self) -> list[str]:
        return [key for key in self._listeners if not key.startswith("~")]

    async def _look(self) -> None:
        wanted = self._projects()
        found: dict[str, State] = dict.fromkeys(wanted, GONE)
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            found |= await self._store.read(partial(_states_of, ids=wanted[start : start + _IDS_PER_QUERY]))
        async with self._looked:
            self._states = {key: state for key, state in found.items() if key in self._listeners}
            self._looked.notify_all()

    async def aclose(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _states_of(conn: Connection, ids: Iterable[str]) -> dict[str, State]:
    query = select(projects.c.project_id, projects.c.version, projects.c.deleted_at)
    rows = conn.execute(query.where(projects.c.project_id.in_(list(ids))))
    return {row.project_id: (row.version, row.deleted_at is not None) for row in rows}
