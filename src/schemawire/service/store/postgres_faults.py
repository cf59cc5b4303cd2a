"""What an error of PostgreSQL's or of its driver's means for the one who wrote or read; knows nothing of the work.

*Source:* PostgreSQL 15, appendix A, error codes.
"""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from schemawire.service.store.refusals import StoreUnavailable

_UNDONE = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: the whole transaction was undone, and the same work may well succeed now."""
_GONE = frozenset({"57P01", "57P02", "57P03", "08000", "08003", "08006"})
"""Shut down, crashed, starting up, connection lost."""
_UNFIT = frozenset({"25006"})
"""Read-only: a standby after a failover, or a read that tried to write."""
_REASONS = {
    "28": "it does not accept the user or the password",
    "3D": "there is no database of that name",
    "53": "it lacks disk space, memory or connections",
    "55": "a lock was not to be had in time",
    "57": "it stopped the work",
}
"""By class."""


def state_of(error: BaseException) -> str:
    """Return the database's own code for an error; empty where there is none."""
    original = getattr(error, "orig", error)
    return str(getattr(original, "sqlstate", None) or "")


def is_undone(error: BaseException) -> bool:
    """Tell whether the transaction was undone although the work is sound: for another one, or for a changed table."""
    changed = type(getattr(error, "orig", error)).__name__ == "InvalidCachedStatementError"  # it carries no code
    return changed or state_of(error) in _UNDONE


def is_standby(error: BaseException) -> bool:
    """Tell whether the other end takes no writes: after a failover the address may lead elsewhere by now."""
    return state_of(error) in _UNFIT


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone, as after a restart of the database."""
    if isinstance(error, DBAPIError) and (error.connection_invalidated or state_of(error) in _GONE):
        return True
    return isinstance(error, OSError)  # the driver's own connect raises it, and time-outs are among them


def is_unfit_value(error: BaseException) -> bool:
    """Tell whether the database, or its driver, cannot hold a value at all: a NUL in a text, a number too large."""
    if isinstance(error, DBAPIError) and isinstance(getattr(error.orig, "__cause__", None), ValueError | OverflowError):
        return True
    return state_of(error).startswith("22")


def is_fault(error: BaseException) -> bool:
    """Tell whether no waiting mends it: a statement is wrong, or breaks a promise of the tables."""
    return isinstance(error, IntegrityError | ProgrammingError | DataError) and state_of(error) not in _UNFIT


def unavailable(error: BaseException, what: str = "the database cannot do this") -> StoreUnavailable:
    """Return the store's own error for one that says "not now"; it holds no parameters and no address."""
    refusal = StoreUnavailable(f"{what}: {reason_of(error)}", retry_after=1.0)
    refusal.__cause__ = error
    return refusal


def reason_of(error: BaseException) -> str:
    """Return in a few words what the database said."""
    original = getattr(error, "orig", error)
    known = _REASONS.get(state_of(error)[:2])
    if isinstance(original, TimeoutError):
        return "it does not answer"
    said = str(original).partition("\n")[0].removeprefix("<class ").partition("'>: ")
    return ": ".join(part for part in (known, said[2] or said[0]) if part)[:300]


def is_of_the_database(error: BaseException) -> bool:
    """Tell whether an error comes from the database or the way to it, rather than from the work."""
    return isinstance(error, SQLAlchemyError | OSError)
