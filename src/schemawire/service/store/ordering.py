"""Where each element stands in its list of the document: numbers with room between them, so that few rows move.

Pure; knows nothing of rows.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

STRIDE = 1_024
"""The room left between two neighbours."""


def place(current: Mapping[str, int], wanted: Sequence[str]) -> dict[str, int]:
    """Return the numbers that must be given, anew or for the first time, so that the wanted order holds.

    Args:
        current: the number of every key that is there already; keys that are not wanted are ignored.
        wanted: all keys in their order, each once.

    Returns:
        A number for each new key, and for as few of the others as possible.
    """
    staying = _longest_rising([(key, current[key]) for key in wanted if key in current])
    given: dict[str, int] = {}
    run: list[str] = []
    low = 0
    for key in wanted:
        if key not in staying:
            run.append(key)
            continue
        if not _fill(given, run, low, current[key]):
            return _renumbered(current, wanted)
        run, low = [], current[key]
    given.update((key, low + STRIDE * position) for position, key in enumerate(run, 1))
    return given


def _fill(given: dict[str, int], run: list[str], low: int, high: int) -> bool:
    """Spread a run of keys evenly between two numbers; tell whether there was room."""
    room = high - low
    if run and room <= len(run):
        return False
    given.update((key, low + room * position // (len(run) + 1)) for position, key in enumerate(run, 1))
    return True


def _renumbered(current: Mapping[str, int], wanted: Sequence[str]) -> dict[str, int]:
    fresh = {key: STRIDE * position for position, key in enumerate(wanted, 1)}
    return {key: number for key, number in fresh.items() if current.get(key) != number}


def _longest_rising(numbered: list[tuple[str, int]]) -> set[str]:
    """Return the most keys whose numbers already rise. *Source:* patience sorting; Fredman, 1975."""
    tails: list[int] = []
    ends: list[int] = []  # ends[n]: position of the last key of the best run of length n + 1
    before: list[int] = []
    for position, (_, number) in enumerate(numbered):
        length = bisect_left(tails, number)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(number)
            ends.append(position)
        else:
            tails[length], ends[length] = number, position
    found: set[str] = set()
    position = ends[-1] if ends else -1
    while position >= 0:
        found.add(numbered[position][0])
        position = before[position]
    return found
