"""The HTTP interface, one file per resource; each handler reads the request, calls a use case and answers."""

from schemawire.service.routes import (
    analyze,
    batch,
    description,
    docs,
    events,
    health,
    keys,
    metrics,
    operations,
    projects,
    refine,
    registry,
    stream,
    versions,
)

ROUTERS = (
    # Fixed paths come first: `/metrics` must not be taken for a project.
    health.router,
    metrics.router,
    description.router,
    docs.router,
    batch.router,
    operations.router,
    keys.router,
    projects.router,
    stream.router,
    events.router,
    versions.router,
    registry.router,
    analyze.router,
    refine.router,
)
"""Every route of the service, in the order in which they are tried."""

__all__ = ["ROUTERS"]
