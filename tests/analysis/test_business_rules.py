"""What forbids, reserves or limits something becomes an expression or a cardinality where the schema has the fields."""

import pytest

from schemawire.analysis import AnalysisOptions, OfflineAnalyser
from schemawire.analysis.completion import complete
from schemawire.analysis.lexicon import load_lexicon
from schemawire.schema.model import Rule
from schemawire.schema.rules import check

ANALYSER = OfflineAnalyser(tier="patterns")
LITERAL = AnalysisOptions.literal()
USERS = "A user has a name and a role (admin, editor, night guard or reader). Users write posts. "
MEMBERS = "A member has a name, a level (basic or premium) and whether it is active. Members reserve rooms. "


def only_rule(text: str) -> Rule:
    schema = ANALYSER.analyze_text(text, options=LITERAL).schema
    assert check(schema) == []
    [rule] = schema.rules
    return rule


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (USERS + "Only an admin may delete posts.", "User.role = 'admin'"),
        (USERS + "Only admins and editors can publish posts.", "User.role in ('admin', 'editor')"),
        (USERS + "Only night guards may close posts.", "User.role = 'night guard'"),
        (USERS + "Readers must not delete posts.", "User.role != 'reader'"),
        (USERS + "Editors and readers cannot delete posts.", "User.role not in ('editor', 'reader')"),
        (MEMBERS + "Only premium members may reserve rooms.", "Member.level = 'premium'"),
    ],
)
def test_a_role_that_is_a_value_becomes_a_condition(text: str, expression: str) -> None:
    """Whoever may do something is told by the field that has the role among its values."""
    rule = only_rule(text)
    assert (rule.kind, rule.expression) == ("authorization", expression)
    assert rule.message is not None
    assert text.endswith(rule.message)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (USERS + "Only an auditor may delete posts.", "authorization"),
        (USERS + "Only editors and auditors may delete posts.", "authorization"),
        (USERS + "Only the author of a post may delete it.", "authorization"),
        (USERS + "Only two admins may read posts.", "authorization"),
        (MEMBERS + "Premium members must not be older than a room.", "text"),
        ("A truck has a weight. A vehicle has a type (car or truck) and a driver. Only trucks may use ramps.",
         "authorization"),
        ("A visit has a start time and an end time. Two visits must not overlap.", "text"),
        ("A visit has a start time and an end time. A holiday has a name. A visit must not overlap a holiday.", "text"),
        ("A guest has a name. A dog has a name. A guest must not bring more than two loud dogs inside.", "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_stays_in_words(text: str, kind: str) -> None:
    """No field has the role, people are counted, somebody is something, two of one kind, no times, or more is said."""
    rule = only_rule(text)
    assert (rule.kind, rule.expression) == (kind, None)
    assert rule.message is not None
    assert text.endswith(rule.message)


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ("a start date and an end date",
         "Visit.end_date < Holiday.start_date or Holiday.end_date < Visit.start_date"),
        ("a start time and an end time",
         "Visit.end_time <= Holiday.start_time or Holiday.end_time <= Visit.start_time"),
    ],
)  # fmt: skip
def test_periods_of_two_kinds_of_things_are_kept_apart(fields: str, expression: str) -> None:
    """One ends before the other begins; a last day is a whole day, a last moment is not."""
    rule = only_rule(f"A visit has {fields}. A holiday has {fields}. A visit must not overlap with a holiday.")
    assert (rule.kind, rule.entity, rule.expression) == ("check", None, expression)


@pytest.mark.parametrize(
    ("sentence", "cardinality"),
    [
        ("At most five dogs per guest.", "0..5"),
        ("There may be at most two dogs per guest.", "0..2"),
        ("No more than 12 dogs are allowed per guest.", "0..12"),
        ("A guest must not bring more than three dogs.", "0..3"),
        ("Guests cannot have more than three dogs.", "0..3"),
    ],
)
def test_a_greatest_number_is_a_cardinality(sentence: str, cardinality: str) -> None:
    """How many at most stands at the relationship, whether it was told of before or not; no rule repeats it."""
    for before in ("", "Guests walk dogs. "):
        text = f"A guest has a name. A dog has a name. {before}{sentence}"
        schema = ANALYSER.analyze_text(text, options=LITERAL).schema
        [link] = schema.relationships
        assert (link.source, link.target, link.target_cardinality) == ("Guest", "Dog", cardinality)
        assert schema.rules == ()


@pytest.mark.parametrize("sentence", ["At most five dogs per day.", "At most five dogs per kennel and guest."])
def test_a_number_per_something_else_relates_nothing(sentence: str) -> None:
    """Days are nothing that has dogs, and a number per two things belongs to neither."""
    schema = ANALYSER.analyze_text(f"A guest has a name. A dog has a name. {sentence}", options=LITERAL).schema
    assert schema.relationships == ()


@pytest.mark.parametrize("sentence", ["The end date must be after the start date.", "Two trips must not overlap."])
def test_rules_of_the_same_words_have_names_of_their_own(sentence: str) -> None:
    """However often a sentence stands there, each has a name that a schema can have."""
    schema = ANALYSER.analyze_text("A trip has a start date and an end date. " + f"{sentence} " * 120).schema
    assert len({rule.name for rule in schema.rules}) == 120
    assert schema.rules[119].name == f"{schema.rules[0].name}120"


def test_an_expression_follows_the_case_of_the_fields() -> None:
    """A literal schema that is completed in camelCase has its rules in camelCase too."""
    text = "A trip has a start date and an end date. The end date must not be before the start date."
    literal = ANALYSER.analyze_text(text, options=LITERAL).schema
    made = complete(literal, text, load_lexicon(), AnalysisOptions(field_case="camel"))
    assert [rule.expression for rule in made.rules] == ["endDate >= startDate"]
    assert check(made) == []
