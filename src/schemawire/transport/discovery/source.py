"""The small protocol between the client and whatever knows where a service is; knows no client and no registry."""

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from schemawire.transport.discovery.place import Listing


@runtime_checkable
class Discovery(Protocol):
    """Knows the places of one service and tells when they change."""

    name: str
    """What events and errors call it: its kind and what it looks at, without secrets."""

    def watch(self) -> AsyncGenerator[Listing, None]:
        """Return an endless iterator of complete listings: the present one, then another whenever it may have changed.

        It may be begun again after it has raised or was closed, and it waits by itself between looks. Equal listings
        may follow each other.

        Raises:
            SchemawireError: the source cannot be reached or understood; whoever iterates keeps what was there before.

        *Cancelled:* every connection and file is closed.
        """
