"""The descriptions that the demo sends, and what they were read as; knows nothing of sending."""

from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from schemawire.analysis import OfflineAnalyser
from schemawire.cli.draw import Figures, figures_of
from schemawire.errors import ConfigurationInvalid
from schemawire.schema import DomainSchema, schema_digest

MINIMUM = 12
_IN_CHECKOUT = Path(__file__).parents[4] / "examples" / "descriptions"
"""Where the texts are kept; the wheel carries a copy beside this file (`force-include` in pyproject.toml)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One description, with what it must be in the store when all is done."""

    project: str
    text: str = field(repr=False)
    schema: DomainSchema = field(repr=False)
    digest: str
    figures: Figures


async def read_cases() -> list[Case]:
    """Analyse every description, in the order of their names.

    Raises:
        ConfigurationInvalid: they are not where they should be.
        SchemaInvalid: one of them says nothing.
    """
    folder: Traversable = resources.files("schemawire.cli.demo") / "descriptions"
    if not folder.is_dir():
        folder = _IN_CHECKOUT
    if not folder.is_dir():
        raise ConfigurationInvalid("The demo's descriptions are missing.", fix="Install schemawire again.")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".txt")), key=lambda file: file.name)
    analyser = OfflineAnalyser()
    return [await _read(analyser, file) for file in files]


async def _read(analyser: OfflineAnalyser, file: Traversable) -> Case:
    text = file.read_text(encoding="utf-8").strip()
    schema = (await analyser.analyze(text)).schema
    return Case(
        project=file.name.removesuffix(".txt"),
        text=text,
        schema=schema,
        digest=schema_digest(schema),
        figures=figures_of(schema),
    )
