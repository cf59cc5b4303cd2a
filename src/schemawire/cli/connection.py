"""The handler a command talks through, made from the settings and the command's own options."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from schemawire.cli.invocation import Invocation

if TYPE_CHECKING:
    from schemawire.analysis import Analyser, AnalysisOptions
    from schemawire.handler import DomainSchemaHandler


@asynccontextmanager
async def connected(
    call: Invocation, analysis: "AnalysisOptions | None" = None, analyser: "Analyser | None" = None
) -> "AsyncIterator[DomainSchemaHandler]":
    """Yield a handler for the backend that `call` points at, and close it afterwards.

    Raises:
        ConfigurationInvalid: a setting is out of range.
    """
    from schemawire.handler import DomainSchemaHandler

    async with DomainSchemaHandler(
        call.url, call.key, environment=call.env, analysis=analysis, analyser=analyser
    ) as handler:
        yield handler
