"""What the faces of the handler share: a backend, and callbacks that are told how each write ended."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from schemawire.errors import SchemawireError
from schemawire.handler.backend import Backend
from schemawire.handler.callbacks import Callbacks

T = TypeVar("T")


class Telling:
    """Runs writes and tells the registered callbacks of their outcome; `_backend` and `_callbacks` are set once."""

    _backend: Backend
    _callbacks: Callbacks

    async def _told(
        self, method: str, path: str, body: dict[str, Any] | None, project_id: str, send: Callable[[], Awaitable[T]]
    ) -> T:
        """Run `send`; call the success or the error callbacks with what came of it.

        *Cancelled:* no callback is called, since the outcome is unknown.
        """
        try:
            result = await send()
        except SchemawireError as error:
            await self._callbacks.error(error, method, self._backend.url(path), body)
            raise
        await self._callbacks.success(result, project_id)
        return result


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: what is not said is left to the backend's default."""
    return {name: value for name, value in fields.items() if value is not None}
