"""Whether a schema may follow others: each difference judged for whom it breaks, and the modes that allow less or more.

Knows nothing of where versions are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from schemawire.errors import SchemaInvalid
from schemawire.schema.apply import apply_to_schema
from schemawire.schema.compare import Difference, compare_aligned
from schemawire.schema.compatibility_effects import PARTIES, Party, reasons
from schemawire.schema.compatibility_fields import Sight
from schemawire.schema.compatibility_rules import effect_of
from schemawire.schema.matching import align
from schemawire.schema.model import DomainSchema
from schemawire.schema.operations import Rename
from schemawire.schema.view import MemoryView

Mode = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]  # fmt: skip
MODES: tuple[Mode, ...] = get_args(Mode)

_PROTECTED: Mapping[str, frozenset[Party]] = {
    "NONE": frozenset(),
    "BACKWARD": frozenset({"writers", "storedData"}),
    "FORWARD": frozenset({"readers"}),
    "FULL": frozenset(PARTIES),
}


def is_transitive(mode: Mode) -> bool:
    """Tell whether a mode looks at all earlier versions, not only at the newest one."""
    return mode.endswith("_TRANSITIVE")


def protected_by(mode: Mode) -> frozenset[Party]:
    """Return whom a mode protects."""
    return _PROTECTED[mode.removesuffix("_TRANSITIVE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedChange:
    """One difference, and for each party that it breaks the reason in words."""

    difference: Difference
    breaks: Mapping[Party, str]

    def violates(self, mode: Mode) -> bool:
        """Tell whether a mode forbids it."""
        return not protected_by(mode).isdisjoint(self.breaks)

    def reason(self, mode: Mode) -> str:
        """Return why a mode forbids it, in words."""
        return " ".join(text for party, text in self.breaks.items() if party in protected_by(mode))


def judge(old: DomainSchema, new: DomainSchema) -> list[JudgedChange]:
    """Return everything that differs, in the order of `compare`, each with whom it breaks.

    What takes data in is expected to leave alone what it does not know, and to read a thing that was renamed under the
    name in `renamedFrom`, too.
    """
    alignment = align(old, new)
    sight = Sight(MemoryView(alignment.aligned), MemoryView(new))
    found = []
    for difference in compare_aligned(alignment, old, new):
        effect = effect_of(difference, sight)
        found.append(JudgedChange(difference=difference, breaks=reasons(effect, in_words(difference))))
    return found


def violations(mode: Mode, old: DomainSchema, new: DomainSchema) -> list[JudgedChange]:
    """Return the changes from one schema to the other that a mode forbids; none if the step is compatible."""
    return [change for change in judge(old, new) if change.violates(mode)]


def followed(old: DomainSchema, steps: Iterable[tuple[Rename, ...]]) -> DomainSchema:
    """Return an old schema under the names that later versions gave its things.

    Args:
        old: the schema.
        steps: the renamings of each later version, the oldest first.
    """
    for renames in steps:
        for rename in renames:
            try:
                old = apply_to_schema(old, [rename])
            except SchemaInvalid:  # the thing went away, or its new name is taken: then they are two things
                continue
    return old


def renames_between(old: DomainSchema, new: DomainSchema) -> tuple[Rename, ...]:
    """Return what a version renamed."""
    return align(old, new).renames


def in_words(difference: Difference) -> str:
    """Return what a difference is, as part of a sentence."""
    thing, _, rest = difference.code.partition("_")
    if difference.code.startswith("enum_value_"):
        value = difference.path.partition(".")[2]
        enum = difference.path.partition(".")[0]
        return f"the value {value!r} of enum {enum} {'is new' if difference.code.endswith('added') else 'is gone'}"
    match rest:
        case "added":
            return f"{thing} {difference.path} is new{_needs(difference)}"
        case "removed":
            return f"{thing} {difference.path} is gone"
        case "renamed":
            return f"{thing} {difference.path} was called {difference.before}"
        case "reordered":
            return f"the {thing} of {difference.path} have another order"
        case _:
            option = rest.removesuffix("_changed").replace("_", " ")
            return (
                f"{option} of {thing} {difference.path} is {_shown(difference.after)}, was {_shown(difference.before)}"
            )


def _needs(difference: Difference) -> str:
    is_needed = difference.code == "field_added" and difference.after.get("required")
    return " and required, without a default" if is_needed and difference.after.get("default") is None else ""


def _shown(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
