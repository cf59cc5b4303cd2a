"""The stable names of OpenTelemetry's semantic conventions that spans and metrics use, and the rules that go with them.

Kept here because the package with these constants comes only with the SDK, which is an extra.

*Source:* OpenTelemetry semantic conventions 1.36, HTTP spans and database spans (both stable).
"""

from urllib.parse import urlsplit

METHOD = "http.request.method"
METHOD_ORIGINAL = "http.request.method_original"
RESEND_COUNT = "http.request.resend_count"
ROUTE = "http.route"
STATUS = "http.response.status_code"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
URL_FULL = "url.full"
URL_PATH = "url.path"
URL_SCHEME = "url.scheme"
URL_TEMPLATE = "url.template"

OTHER_METHOD = "_OTHER"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PORTS = {"http": 80, "https": 443}

Attributes = dict[str, str | bool | int | float]


def method_attributes(method: str) -> Attributes:
    """Return the method as conventions want it: a known one, or `_OTHER` with the original beside it."""
    if method in _METHODS:
        return {METHOD: method}
    return {METHOD: OTHER_METHOD, METHOD_ORIGINAL: method[:32]}


def span_name(method: str, route: str | None) -> str:
    """Return the name of an HTTP span, which never holds what differs from call to call."""
    word = method if method in _METHODS else "HTTP"
    return f"{word} {route}" if route else word


def server_attributes(endpoint: str) -> Attributes:
    """Return the host and port of an endpoint's URL; what cannot be read is left out."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return {}
    found: Attributes = {SERVER_ADDRESS: parts.hostname} if parts.hostname else {}
    return found if port is None else {**found, SERVER_PORT: port}
