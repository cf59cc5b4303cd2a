"""Examples for the description: of what routes take in their paths and bodies, and of how they answer.

Every body here is accepted by a service that has the projects of `PROJECTS`; a test sends them all.
"""

from typing import Any

BLOG: dict[str, Any] = {
    "formatVersion": "1",
    "name": "blog",
    "description": "Posts and who writes them.",
    "entities": [
        {"name": "User", "fields": [{"name": "id", "type": "uuid", "primaryKey": True, "required": True}]},
        {
            "name": "Post",
            "fields": [
                {"name": "title", "type": "string", "required": True, "maxLength": 200},
                {"name": "status", "type": "enum", "enum": "PostStatus", "required": True, "default": "draft"},
            ],
        },
    ],
    "enums": [{"name": "PostStatus", "values": ["draft", "published"]}],
    "relationships": [
        {"name": "writes", "source": "User", "target": "Post", "sourceCardinality": "1", "targetCardinality": "0..*"}
    ],
    "rules": [],
}
CREATE_FIELD: dict[str, Any] = {
    "operation": "create_field",
    "data": {"entity": "Post", "name": "subtitle", "type": "string", "maxLength": 200},
}
CREATE_ENTITY: dict[str, Any] = {"operation": "create_entity", "data": {"name": "Tag"}}
DIGEST = "6d76a1f0c3b2e4d59f8871c2a4b6d8e0f1a3c5b7d9e2f4061728394a5b6c7d8e"
VERSION: dict[str, Any] = {
    "version": 3,
    "digest": DIGEST,
    "parent": "c0" * 32,
    "createdAt": "2026-11-22T23:05:28.666Z",
    "createdBy": "key:5f0c1a2b3c4d5e6f",
    "sessionId": "s-1",
    "message": "subtitles",
    "elementCount": 4,
}
CHANGE: dict[str, Any] = {
    "code": "field_max_length_changed",
    "pointer": "/entities/1/fields/0/maxLength",
    "path": "Post.title",
    "before": 200,
    "after": 100,
    "breaks": {
        "writers": "Programs made for the older version may write what does not fit any more: "
        "max length of field Post.title is 100, was 200.",
        "storedData": "Records stored under the older version may not fit any more: "
        "max length of field Post.title is 100, was 200.",
    },
}
STATUS: dict[str, Any] = {
    "operationId": "6b882584e308412db0c03064d040d11a",
    "projectId": "blog",
    "state": "succeeded",
    "kind": "batch",
    "progress": 1.0,
    "attempts": 1,
    "createdAt": "2026-11-22T23:05:28.666Z",
    "updatedAt": "2026-11-22T23:05:28.701Z",
    "finishedAt": "2026-11-22T23:05:28.701Z",
    "result": {"version": 3, "digest": DIGEST, "results": []},
    "error": None,
}
KEY: dict[str, Any] = {
    "keyId": "5f0c1a2b3c4d5e6f",
    "name": "ci",
    "scopes": ["write"],
    "projects": ["blog"],
    "createdAt": "2026-11-22T23:05:28.666Z",
    "expiresAt": None,
    "revokedAt": None,
    "rate": 50,
    "replacedBy": None,
}
SHOWN_KEY = "sw_… (shown once)"

PROJECTS = ("blog",)
PATH_EXAMPLES: dict[str, Any] = {
    "projectId": "blog",
    "version": 1,
    "operationId": "6b882584e308412db0c03064d040d11a",
    "keyId": "5f0c1a2b3c4d5e6f",
    "format": "json",
}
"""By name of a part of a path."""

BODY_EXAMPLES: dict[str, Any] = {
    "create": {
        "projectId": "library",
        "sessionId": "s-1",
        "domainSchema": {"name": "library", "entities": [{"name": "Book"}]},
    },
    "put": BLOG,
    "patch": CREATE_FIELD,
    "batch": {
        "projectId": "blog",
        "sessionId": "s-1",
        "operations": [CREATE_ENTITY],
        "atomic": True,
        "message": "tags",
    },
    "submit_operation": {"operations": [{"operation": "create_entity", "data": {"name": "Comment"}}]},
    "restore": {"version": 1, "message": "undo"},
    "compatibility": {
        "mode": "BACKWARD",
        "operations": [{"operation": "delete_entity", "data": {"name": "Post", "cascade": True}}],
    },
    "patch_settings": {"compatibility": "BACKWARD_TRANSITIVE"},
    "analyze": {"description": "A library has books. Each book has a title and belongs to one author."},
    "refine": {"sentence": "add a rating from 1 to 5 to posts", "sessionId": "s-1"},
    "undo": {"message": "not what was meant"},
    "create_key": {"name": "ci", "scopes": ["write"], "projects": ["blog"], "expiresIn": 86400, "rate": 50},
    "rotate_key": {"overlap": 3600},
}
"""By name of the handler: a body that it accepts."""

DATA_EXAMPLES: dict[str, Any] = {
    "list_all": {
        "projects": [
            {
                "projectId": "blog",
                "version": 3,
                "digest": DIGEST,
                "name": "blog",
                "updatedAt": "2026-11-22T23:05:28.751Z",
                "elementCount": 4,
                "deletedAt": None,
            }
        ],
        "next": None,
    },
    "create": {"changed": True, "created": True, **VERSION},
    "put": {"changed": True, "created": False, **VERSION},
    "patch": {"changed": True, "created": False, **VERSION},
    "upload": {"changed": True, "created": False, **VERSION},
    "restore": {"changed": True, "created": False, **VERSION},
    "read": BLOG,
    "read_version": BLOG,
    "delete": None,
    "purge_project": {"rowsDeleted": 27},
    "batch": [
        {
            "index": 0,
            "operation": "create_entity",
            "success": True,
            "changed": True,
            "kind": "entity",
            "key": "Tag",
            "version": 3,
            "error": None,
        }
    ],
    "list_versions": {"versions": [VERSION], "next": None},
    "diff": {
        "from": {**VERSION, "version": 2},
        "to": VERSION,
        "changes": [CHANGE],
        "compatibility": {"BACKWARD": False, "FORWARD": True, "FULL": False},
    },
    "compatibility": {
        "mode": "BACKWARD",
        "protects": ["storedData", "writers"],
        "compatible": False,
        "against": [
            {"version": 3, "compatible": False, "changes": [CHANGE], "reasons": [" ".join(CHANGE["breaks"].values())]}
        ],
    },
    "get_settings": {"compatibility": None, "effective": {"compatibility": "NONE"}},
    "patch_settings": {"compatibility": "BACKWARD_TRANSITIVE", "effective": {"compatibility": "BACKWARD_TRANSITIVE"}},
    "submit_operation": {
        **STATUS,
        "state": "queued",
        "progress": 0.0,
        "attempts": 0,
        "finishedAt": None,
        "result": None,
    },
    "retry_operation": {
        **STATUS,
        "state": "queued",
        "progress": 0.0,
        "attempts": 0,
        "finishedAt": None,
        "result": None,
    },
    "read_status": STATUS,
    "cancel_operation": {**STATUS, "state": "cancelled", "result": None},
    "list_operations": {"operations": [STATUS], "next": None},
    "list_keys": {"keys": [KEY]},
    "create_key": {**KEY, "key": SHOWN_KEY},
    "rotate_key": {**KEY, "replaces": "0a1b2c3d4e5f6071", "oldKeyEndsAt": "2026-11-23T00:05:28.666Z", "key": SHOWN_KEY},
    "revoke_key": None,
    "read_audit": {
        "lines": [
            {
                "lineId": "0006419e1d2c3b4a5f6e7d8c9b0a1f2e",
                "at": "2026-11-22T23:05:28.666Z",
                "principal": "admin",
                "action": "PUT /api/domain-schema/{projectId}",
                "projectId": "blog",
                "outcome": "done",
                "version": 3,
                "requestId": "4e47…",
                "address": "127.0.0.1",
                "client": None,
                "detail": None,
            }
        ],
        "next": None,
    },
    "analyze": {
        "schema": {"formatVersion": "1", "name": "library", "entities": [{"name": "Book"}]},
        "tier": "patterns",
        "warnings": [],
    },
    "refine": {
        "sessionId": "s-1",
        "kind": "change",
        "explanation": "Add rating to Post.",
        "applied": False,
        "operations": [
            {
                "operation": "create_field",
                "data": {"entity": "Post", "name": "rating", "type": "integer", "required": True, "min": 1, "max": 5},
            }
        ],
        "changes": [{"code": "field_added", "pointer": "/entities/0/fields/2", "path": "Post.rating"}],
        "choices": [],
        "tier": "patterns",
        "usage": None,
    },
    "read_conversation": {
        "sessionId": "s-1",
        "turns": [
            {
                "number": 1,
                "said": "add a rating from 1 to 5 to posts",
                "kind": "change",
                "explanation": "Add rating to Post.",
                "version": None,
                "createdAt": "2026-11-22T23:05:28.666Z",
                "createdBy": "admin",
            }
        ],
        "next": None,
    },
    "undo": {"undone": 3, "restored": 2, "version": 4},
}
"""By name of the handler: the `data` of a success."""


def reply_example(handler: str) -> dict[str, Any] | None:
    """Return a whole success of a handler, if there is an example."""
    if handler == "export":
        return BLOG  # the file itself, without an envelope
    if handler not in DATA_EXAMPLES:
        return None
    data = DATA_EXAMPLES[handler]
    names_version = handler in ("create", "put", "patch", "restore", "read", "read_version", "batch", "diff")
    return {
        "success": True,
        "message": "what happened, in words",
        "projectId": "blog",
        "version": 3 if names_version else None,
        "digest": DIGEST if names_version else None,
        "data": data,
    }
