"""A list of places that never changes, given by whoever makes the client; does no I/O."""

from collections.abc import AsyncGenerator, Iterable

from schemawire.transport.discovery.place import Listing, Place, distinct, parse_places


class StaticDiscovery:
    """Names the same places for ever.

    Args:
        endpoints: addresses as one comma-separated text, or texts and `Place` values one by one.

    Raises:
        ConfigurationInvalid: there is none, or one is malformed.
    """

    def __init__(self, endpoints: str | Iterable[str | Place]) -> None:
        if isinstance(endpoints, str):
            self.places = parse_places(endpoints)
        else:
            listed = list(endpoints)
            given = [place for place in listed if isinstance(place, Place)]
            texts = [text for text in listed if not isinstance(text, Place)]
            self.places = distinct([*given, *(parse_places(texts) if texts or not given else ())])
        self.name = "static"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the one listing and end; see `Discovery.watch`."""
        yield Listing(places=self.places)
