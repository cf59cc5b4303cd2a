"""The reading face of the handler: schemas, lists, history, comparison, export."""

from typing import Any

from schemawire.errors import BadReply, NotFound
from schemawire.handler.backend import Backend, read_object
from schemawire.handler.results import StoredSchema
from schemawire.handler.telling import without_none
from schemawire.protocol import paths
from schemawire.protocol.messages import ProjectPage, Reply, VersionRecord


class Reading:
    """Methods that change nothing, and so may be sent as often as it takes."""

    _backend: Backend

    async def get_schema(self, project_id: str, *, version: int | None = None) -> StoredSchema:
        """Return a project's schema, the newest version if none is named.

        Raises:
            NotFound: there is no such project or version.
        """
        path = paths.project(project_id) if version is None else paths.version(project_id, version)
        reply = (await self._backend.read(path)).read(Reply)
        if not isinstance(reply.data, dict) or reply.version is None or reply.digest is None:
            raise BadReply(f"The reply of {path} holds no schema.")
        return StoredSchema(project_id=project_id, version=reply.version, digest=reply.digest, document=reply.data)

    async def get_entity(self, project_id: str, name: str) -> dict[str, Any]:
        """Return one entity of the newest version.

        Raises:
            NotFound: there is no such project, or no such entity in it.
        """
        document = (await self.get_schema(project_id)).document
        found: dict[str, Any] | None = next((entity for entity in document["entities"] if entity["name"] == name), None)
        if found is None:
            known = ", ".join(sorted(entity["name"] for entity in document["entities"])[:20]) or "none"
            raise NotFound(f"Project {project_id!r} has no entity {name!r}.", fix=f"Its entities: {known}.", status=404)
        return found

    async def list_projects(
        self, *, limit: int | None = None, after: str | None = None, deleted: bool = False
    ) -> ProjectPage:
        """Return projects in the order of their ids; give `page.next` as `after` to go on.

        Args:
            limit: projects per page; the backend's default if not given.
            after: the cursor of an earlier page.
            deleted: the deleted projects, which a restore brings back, in place of the others.
        """
        given = {"limit": limit, "after": after, "deleted": "true" if deleted else None}
        params = {name: str(value) for name, value in without_none(given).items()}
        reply = (await self._backend.read(paths.API_ROOT, params)).read(Reply)
        return ProjectPage.model_validate(reply.data)

    async def versions(self, project_id: str) -> tuple[VersionRecord, ...]:
        """Return a project's versions, the newest first.

        Raises:
            NotFound: there is no such project.
        """
        reply = (await self._backend.read(paths.versions(project_id))).read(Reply)
        return tuple(VersionRecord.model_validate(row) for row in _listed(reply, "versions"))

    async def diff(self, project_id: str, old: int, new: int) -> list[dict[str, Any]]:
        """Return what changed between two versions: code, pointer, and both sides of each difference.

        Raises:
            NotFound: there is no such project or version.
        """
        reply = (await self._backend.read(paths.diff(project_id), {"from": str(old), "to": str(new)})).read(Reply)
        return [dict(change) for change in _listed(reply, "changes")]

    async def export(self, project_id: str, export_format: str = "json") -> str:
        """Return a project's newest schema as text in another format.

        Raises:
            NotFound: there is no such project or format.
        """
        return (await self._backend.read(paths.export(project_id, export_format))).response.text()

    async def get_metrics(
        self, *, window: int | None = None, step: int | None = None, metric: str | None = None
    ) -> dict[str, Any]:
        """Return the service's metrics, and under `client` those of this handler.

        `metrics["service"]["totalRequests"]` and `["successfulRequests"]` count requests since the service started;
        `metrics["history"]["lines"]` holds what they were over time, each line a list of times and values.

        Args:
            window: seconds of history, an hour if not given; 0 for none.
            step: seconds of each point; a sixtieth of the window if not given.
            metric: every series of this metric in place of the usual lines.

        Raises:
            BadReply: the reply holds no service metrics.
            Rejected: window, step or metric make no sense.
        """
        wanted = without_none({"window": window, "step": step, "metric": metric})
        params = {name: str(value) for name, value in wanted.items()}
        found = read_object(await self._backend.read(paths.METRICS, params))
        metrics: dict[str, Any] = found.get("data", found)
        if not isinstance(metrics.get("service"), dict):
            raise BadReply("The reply holds no service metrics.")
        return {**metrics, "client": self._backend.statistics()}


def _listed(reply: Reply, name: str) -> list[Any]:
    found = reply.data.get(name) if isinstance(reply.data, dict) else None
    if not isinstance(found, list):
        raise BadReply(f"The reply holds no list of {name}.")
    return found
