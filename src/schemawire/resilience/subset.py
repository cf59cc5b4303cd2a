"""Picks a few of many endpoints for each client, so that all clients together use all evenly; a plain choice."""

import random
from collections.abc import Sequence
from typing import TypeVar

from schemawire.errors import ConfigurationInvalid

E = TypeVar("E")


def deterministic_subset(endpoints: Sequence[E], *, client: int, size: int) -> list[E]:
    """Return the endpoints that client number `client` should use.

    Clients are taken in rounds; in each round the endpoints are shuffled alike and dealt out, so that every endpoint
    has the same number of clients after a full round, and a client keeps its subset as long as the list stays.

    Args:
        endpoints: all endpoints, in an order that every client agrees on.
        client: number of this client among all, from 0 up.
        size: how many endpoints it should have, from 1 up; all of them if there are no more.

    Raises:
        ConfigurationInvalid: `client` is negative or `size` below 1.

    *Source:* Google SRE book, "Load Balancing in the Datacenter", deterministic subsetting.
    """
    if client < 0 or size < 1:
        raise ConfigurationInvalid(f"client={client!r} must be from 0 up and size={size!r} from 1 up")
    if size >= len(endpoints):
        return list(endpoints)
    subsets = len(endpoints) // size
    shuffled = list(endpoints)
    random.Random(client // subsets).shuffle(shuffled)  # noqa: S311  # every client must shuffle alike
    start = client % subsets * size
    return shuffled[start : start + size]
