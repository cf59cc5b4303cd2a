"""Ways to choose one endpoint among several; each is a plain choice, and none looks at health."""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Protocol

from schemawire.resilience.endpoint_state import EndpointState

_POINTS = 100
"""Points on the hash ring for an endpoint of weight 1: with 100, shares differ by about a tenth."""


class BalanceStrategy(Enum):
    """How an endpoint is chosen.

    `P2C`: of two drawn at random, the one with the lower Peak-EWMA × (in flight + 1). `ROUND_ROBIN`: in turn.
    `WEIGHTED`: in turn, by weight, as evenly spread as possible. `LEAST_IN_FLIGHT`: the one with the fewest calls per
    weight. `HASH`: by `Context.key`, so that a key stays with its endpoint while endpoints come and go.
    """

    P2C = "p2c"
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_IN_FLIGHT = "least_in_flight"
    HASH = "hash"


class Strategy(Protocol):
    """Chooses among candidates."""

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return one of `candidates`, of which there is at least one."""

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Take note that these are now all the endpoints."""


class PowerOfTwo:
    """Draws two and takes the one that is less loaded.

    *Source:* Mitzenmacher, "The Power of Two Choices"; Finagle `P2CPeakEwma`.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return the less loaded of two candidates."""
        size = len(candidates)
        if size == 1:
            return candidates[0]
        first = int(self._draw() * size)
        second = int(self._draw() * (size - 1))
        second += second >= first
        one, other = candidates[first], candidates[second]
        return one if _loaded(one, now) <= _loaded(other, now) else other

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Do nothing: nothing is remembered."""


def _loaded(state: EndpointState, now: float) -> float:
    return state.ewma.load(state.in_flight, now) / state.strength(now)


class RoundRobin:
    """Takes each in turn; one that starts slowly is passed over in proportion."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._turn = -1

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return the next candidate."""
        for _ in candidates:
            self._turn = (self._turn + 1) % len(candidates)
            state = candidates[self._turn]
            if now >= state.warm_at or self._draw() < state.strength(now) / state.weight:
                return state
        return candidates[self._turn]

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Do nothing: the turn goes on."""


class SmoothWeighted:
    """Takes each as often as its weight says, spread as evenly as possible.

    *Source:* nginx, smooth weighted round robin.
    """

    def __init__(self) -> None:
        self._credit: dict[Hashable, float] = {}

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return the candidate that is most behind its share."""
        credit, total = self._credit, 0.0
        best = candidates[0]
        for state in candidates:
            strength = state.strength(now)
            total += strength
            credit[state.endpoint] = credit.get(state.endpoint, 0.0) + strength
            if credit[state.endpoint] > credit[best.endpoint]:
                best = state
        credit[best.endpoint] -= total
        return best

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Forget endpoints that have left."""
        present = {state.endpoint for state in endpoints}
        self._credit = {endpoint: credit for endpoint, credit in self._credit.items() if endpoint in present}


class LeastInFlight:
    """Takes the one with the fewest calls in flight per weight, at random among equals."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return the least busy candidate."""
        return min(candidates, key=lambda state: ((state.in_flight + 1) / state.strength(now), self._draw()))

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Do nothing: nothing is remembered."""


class HashRing:
    """Maps keys to endpoints so that only the keys of an endpoint that leaves move.

    *Source:* Karger and others, "Consistent Hashing and Random Trees".
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._points: list[int] = []
        self._owners: list[EndpointState] = []

    def choose(self, candidates: Sequence[EndpointState], key: str, now: float) -> EndpointState:
        """Return the first candidate at or after the key's place on the ring; without a key, any."""
        if not key:
            return candidates[int(self._draw() * len(candidates))]
        allowed = {id(state) for state in candidates}
        start = bisect_right(self._points, _place(key))
        for step in range(len(self._owners)):
            owner = self._owners[(start + step) % len(self._owners)]
            if id(owner) in allowed:
                return owner
        return candidates[0]

    def rebuild(self, endpoints: Sequence[EndpointState]) -> None:
        """Put every endpoint on the ring, with points in proportion to its weight."""
        ring = sorted(
            (
                (_place(f"{state.endpoint!r}#{point}"), index)
                for index, state in enumerate(endpoints)
                for point in range(max(1, round(_POINTS * state.weight)))
            ),
        )
        self._points = [place for place, _ in ring]
        self._owners = [endpoints[index] for _, index in ring]


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def strategy(kind: BalanceStrategy, draw: Callable[[], float]) -> Strategy:
    """Return a fresh strategy of the given kind, which draws its random numbers from `draw`."""
    match kind:
        case BalanceStrategy.P2C:
            return PowerOfTwo(draw)
        case BalanceStrategy.ROUND_ROBIN:
            return RoundRobin(draw)
        case BalanceStrategy.WEIGHTED:
            return SmoothWeighted()
        case BalanceStrategy.LEAST_IN_FLIGHT:
            return LeastInFlight(draw)
        case BalanceStrategy.HASH:
            return HashRing(draw)
