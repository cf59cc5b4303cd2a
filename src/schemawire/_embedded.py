"""The handler and the real service joined in one process, without a socket; the same code on both sides of the wire."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from schemawire.errors import ConfigurationInvalid
from schemawire.handler import DomainSchemaHandler
from schemawire.transport.wires.inprocess import InProcessWire

_ADDRESS = "http://embedded.localhost"


@asynccontextmanager
async def embedded(database: Path | str = "schemas.db", **options: Any) -> AsyncIterator[DomainSchemaHandler]:
    """Open a store and yield a handler that is connected to it.

    Args:
        database: the SQLite file, created when missing; one process at a time may have it open.
        options: for `DomainSchemaHandler`, apart from the address, the key and the wire.

    Raises:
        ConfigurationInvalid: the server extra is not installed.
        ConnectFailed: the store cannot be opened; the message says why.

    *Cancelled:* the store is closed; what was acknowledged is in it.
    """
    key = secrets.token_urlsafe(32)
    wire = InProcessWire(_service(Path(database), key))
    handler = DomainSchemaHandler(_ADDRESS, key, wire=wire, **options)
    try:
        await wire.start()
        yield handler
    finally:
        await handler.aclose()


def _service(database: Path, key: str) -> Any:
    try:
        from schemawire.service.app import create_app
        from schemawire.settings.service import ServiceSettings
    except ModuleNotFoundError as error:
        raise ConfigurationInvalid(
            f"The service needs {error.name}, which is not installed.", fix='Run: pip install "schemawire[server]"'
        ) from error
    return create_app(
        ServiceSettings(database_url=f"sqlite:///{database.absolute()}", admin_key=key, metrics_store="off")
    )
