"""Whether what only one of two readers found is likely to be there, judged by how much they agree elsewhere; pure.

Each reader is taken to find a true thing with its recall and to be right with its precision, each by itself.
What the rules are worth is known from texts with models written by hand; what the other reader is worth on this text
follows from how much the two share. *Source:* capture and recapture (the estimate of Lincoln and Petersen), and Bayes'
rule for one sighting; the threshold is half of the F1 that is hoped for, which maximises expected F1.
"""

from dataclasses import dataclass

THRESHOLD = 0.3
_MOST, _LEAST = 0.97, 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a reader is worth on one kind of thing: how often it is right, and how much it finds."""

    precision: float
    recall: float


_EASY = {
    "thing": Worth(precision=0.75, recall=0.65),
    "field": Worth(precision=0.7, recall=0.55),
    "link": Worth(precision=0.6, recall=0.45),
}
_HARD = {
    "thing": Worth(precision=0.55, recall=0.45),
    "field": Worth(precision=0.4, recall=0.2),
    "link": Worth(precision=0.3, recall=0.25),
}
"""What the analyser reaches on texts that say plainly what there is, and on the harder of those held out."""
_FROM_HARD, _TO_EASY = 0.5, 0.8
"""Shares of another reader's things that the rules find on hard texts, and on easy ones."""


def rules_worth(kind: str, overlap: float) -> Worth:
    """Return what the rules are worth on one kind of thing.

    Args:
        kind: `thing`, `field` or `link`.
        overlap: the share of the other reader's things that the rules found too, 0 to 1.
    """
    ease = min(1.0, max(0.0, (overlap - _FROM_HARD) / (_TO_EASY - _FROM_HARD)))
    easy, hard = _EASY[kind], _HARD[kind]
    return Worth(
        precision=hard.precision + ease * (easy.precision - hard.precision),
        recall=hard.recall + ease * (easy.recall - hard.recall),
    )


USUAL_WORTH = Worth(precision=0.8, recall=0.7)
"""Of a language model, before anything is known of its draft."""
_WEIGHT = 4.0
"""How many things of agreement or disagreement it takes to believe the draft as much as what is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jury:
    """Judges what one of two readers found alone.

    Args:
        rules: what the rules are worth.
        ours: how many things the rules found.
        theirs: how many the other reader found.
        shared: how many both found.
    """

    rules: Worth
    ours: int
    theirs: int
    shared: int

    @property
    def other(self) -> Worth:
        """What the other reader is worth: what is usual, corrected by what the two share."""
        usual = USUAL_WORTH
        right = (self.shared + _WEIGHT * usual.precision * self.rules.recall) / (self.theirs + _WEIGHT)
        found = (self.shared + _WEIGHT * usual.recall * self.rules.precision) / (self.ours + _WEIGHT)
        return Worth(precision=_bounded(right / self.rules.recall), recall=_bounded(found / self.rules.precision))

    def believes_rules(self, odds: float = 1.0) -> bool:
        """Tell whether a thing stands that the rules alone found; `odds`: how much better supported it is than most."""
        return _likely(self.rules.precision, self.other.recall, odds) >= THRESHOLD

    def believes_other(self, odds: float = 1.0) -> bool:
        """Tell whether a thing stands that the other reader alone found."""
        return _likely(self.other.precision, self.rules.recall, odds) >= THRESHOLD


def _bounded(share: float) -> float:
    return min(_MOST, max(_LEAST, share))


def _likely(precision: float, recall_of_other: float, odds: float) -> float:
    """Return how likely a thing is that one reader found and the other did not."""
    there = precision * (1 - recall_of_other) * odds
    return there / (there + (1 - precision))
