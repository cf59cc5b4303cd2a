"""Who may do what: scopes, grants and new keys; knows nothing of requests, and never keeps a key, only its hash."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

from schemawire.service.refusals import RequestRefused

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
"""Each scope includes the ones before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody with a key."""

    name: str
    scopes: frozenset[str]
    projects: frozenset[str] | None = None
    """The only projects that the key may touch; `None` means every project."""
    rate: float | None = None
    """Requests per second that it may send; `None` as the settings say."""

    def require(self, scope: Scope) -> None:
        """Refuse unless the key has this scope or a higher one.

        Raises:
            RequestRefused: it has not.
        """
        if self.scopes.isdisjoint(SCOPES[SCOPES.index(scope) :]):
            raise RequestRefused("forbidden", f"This key lacks the scope {scope!r}.")

    def require_project(self, project_id: str) -> None:
        """Refuse unless the key may touch this project.

        Raises:
            RequestRefused: it may not.
        """
        if self.projects is not None and project_id not in self.projects:
            raise RequestRefused("forbidden", f"This key has no grant for the project {project_id[:128]!r}.")

    def require_everywhere(self) -> None:
        """Refuse a key that may touch some projects only, where what it asks for concerns them all.

        Raises:
            RequestRefused: it is such a key; or else it could give itself the projects that it was not granted.
        """
        if self.projects is not None:
            raise RequestRefused("forbidden", "This key is for some projects only, and this concerns all of them.")


ANONYMOUS = Principal(name="anonymous", scopes=frozenset())


def new_key() -> str:
    """Return a new random API key of 256 bits; it is shown once, and only its hash is kept."""
    return f"sw_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> bytes:
    """Return the SHA-256 of a key; 256 random bits need neither salt nor stretching: nobody can guess them."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def is_same_hash(one: bytes, other: bytes) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(one, other)
