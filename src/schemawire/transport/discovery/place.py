"""Where a service may be reached: addresses with weight, priority and zone, and how they are written; no I/O."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from schemawire.errors import ConfigurationInvalid
from schemawire.transport.address import parse_addresses

MAX_PLACES = 100_000
"""More entries than this in one list are taken for an accident or an attack."""
HIGHEST_WEIGHT = 65_535.0
HIGHEST_PRIORITY = 65_535
"""Both as large as an SRV record can carry. *Source:* RFC 2782."""

_EXAMPLE = "Write it like http://host:8084#weight=2&priority=1&zone=eu-1."
_NAMES = frozenset({"weight", "priority", "zone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One address of a service, before anything is known of its health.

    Args:
        url: base URL without a trailing slash.
        weight: share of the load relative to others of the same priority, above 0 to 65 535.
        priority: 0 is preferred; higher numbers get load as those before them go down. To 65 535.
        zone: where it stands, as its source names it; empty where nobody says.
        authority: what the `Host` header names in place of the URL's own host; empty for the URL's own.
    """

    url: str
    weight: float = 1.0
    priority: int = 0
    zone: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every place of a service at one moment, as one source sees it.

    Args:
        places: without repeats.
        problems: what was left out and why; a listing with problems is used all the same.
    """

    places: tuple[Place, ...]
    problems: tuple[str, ...] = ()


def parse_place(text: str) -> Place:
    """Return the place that `http://host:8084#weight=2&priority=1&zone=eu-1` names; each suffix may be left out.

    Raises:
        ConfigurationInvalid: the address is malformed, or a suffix is unknown or out of range.
    """
    address, mark, suffix = text.strip().partition("#")
    [url] = parse_addresses([address]) if address.strip() else [""]
    if not url:
        raise ConfigurationInvalid(f"{text!r} is no endpoint address", fix=_EXAMPLE)
    if not mark:
        return Place(url=url)
    try:
        pairs = parse_qsl(suffix, strict_parsing=True, keep_blank_values=True, max_num_fields=len(_NAMES))
    except ValueError as error:
        raise ConfigurationInvalid(
            f"endpoint address {text!r}: its suffix is malformed ({error})", fix=_EXAMPLE
        ) from error
    return _described(url, dict(pairs), text)


def parse_places(addresses: str | Iterable[str]) -> tuple[Place, ...]:
    """Return the places that a comma-separated text, or several texts, name; of equal addresses the first stands.

    Raises:
        ConfigurationInvalid: there is none, or one is malformed; the message says which and why.
    """
    listed = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    places = [parse_place(text) for text in listed if text.strip()]
    if not places:
        raise ConfigurationInvalid("no endpoint address is given", fix=_EXAMPLE)
    return distinct(places)


def place_from(record: Any) -> Place:
    """Return the place that one entry of a list names: a text as for `parse_place`, or an object.

    The object has `url`, or `Addr` with `host:port` as etcd's own clients write it, and may have `weight`, `priority`
    and `zone`. Further keys are for others and are passed over.

    Raises:
        ConfigurationInvalid: the entry is neither, or a value is malformed or out of range.
    """
    if isinstance(record, str):
        return parse_place(record)
    if not isinstance(record, dict):
        raise ConfigurationInvalid(f"{_shown(record)} is neither an address nor an object with `url`", fix=_EXAMPLE)
    url, short = record.get("url"), record.get("Addr")
    if url is None and isinstance(short, str):
        url = short if "://" in short else f"http://{short}"
    if not isinstance(url, str):
        raise ConfigurationInvalid(f"{_shown(record)} has no `url`", fix=_EXAMPLE)
    place = parse_place(url)
    given = {name: record[name] for name in _NAMES if record.get(name) is not None}
    return _described(place.url, given, _shown(record)) if given else place


def made_place(url: str, *, weight: Any = 1.0, priority: Any = 0, zone: Any = "", authority: str = "") -> Place:
    """Return a place whose parts a registry named one by one, checked.

    Raises:
        ConfigurationInvalid: a part is malformed or out of range.
    """
    [checked] = parse_addresses([url])
    place = _described(checked, {"weight": weight, "priority": priority, "zone": zone or ""}, url)
    return replace(place, authority=authority) if authority else place


def distinct(places: Iterable[Place]) -> tuple[Place, ...]:
    """Return `places` in order, each address once: the first entry of an address stands.

    Raises:
        ConfigurationInvalid: there are more than `MAX_PLACES`.
    """
    found: dict[str, Place] = {}
    for place in places:
        found.setdefault(place.url, place)
        if len(found) > MAX_PLACES:
            raise ConfigurationInvalid(
                f"the list has more than {MAX_PLACES} endpoints", fix="Look at what fills it, or split the service."
            )
    return tuple(found.values())


def listing_of(records: Sequence[Any]) -> Listing:
    """Return the places of a list in which one bad entry must not hide the good ones."""
    if len(records) > MAX_PLACES:
        return Listing(places=(), problems=(f"the list has {len(records)} entries, more than {MAX_PLACES}",))
    places, problems = [], []
    for record in records:
        try:
            places.append(record if isinstance(record, Place) else place_from(record))
        except ConfigurationInvalid as error:
            problems.append(error.message)
    return Listing(places=distinct(places), problems=tuple(problems))


def _described(url: str, given: dict[str, Any], text: str) -> Place:
    unknown = sorted(set(given) - _NAMES)
    if unknown:
        raise ConfigurationInvalid(f"endpoint {text!r}: {unknown[0]!r} is unknown", fix=_EXAMPLE)
    weight = _number(given.get("weight", 1.0), text, "weight", HIGHEST_WEIGHT)
    if weight <= 0.0:
        raise ConfigurationInvalid(f"endpoint {text!r}: its weight must be above 0", fix=_EXAMPLE)
    priority = _number(given.get("priority", 0), text, "priority", HIGHEST_PRIORITY)
    if priority != int(priority):
        raise ConfigurationInvalid(f"endpoint {text!r}: its priority must be a whole number", fix=_EXAMPLE)
    zone = given.get("zone", "")
    if not isinstance(zone, str) or len(zone) > 255 or not zone.isprintable():
        raise ConfigurationInvalid(f"endpoint {text!r}: its zone must be a text of up to 255 characters", fix=_EXAMPLE)
    return Place(url=url, weight=weight, priority=int(priority), zone=zone)


def _number(value: Any, text: str, name: str, highest: float) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number <= highest:
        raise ConfigurationInvalid(
            f"endpoint {text!r}: {name}={_shown(value)} must be a number from 0 to {highest:g}", fix=_EXAMPLE
        )
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
