"""Kinds of sentences that exercises and requirement documents are made of: what comes out of them and what not."""

import pytest
from tests.analysis.test_parser import draft_of, fields_of

from schemawire.analysis.parsing import is_installed
from schemawire.schema import DomainSchema

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")


def names_of(schema: DomainSchema) -> set[str]:
    return {entity.name for entity in schema.entities}


def pairs_of(schema: DomainSchema) -> set[frozenset[str]]:
    return {frozenset((link.source, link.target)) for link in schema.relationships}


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("In the past, loans were noted by hand, which led to mistakes. As a result much time was lost.",
         {"Past", "Hand", "Mistake", "Result", "ResultMuchTime", "MuchTime"}),
        ("It should be easy to use, and it should work well on slow and old machines.",
         {"Machine", "SlowMachine", "OldMachine"}),
        ("Nothing else matters here. Nobody may enter a loan for someone else, whom the librarian must trust.",
         {"Nothing", "Nobody", "Someone", "Whom"}),
        ("The branch was founded in 1921 by a group of weavers, who donated a mill and three looms.",
         {"Weaver", "Mill", "Loom"}),
        ("In general, readers come in person. For this reason, at the moment no letters are kept in total.",
         {"General", "Person", "Reason", "Moment", "Total"}),
    ],
)  # fmt: skip
def test_background_makes_no_entity(text: str, absent: set[str]) -> None:
    """History, wishes for the product, pronouns and adverbial idioms name nothing that is kept."""
    names = names_of(draft_of(text).schema)
    assert not names & absent
    assert {"Book", "Reader"} <= names


def test_what_is_recorded_for_a_thing_does_not_hold_it() -> None:
    """What stands behind "for each" owns the list that follows; it is no item of the list."""
    text = "For each grave, the row, the number and the date of burial are recorded. A family leases graves."
    assert {"number", "date_of_burial"} <= fields_of(text, "Grave")
    assert frozenset({"Grave"}) not in pairs_of(draft_of(text).schema)
