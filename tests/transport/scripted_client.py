"""A client of one endpoint on a scripted wire, and a listener that keeps what it is told."""

from schemawire.events import Event, SilentListener
from schemawire.testing.scripted_wire import Answer, ScriptedWire
from schemawire.transport import Client


class Notes(SilentListener):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)


def client_for(*script: Answer, then: Answer | None = None, **options: object) -> tuple[Client, ScriptedWire]:
    """Return a client, and the wire on which a script and then one answer for ever come to its attempts."""
    wire = ScriptedWire(*script, then=then)
    return Client("http://a:1", wire=wire, **options), wire  # type: ignore[arg-type]  # options of any kind
