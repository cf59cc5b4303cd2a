"""What the `data` of each success holds, and which request leads on from it: for the description."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from schemawire.protocol.messages import ConversationPage, OperationResult, OperationStatus, ProjectPage, VersionRecord
from schemawire.service.document_schemas import REFERENCE


class _Record(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class WrittenRecord(VersionRecord):
    """What a write did: the version that is now the newest, and whether this write made it."""

    changed: bool
    created: bool


class VersionPage(_Record):
    """Versions, newest first; `next` continues the list."""

    versions: tuple[VersionRecord, ...]
    next: int | None


class ChangeRecord(_Record):
    """One thing that differs, and whom it breaks."""

    code: str
    pointer: str
    path: str
    before: Any
    after: Any
    breaks: dict[str, str]
    """By party (readers, writers, storedData): why."""


class DiffRecord(_Record):
    """What changed between two versions, and which modes would allow the step."""

    changes: tuple[ChangeRecord, ...]
    compatibility: dict[str, bool]


class AgainstRecord(_Record):
    """What a mode says about the step from one version."""

    version: int
    compatible: bool
    changes: tuple[ChangeRecord, ...]
    reasons: tuple[str, ...]


class VerdictRecord(_Record):
    """Whether a change would be compatible."""

    mode: str
    protects: tuple[str, ...]
    compatible: bool
    against: tuple[AgainstRecord, ...]


class EffectiveSettings(_Record):
    """What is in force."""

    compatibility: str


class SettingsRecord(_Record):
    """A project's settings."""

    compatibility: str | None
    effective: EffectiveSettings


class OperationPage(_Record):
    """Operations, newest first; `next` continues the list."""

    operations: tuple[OperationStatus, ...]
    next: str | None


class KeyRecord(_Record):
    """An API key, without the key itself."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    rate: float | None
    replaced_by: str | None


class NewKeyRecord(KeyRecord):
    """A new API key; it is shown this one time."""

    key: str


class KeyList(_Record):
    """All keys, oldest first."""

    keys: tuple[KeyRecord, ...]


class AuditRecord(_Record):
    """One line of the audit log."""

    line_id: str
    at: str
    principal: str
    action: str
    project_id: str | None
    outcome: str
    version: int | None
    request_id: str
    address: str | None
    client: str | None
    detail: str | None


class AuditPage(_Record):
    """Lines of the audit log, newest first; `next` continues the list."""

    lines: tuple[AuditRecord, ...]
    next: str | None


_MODELS: dict[str, type[BaseModel]] = {
    "list_all": ProjectPage, "create": WrittenRecord, "put": WrittenRecord, "patch": WrittenRecord,
    "restore": WrittenRecord, "upload": WrittenRecord, "list_versions": VersionPage, "diff": DiffRecord,
    "compatibility": VerdictRecord, "get_settings": SettingsRecord, "patch_settings": SettingsRecord,
    "submit_operation": OperationStatus, "retry_operation": OperationStatus, "read_status": OperationStatus,
    "cancel_operation": OperationStatus, "list_operations": OperationPage, "list_keys": KeyList,
    "create_key": NewKeyRecord, "rotate_key": NewKeyRecord, "read_audit": AuditPage,
    "read_conversation": ConversationPage,
}  # fmt: skip
"""By name of the handler."""
_OPERATION = {"operationId": "$response.body#/data/operationId"}
_KEY = {"keyId": "$response.body#/data/keyId"}
_PROJECT = {"projectId": "$response.body#/projectId"}
LINKS: dict[str, dict[str, Any]] = {
    "submit_operation": {
        "status": {"operationId": "read_status", "parameters": _OPERATION},
        "events": {"operationId": "follow_one_operation", "parameters": _OPERATION},
        "cancel": {"operationId": "cancel_operation", "parameters": _OPERATION},
    },
    "create_key": {
        "rotate": {"operationId": "rotate_key", "parameters": _KEY},
        "revoke": {"operationId": "revoke_key", "parameters": _KEY},
    },
    "create": {
        "read": {"operationId": "read", "parameters": _PROJECT},
        "versions": {"operationId": "list_versions", "parameters": _PROJECT},
        "delete": {"operationId": "delete", "parameters": _PROJECT},
    },
}
"""By name of the handler: what can be done with what it answers."""


def answer_schemas() -> dict[str, Any]:
    """Return the schemas of all records by name."""
    wanted = [(model, "serialization") for model in {*_MODELS.values(), OperationResult}]
    _, made = models_json_schema(wanted, ref_template=REFERENCE)  # type: ignore[arg-type]  # the mode is a literal
    schemas: dict[str, Any] = made["$defs"]
    return schemas


def data_schema(handler: str) -> dict[str, Any] | None:
    """Return the schema of the `data` that a handler answers with, if it is known."""
    if handler in _MODELS:
        return {"$ref": REFERENCE.format(model=_MODELS[handler].__name__)}
    if handler == "batch":
        return {"type": "array", "items": {"$ref": REFERENCE.format(model=OperationResult.__name__)}}
    return {"type": "null"} if handler in ("delete", "revoke_key") else None
