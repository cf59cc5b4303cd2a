"""What the `async with` blocks of one policy hold while they are entered, by task; knows no policy."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Blocks(Generic[T]):
    """Keeps one value for each block, so that one policy serves many tasks, and a block within its own block.

    Args:
        name: what the message calls the policy.
    """

    __slots__ = ("_held", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._held: dict[asyncio.Task[object] | None, list[T]] = {}

    def enter(self, held: T) -> None:
        """Keep `held` until the present task leaves the block that it enters now."""
        self._held.setdefault(asyncio.current_task(), []).append(held)

    def leave(self) -> T:
        """Return what the innermost block of the present task holds.

        Raises:
            RuntimeError: this task has not entered one.
        """
        task = asyncio.current_task()
        entered = self._held.get(task)
        if entered is None:
            raise RuntimeError(f"{self._name!r} was entered in another task; leave it in the same one")
        held = entered.pop()
        if not entered:
            del self._held[task]
        return held
