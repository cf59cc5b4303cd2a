"""Where spans come from: one tracer under the project's name; opens none itself."""

from opentelemetry import trace
from opentelemetry.trace import Tracer, TracerProvider

from schemawire._version import __version__

TRACER_NAME = "schemawire"


def tracer_of(provider: TracerProvider | None) -> Tracer:
    """Return the project's tracer from a provider, or from the program's own."""
    return trace.get_tracer(TRACER_NAME, __version__, provider)
