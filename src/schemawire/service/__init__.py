"""The backend: HTTP in front of a durable store, with operations that outlive the process."""

from schemawire.service.app import build_app, build_backend, create_app
from schemawire.service.backend import Backend
from schemawire.service.server import serve

__all__ = ["Backend", "build_app", "build_backend", "create_app", "serve"]
