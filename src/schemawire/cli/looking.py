"""`health` and `metrics`: how the backend is; changes nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.invocation import Invocation, command

LONGEST_LIST = 8
"""Entries up to which a list is shown; the history of the metrics is longer and for `--json`."""


@command(app, "health", backend=True)
async def health(call: Invocation) -> ExitCode:
    """Ask the backend how it is.

    Exit code 1 when it is not healthy, 4 when it cannot be reached.
    """
    async with connected(call) as handler:
        status = await handler.health_check()
    if call.as_json:
        call.screen.document(_health_document(status))
    else:
        style = "green" if status.is_healthy else "red"
        call.screen.line(f"{status.status}  in {status.response_time:.3f} s  {status.detail}".rstrip(), style=style)
        rows = [(part.name, "yes" if part.healthy else "no", part.detail) for part in status.dependencies]
        if rows:
            call.screen.show(call.screen.table("needs", ("dependency", "healthy", "detail"), rows))
    if status.is_healthy:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if status.status == "unreachable" else ExitCode.NOT_SO


def _health_document(status: Any) -> dict[str, Any]:
    return {
        "isHealthy": status.is_healthy,
        "status": status.status,
        "responseTime": status.response_time,
        "detail": status.detail,
        "serviceVersion": status.service_version,
        "storeId": status.store_id,
        "dependencies": [part.model_dump(mode="json", by_alias=True) for part in status.dependencies],
    }


@command(app, "metrics", backend=True)
async def metrics(call: Invocation) -> None:
    """Show the request counts and latencies of the backend."""
    async with connected(call) as handler:
        found = await handler.get_metrics()
    if call.as_json:
        call.screen.document(found)
        return
    call.screen.show(call.screen.table("metrics", ("name", "value"), flattened(found)))


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | int | float]]:
    """Yield every leaf of nested objects as a dotted name and its value; of long lists only the length."""
    for name, member in value.items():
        path = f"{prefix}{name}"
        match member:
            case Mapping():
                yield from flattened(member, f"{path}.")
            case list() | tuple() if len(member) <= LONGEST_LIST:
                yield from flattened({str(position): entry for position, entry in enumerate(member)}, f"{path}.")
            case list() | tuple():
                yield f"{path} (entries)", len(member)
            case float():
                yield path, round(member, 6)
            case _:
                yield path, member if isinstance(member, str | int) else str(member)
