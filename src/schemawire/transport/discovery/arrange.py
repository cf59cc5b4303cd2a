"""Which of the listed places a client uses, and in which order of preference; a plain choice without state."""

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import replace

from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.discovery.place import Place


def arranged(places: Iterable[Place], options: DiscoveryConfig) -> tuple[Place, ...]:
    """Return the places a client uses, with priorities counted from 0 without gaps, in a fixed order.

    Of equal priorities, places of the client's own zone come one step before the others, so that calls stay in the
    zone while it can take them and spill over as it goes down. A group with more than `subset` places is cut to those
    that rank highest for this client: another listing order changes nothing, and a place that comes or goes moves at
    most one other.

    *Source:* Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous".
    """
    steps: dict[tuple[int, bool], list[Place]] = {}
    for place in places:
        is_far = bool(options.zone) and place.zone != options.zone
        steps.setdefault((place.priority, is_far), []).append(place)
    chosen: list[Place] = []
    for number, step in enumerate(sorted(steps)):
        group = _subset(steps[step], options)
        chosen.extend(replace(place, priority=number) for place in sorted(group, key=lambda place: place.url))
    return tuple(chosen)


def _subset(places: list[Place], options: DiscoveryConfig) -> list[Place]:
    if len(places) <= options.subset:
        return places
    seed = options.client.to_bytes(8)
    return heapq.nlargest(options.subset, places, key=lambda place: (_rank(seed, place.url), place.url))


def _rank(seed: bytes, url: str) -> bytes:
    return hashlib.blake2b(url.encode(), digest_size=8, key=seed).digest()
