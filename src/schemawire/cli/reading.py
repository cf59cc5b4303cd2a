"""How words are to be read: by whom, and with what added; and why a draft looks as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from schemawire.cli.invocation import Invocation

if TYPE_CHECKING:
    from schemawire.analysis import Analyser, AnalysisOptions, Draft

TIERS = ("patterns", "parser", "offline", "model")

FieldCase = Annotated[str, typer.Option("--field-case", metavar="CASE", help="How fields are named: snake or camel.")]
Tier = Annotated[
    str | None,
    typer.Option(
        "--tier", metavar="TIER",
        help="Who reads: patterns, parser, offline (the better one installed) or model [SCHEMAWIRE_LLM_*].",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The options of one analysis, as given on the command line."""

    literal: bool = False
    field_case: str = "snake"
    keys: bool = True
    timestamps: bool = True
    joins: bool = True
    enums: bool = True
    tier: str | None = None

    def check(self) -> None:
        """Refuse what is no choice.

        Raises:
            BadParameter: the case or the tier is none.
        """
        if self.field_case not in ("snake", "camel"):
            raise typer.BadParameter(f"--field-case {self.field_case!r}: use snake or camel")
        if self.tier is not None and self.tier not in TIERS:
            raise typer.BadParameter(f"--tier {self.tier!r}: use one of {', '.join(TIERS)}")

    def options(self, *, literal: bool = False) -> "AnalysisOptions":
        """Return the analyser's options; `literal` wins over what was given."""
        from schemawire.analysis import AnalysisOptions

        adds = not (self.literal or literal)
        return AnalysisOptions(
            field_case="camel" if self.field_case == "camel" else "snake",
            add_keys=adds and self.keys,
            add_timestamps=adds and self.timestamps,
            join_entities=adds and self.joins,
            foreign_keys=adds and self.keys,
            enums=self.enums,
            infer=adds,
        )

    def analyser(self) -> "Analyser":
        """Return who reads.

        Raises:
            ConfigurationInvalid: the parser is not installed, or a language model is named incompletely.
            ValueError: the model is wanted and none is set.
        """
        from schemawire.analysis import OfflineAnalyser
        from schemawire.handler.refining import chosen_analyser

        if self.tier in ("patterns", "parser"):
            return OfflineAnalyser(tier="patterns" if self.tier == "patterns" else "parser")
        return chosen_analyser(self.tier)


@asynccontextmanager
async def reader(wanted: Reading) -> "AsyncIterator[Analyser]":
    """Yield who reads, and close its connections afterwards."""
    from schemawire.analysis import ModelAnalyser

    analyser = wanted.analyser()
    try:
        yield analyser
    finally:
        if isinstance(analyser, ModelAnalyser):
            await analyser.aclose()


def show_explanations(call: Invocation, draft: "Draft") -> None:
    """Print for each element the sentence it came from, the tier and rule that made it, and how sure that is."""
    rows = [
        (found.path, found.tier, found.rule, f"{found.confidence:.0%}", found.sentence or "–")
        for found in draft.explain()
    ]
    call.screen.show(call.screen.table("", ("element", "tier", "rule", "sure", "sentence"), rows))
