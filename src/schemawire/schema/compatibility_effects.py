"""Whom a change breaks: the parties, and what it means that less, more or something else is allowed than before.

Knows nothing of what changed.
"""

from enum import Flag
from typing import Literal

Party = Literal["readers", "writers", "storedData"]

PARTIES: tuple[Party, ...] = ("readers", "writers", "storedData")


class Effect(Flag):
    """Who may break: programs made for the old version that read or write, or records that are stored."""

    NONE = 0
    READERS = 1
    WRITERS = 2
    STORED = 4
    NARROWER = WRITERS | STORED
    """Less is allowed: what was written before may not fit."""
    WIDER = READERS
    """More is allowed: what is written from now on may not be what readers expect."""
    OTHER = READERS | WRITERS | STORED
    """Something else is allowed, or nobody can tell."""


_BEGINNINGS: dict[Party, tuple[Effect, str]] = {
    "readers": (Effect.READERS, "Programs made for the older version may not find what they expect"),
    "writers": (Effect.WRITERS, "Programs made for the older version may write what does not fit any more"),
    "storedData": (Effect.STORED, "Records stored under the older version may not fit any more"),
}


def reasons(effect: Effect, what: str) -> dict[Party, str]:
    """Return a sentence for each party that breaks; `what` says in words what changed."""
    return {party: f"{text}: {what}." for party, (flag, text) in _BEGINNINGS.items() if flag & effect}


def as_sets(*, narrower: bool, wider: bool) -> Effect:
    """Return the effect of allowing some values no longer, some for the first time, or both."""
    return (Effect.NARROWER if narrower else Effect.NONE) | (Effect.WIDER if wider else Effect.NONE)
