"""What the process says to its caller when it ends; knows no command."""

from asyncio import CancelledError
from enum import IntEnum

from schemawire.errors import ConfigurationInvalid, Failed, Refused, Rejected, SchemaInvalid, SchemawireError


class ExitCode(IntEnum):
    """The exit codes of every command; the table in `docs/cli.md` is tested against this class."""

    OK = 0
    NOT_SO = 1
    """The command ran, and what it was asked about is not so: unhealthy, not proven, a part of the batch refused."""
    USAGE = 2
    """The command line or a file named on it is wrong; nothing was tried."""
    REJECTED = 3
    """The backend, or the rules it shares with this client, said no to the request."""
    UNREACHABLE = 4
    """The backend could not be reached, failed, or is spared by an open breaker; or a store cannot be opened."""
    CONFIGURATION = 5
    """A setting is missing or wrong, or a needed extra is not installed."""
    INTERNAL = 70
    """A fault of schemawire itself (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ended by Ctrl-C (128 + SIGINT, as shells count)."""
    TERMINATED = 143
    """Ended by SIGTERM or SIGHUP, after cleaning up (128 + SIGTERM)."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the code that a command ends with because of `error`."""
    match error:
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case CancelledError():
            return ExitCode.TERMINATED
        case ConfigurationInvalid():
            return ExitCode.CONFIGURATION
        case Rejected() | SchemaInvalid():
            return ExitCode.REJECTED
        case Failed() | Refused() | SchemawireError():
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.INTERNAL
