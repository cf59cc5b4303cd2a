"""The paths of the HTTP interface and the rule for project ids; both ends build and match them here."""

import re
from urllib.parse import quote

API_ROOT = "/api/domain-schema"
HEALTH = "/health"
HEALTH_LIVE = "/health/live"
HEALTH_READY = "/health/ready"
HEALTH_STARTUP = "/health/startup"
DOCS = "/docs"
PROMETHEUS_METRICS = "/metrics"
METRICS = f"{API_ROOT}/metrics"
BATCH = f"{API_ROOT}/batch"
OPERATIONS = f"{API_ROOT}/operations"

RESERVED_PROJECT_IDS = frozenset({"batch", "metrics", "operations", "keys", "settings"})
_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

PROJECT_ID_FIX = (
    "Start with a letter or digit, then use letters, digits, '.', '_' and '-', 128 characters at most; "
    f"not one of {', '.join(sorted(RESERVED_PROJECT_IDS))}."
)


def is_project_id(text: str) -> bool:
    """Tell whether `text` may name a project; reserved words are refused whatever their case."""
    return _PROJECT_ID.fullmatch(text) is not None and text.lower() not in RESERVED_PROJECT_IDS


def check_project_id(text: str) -> str:
    """Return `text` if it may name a project.

    Raises:
        ValueError: it may not; the message says what is allowed.
    """
    if not is_project_id(text):
        raise ValueError(f"{text[:40]!r} is not a project id. {PROJECT_ID_FIX}")
    return text


def project(project_id: str) -> str:
    """Return the path of a project's whole schema."""
    return f"{API_ROOT}/{quote(check_project_id(project_id), safe='')}"


def stream(project_id: str) -> str:
    """Return the path of a project's element stream."""
    return f"{project(project_id)}/stream"


def events(project_id: str) -> str:
    """Return the path of a project's live change feed."""
    return f"{project(project_id)}/events"


def submit(project_id: str) -> str:
    """Return the path that takes asynchronous operations."""
    return f"{project(project_id)}/async"


def versions(project_id: str) -> str:
    """Return the path of a project's list of versions."""
    return f"{project(project_id)}/versions"


def version(project_id: str, number: int) -> str:
    """Return the path of one version of a project's schema."""
    return f"{versions(project_id)}/{number}"


def diff(project_id: str) -> str:
    """Return the path that compares two versions."""
    return f"{project(project_id)}/diff"


def restore(project_id: str) -> str:
    """Return the path that makes an old version the newest again."""
    return f"{project(project_id)}/restore"


def export(project_id: str, export_format: str) -> str:
    """Return the path of a project's schema in another format."""
    return f"{project(project_id)}/export/{quote(export_format, safe='')}"


def analyze(project_id: str) -> str:
    """Return the path that turns words into a draft without storing it."""
    return f"{project(project_id)}/analyze"


def refine(project_id: str) -> str:
    """Return the path of the conversation about a project's schema."""
    return f"{project(project_id)}/refine"


def undo(project_id: str) -> str:
    """Return the path that takes a project's last change back."""
    return f"{project(project_id)}/undo"


def operation(operation_id: str) -> str:
    """Return the path of one asynchronous operation."""
    return f"{OPERATIONS}/{quote(operation_id, safe='')}"


def operation_status(operation_id: str) -> str:
    """Return the path of an asynchronous operation's status."""
    return f"{operation(operation_id)}/status"


def operation_retry(operation_id: str) -> str:
    """Return the path that tries an asynchronous operation again."""
    return f"{operation(operation_id)}/retry"


def operation_events(operation_id: str) -> str:
    """Return the path of the events of an asynchronous operation."""
    return f"{operation(operation_id)}/events"


def pattern(path: str) -> str:
    """Return the pattern of a path that was built here, so that telemetry can count by it: ids become `{projectId}`."""
    if not path.startswith(f"{API_ROOT}/") or path in (METRICS, BATCH, OPERATIONS):
        return path
    first, *rest = path.removeprefix(f"{API_ROOT}/").split("/")
    if first == "operations":
        return "/".join([OPERATIONS, "{operationId}", *rest[1:]])
    if first in RESERVED_PROJECT_IDS:
        return "/".join([API_ROOT, first, *("{id}" for _ in rest[:1]), *rest[1:]])
    rest[1:2] = [_SECOND.get(rest[0], "{id}") for _ in rest[1:2]]
    return "/".join([API_ROOT, "{projectId}", *rest])


_SECOND = {"versions": "{version}", "export": "{format}", "import": "{format}"}
"""What the part behind such a word stands for."""
