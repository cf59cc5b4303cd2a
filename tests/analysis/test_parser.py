"""The parser tier: what only a tree tells, exact spans, the budget, and one model for all threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from schemawire.analysis import AnalysisOptions, Draft, OfflineAnalyser
from schemawire.analysis.parsing import is_installed
from schemawire.errors import ConfigurationInvalid
from schemawire.schema import check

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")

PADDING = """ The library lends books to readers. A reader has a card number, a name and an address. A book has a
title and an author. For each loan, the date and the due date are recorded. Readers reserve books. A reservation has a
date. Every book belongs to one section, and a section has a code. Librarians order books from publishers, and a
publisher has a name and a country. A publisher publishes many books, and each book is published by one publisher.
The librarian notes who returned a book late, and a fee with an amount is charged for every week."""


def draft_of(text: str) -> Draft:
    """The literal draft of a sentence among enough prose for the parser to read it."""
    return OfflineAnalyser(tier="parser").analyze_text(text + PADDING, options=AnalysisOptions.literal())


def fields_of(text: str, entity: str) -> set[str]:
    found = draft_of(text).schema.entity(entity)
    assert found is not None, entity
    return {field.name for field in found.fields}


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("Visitors must provide their first and last name, their email and their phone number.", "Visitor",
         {"first_name", "last_name", "email", "phone_number"}),
        ("Suppliers, each of whom has a company name and a tax number, deliver many paintings.", "Supplier",
         {"company_name", "tax_number"}),
        ("Paintings are exhibits with a height and a width.", "Painting", {"height", "width"}),
        ("When an exhibit arrives, the staff registers its name, weight and insured value.", "Exhibit",
         {"name", "weight", "insured_value"}),
        ("For every sculpture the year of production and the weight are stored.", "Sculpture",
         {"year_of_production", "weight"}),
    ],
)  # fmt: skip
def test_fields_reach_their_owner(text: str, entity: str, fields: set[str]) -> None:
    """Possessives, relative clauses, copulas and passives give their fields to the right thing."""
    assert fields <= fields_of(text, entity)


def test_coordinated_subjects_of_a_relative_clause_are_all_kinds() -> None:
    """What is said of a list holds for each of its items."""
    schema = draft_of("Visitors order drinks and snacks, which are menu items. A menu item has a price.").schema
    assert {entity.name for entity in schema.entities if entity.extends == "MenuItem"} == {"Drink", "Snack"}


def test_tier_names_who_took_part() -> None:
    """A short prompt is read by the patterns; prose says that the parser read it."""
    assert OfflineAnalyser(tier="parser").analyze_text("Create a blog with posts").tier == "patterns"
    assert draft_of("").tier == "parser"
    assert OfflineAnalyser(tier="patterns").analyze_text(PADDING).tier == "patterns"


def test_evidence_of_trees_quotes_the_text() -> None:
    """Each span cuts its own text out of the description, brackets and odd signs included."""
    text = (
        "Owners (private persons 🙂) keep e-mail addresses. Each owner’s card – its colour too – is stored." + PADDING
    )
    draft = OfflineAnalyser(tier="parser").analyze_text(text)
    parts = [part for found in draft.evidence.values() for part in found]
    assert all(text[part.start : part.end] == part.text for part in parts)
    assert "parser" in {part.analyser for part in parts}


def test_drafts_are_valid_and_the_same_every_time() -> None:
    """The result passes the schema's rules and does not depend on what was read before."""
    first = draft_of("Each curator manages at least two rooms, either alone or with a colleague.")
    assert [issue for issue in check(first.schema) if issue.severity == "error"] == []
    draft_of("Something else entirely is read in between.")
    assert draft_of("Each curator manages at least two rooms, either alone or with a colleague.") == first


def test_threads_share_one_model() -> None:
    """Many threads at once get the draft that one gets alone."""
    analyser = OfflineAnalyser(tier="parser")
    alone = analyser.analyze_text(PADDING)
    with ThreadPoolExecutor(4) as threads:
        drafts = list(threads.map(analyser.analyze_text, [PADDING] * 8))
    assert all(draft == alone for draft in drafts)


def test_what_exceeds_the_budget_is_read_by_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text keeps its end: past the parser's budget the patterns read on."""
    monkeypatch.setattr("schemawire.analysis.parser._MAX_WORDS", 40)
    text = PADDING + " A lighthouse has a height and a keeper name."
    draft = OfflineAnalyser(tier="parser").analyze_text(text)
    assert draft.tier == "parser"
    assert {part.analyser for part in draft.evidence["Lighthouse.height"]} == {"patterns"}


def test_unknown_tier_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the parser where it is not installed fails at once and says what to install."""
    monkeypatch.setattr("schemawire.analysis.offline.is_installed", lambda: False)
    with pytest.raises(ConfigurationInvalid, match="nlp"):
        OfflineAnalyser(tier="parser")
    draft = OfflineAnalyser().analyze_text(PADDING)
    assert draft.tier == "patterns"
    assert any("schemawire[nlp]" in warning for warning in draft.warnings)


def test_a_verb_taken_for_a_noun_is_repaired() -> None:
    """A sentence without a verb is parsed again with an auxiliary, and its spans stay those of the text."""
    text = "Guests order drinks and snacks, which are both menu items. A menu item has a name and a price."
    draft = draft_of(text)
    kinds = {entity.name for entity in draft.schema.entities if entity.extends == "MenuItem"}
    assert kinds == {"Drink", "Snack"}
    whole = text + PADDING
    parts = [part for found in draft.evidence.values() for part in found]
    assert all(whole[part.start : part.end] == part.text for part in parts)
    assert not any("will" in part.text.split() for part in parts)
