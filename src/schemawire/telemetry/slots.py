"""Numbers for processes that share a name on one machine, so that each has files and labels of its own."""

import os
from pathlib import Path

from schemawire.errors import Failed

MOST = 1000


class Slot:
    """A number that no other process has, from 0, until it is released or the process ends, however it ends."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the number back. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def take_slot(base: Path) -> Slot:
    """Return the lowest free number; the same processes get the same ones after every start.

    Args:
        base: begins the names of the lock files; its folder is made where it is missing.

    Raises:
        Failed: no file can be made there, or every number is taken.
    """
    import fcntl  # not on Windows, where a client's metrics must work all the same

    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        for number in range(MOST):
            descriptor = os.open(f"{base}.slot{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return Slot(number, descriptor)
    except OSError as error:
        raise Failed(f"No file can be made in {str(base.parent)!r}: {error.strerror}") from error
    raise Failed(f"All {MOST} places at {base.name!r} are taken.")
