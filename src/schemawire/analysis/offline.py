"""The analyser that works offline: patterns and a lexicon, and the parser above them where it is installed.

Knows the tiers that are installed; knows no rule of language.
"""

import asyncio
from typing import Literal

from schemawire.analysis.alone import read_alone
from schemawire.analysis.analyser import AnalysisOptions, Draft, Tier
from schemawire.analysis.build import build_draft, to_schema
from schemawire.analysis.facts import Fact
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.parser import read_with_parser
from schemawire.analysis.parsing import is_installed
from schemawire.analysis.patterns import read_facts
from schemawire.analysis.plain_lists import without_enums
from schemawire.analysis.prose import PROSE_FROM
from schemawire.analysis.rule_expressions import told_apart, with_expressions
from schemawire.errors import ConfigurationInvalid, SchemaInvalid
from schemawire.schema import Issue

_EXAMPLE = 'such as "Create a blog system with posts and comments" or "A post has a title and a body"'
_NO_PARSER = "this much prose was read by patterns alone; the parser finds more: pip install 'schemawire[nlp]'"
_THREAD_FROM = 5_000
"""Characters from which reading by patterns moves to a thread; what the parser reads always does."""
_DEFAULTS = AnalysisOptions()


class OfflineAnalyser:
    """Turns plain English into a draft without any language model; the same text always gives the same draft.

    Args:
        language: the folder of the language's rules.
        tier: the tier to stop at; by default the parser where the extra `nlp` is installed, else the patterns.

    Raises:
        ConfigurationInvalid: the parser is wanted and not installed.
    """

    def __init__(self, language: str = "english", *, tier: Literal["patterns", "parser"] | None = None) -> None:
        if tier == "parser" and not is_installed():
            raise ConfigurationInvalid("the tier 'parser' needs the extra: pip install 'schemawire[nlp]'")
        self._lexicon = load_lexicon(language)
        self._misses_parser = tier is None and not is_installed()
        self._parses = tier == "parser" or (tier is None and is_installed())

    async def analyze(self, description: str, *, options: AnalysisOptions = _DEFAULTS) -> Draft:
        """Return the draft of a description; a long one is read in a thread.

        Args:
            description: plain words, 1 to `options.max_length` characters.
            options: what to add to what the text says.

        Raises:
            SchemaInvalid: the description is empty, too long, not text, or nothing in it could be understood.

        *Cancelled:* nothing was stored; a thread that reads a long text ends by itself.
        """
        quick = PROSE_FROM if self._parses else _THREAD_FROM
        if isinstance(description, str) and len(description) < quick:
            return self.analyze_text(description, options=options)
        return await asyncio.to_thread(self.analyze_text, description, options=options)

    def analyze_text(self, description: str, *, options: AnalysisOptions = _DEFAULTS) -> Draft:
        """Return the draft of a description, without an event loop.

        Raises:
            SchemaInvalid: as in `analyze`.
        """
        _refuse_unreadable(description, options.max_length)
        facts, tier = self._read(description)
        draft = build_draft(facts, self._lexicon, options)
        if not draft.entities:
            alone = read_alone(description, self._lexicon)
            draft = build_draft(alone.facts, self._lexicon, options)
            draft.warnings.append(f"{alone.warning}; say what there is and what relates to it, {_EXAMPLE}")
        if not draft.entities:
            raise _refusal(
                "nothing_recognised",
                "nothing in the description could be read as a thing with fields or relationships",
                f"Name the things and what they have, {_EXAMPLE}.",
            )
        draft.rules = told_apart(draft.rules)
        schema = with_expressions(to_schema(draft, description), draft.rules, self._lexicon)
        if not options.enums:
            schema = without_enums(schema)
        if self._misses_parser and len(description) >= PROSE_FROM:
            draft.warnings.append(_NO_PARSER)
        return Draft(schema=schema, tier=tier, warnings=tuple(draft.warnings))

    def _read(self, description: str) -> tuple[list[Fact], Tier]:
        if not self._parses:
            return read_facts(description, self._lexicon), "patterns"
        parsed = read_with_parser(description, self._lexicon)
        return parsed.facts, "parser" if parsed.sentences else "patterns"


def _refuse_unreadable(description: str, max_length: int) -> None:
    if not isinstance(description, str):
        raise _refusal("not_text", f"the description is {type(description).__name__}, not text", "Pass a string.")
    if not description.strip():
        raise _refusal("empty_description", "the description is empty", f"Write at least one sentence, {_EXAMPLE}.")
    if len(description) > max_length:
        size = f"the description has {len(description):,} characters; the limit is {max_length:,}"
        raise _refusal("description_too_long", size, "Shorten it, split it, or raise `max_length`.")
    if "\0" in description or any("\ud800" <= sign <= "\udfff" for sign in description):
        raise _refusal(
            "not_text",
            "the description holds NUL or half of a surrogate pair, so it is not Unicode text",
            "Decode the bytes with their real encoding first.",
        )


def _refusal(code: str, message: str, fix: str) -> SchemaInvalid:
    issue = Issue(code=code, pointer="", message=message, fix=fix)
    return SchemaInvalid(message, issues=[issue], fix=fix)
