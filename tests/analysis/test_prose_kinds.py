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


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("The marina has berths and storage sheds. Each berth and storage shed has a code and a length.",
         {"Berth", "StorageShed"}, {"BerthShed"}),
        ("Nurses and ward managers have a badge number and a name. Nurses wash patients.",
         {"Nurse", "WardManager"}, {"NurseManager"}),
        ("There are heat and light sensors. A sensor has a code and a range.",
         {"Sensor"}, {"Heat", "Light"}),
    ],
)  # fmt: skip
def test_listed_nouns_share_a_head_only_where_they_can(text: str, present: set[str], absent: set[str]) -> None:
    """Two nouns before a third are two things, unless the first cannot stand alone or means the same sort of thing."""
    names = names_of(draft_of(text).schema)
    assert present <= names
    assert not names & absent


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("An engineer files an inspection report about the bridge, which includes a title and a verdict "
         "(e.g. safe, restricted or closed). A bridge has a length.", "InspectionReport", {"title", "verdict"}),
        ("The claimant writes a letter to the insurer, which states the date and the amount. Letters have a subject.",
         "Letter", {"date", "amount"}),
        ("Members write reviews about patterns, which consist of a rating and a comment. A pattern has a name.",
         "Review", {"rating", "comment"}),
    ],
)  # fmt: skip
def test_which_means_the_paper_and_not_what_it_is_about(text: str, entity: str, fields: set[str]) -> None:
    """What a document includes belongs to the document, though another noun stands nearer."""
    assert fields <= fields_of(text, entity)


def test_each_of_which_means_the_parts() -> None:
    """In "decks, each of which holds crates" the crates are on the decks."""
    text = "A barge consists of three decks, each of which holds crates. A crate has a code. A deck has a height."
    pairs = pairs_of(draft_of(text).schema)
    assert {frozenset({"Barge", "Deck"}), frozenset({"Deck", "Crate"})} <= pairs


@pytest.mark.parametrize(
    ("text", "parent", "kinds"),
    [
        ("The archive is run by employees of the museum, including the head curator, the registrar and the guides. "
         "Each employee has a name and a badge number.", "Employee", {"HeadCurator", "Registrar", "Guide"}),
        ("The depot keeps vehicles such as vans, trucks and forklifts. Every vehicle has a number plate.", "Vehicle",
         {"Van", "Truck", "Forklift"}),
        ("Persons such as owners and tenants have a name and an email. A tenant pays a rent.", "Person",
         {"Owner", "Tenant"}),
        ("Vehicles, including their drivers and owners, have a name and a number plate.", "Vehicle", set()),
        ("Sites have facilities such as a swimming pool or a court. A site has a name.", "Facility", set()),
    ],
)  # fmt: skip
def test_examples_of_the_same_sort_are_kinds(text: str, parent: str, kinds: set[str]) -> None:
    """What is listed behind including or such as extends the noun before, if all of it means the same sort of thing."""
    schema = draft_of(text).schema
    assert {entity.name for entity in schema.entities if entity.extends == parent} == kinds
    assert not any(frozenset({parent, kind}) in pairs_of(schema) for kind in kinds)


@pytest.mark.parametrize(
    ("text", "enum", "values"),
    [
        ("The farm has barns and silos of many types (e.g. tower, bunker, bag). A silo has a volume and a height.",
         "SiloType", ("tower", "bunker", "bag")),
        ("A ticket has a level of urgency (low, high or critical) and a title.", "LevelOfUrgency",
         ("low", "high", "critical")),
        ("For each print the clerk marks whether the print waits for paper, is ready, or was thrown away. "
         "Each print has a title and a date.", "PrintStatus", ("waits for paper", "ready", "thrown away")),
        ("Singers note whether they will come, perhaps will come, or stay away. A singer has a name and a voice.",
         "SingerStatus", ("come", "perhaps will come", "stay away")),
    ],
)  # fmt: skip
def test_examples_levels_and_clauses_give_values(text: str, enum: str, values: tuple[str, ...]) -> None:
    """A type, a level or a list of clauses behind whether has the values that stand with it."""
    found = {found.name: found.values for found in draft_of(text).schema.enums}
    assert found.get(enum) == values


def test_examples_of_types_with_the_same_head_are_kinds() -> None:
    """Sensors of many kinds, such as a heat sensor, have that for a kind and no value for it."""
    text = "A plant has sensors of many kinds (e.g. heat sensor, light sensor). Sensors have a code and a range."
    schema = draft_of(text).schema
    assert {entity.name for entity in schema.entities if entity.extends == "Sensor"} == {"HeatSensor", "LightSensor"}


@pytest.mark.parametrize(
    ("text", "entity", "fields", "others"),
    [
        ("Each warehouse (located at a postal address) has a name and a size. A manager visits the warehouse.",
         "Warehouse", {"postal_address", "name"}, {"located"}),
        ("The nurse enters the last name, first name and phone number of the tenant's record. "
         "A tenant has a deposit. Nurses have a badge number and a wage.", "Tenant",
         {"last_name", "first_name", "phone_number", "deposit"}, set()),
    ],
)  # fmt: skip
def test_brackets_and_possessors_say_whose_a_field_is(
    text: str, entity: str, fields: set[str], others: set[str]
) -> None:
    """A bracket that goes on with the sentence belongs to it; "of the tenant's record" means the tenant."""
    assert fields <= fields_of(text, entity)
    assert not fields_of(text, entity) & others


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("A lease starts on a certain date, may end on a certain date, and requires a fee. Tenants sign leases.",
         "Lease", {"start_date", "end_date"}),
        ("A race begins at a given time and is held on a track. A race has a title and a prize money.", "Race",
         {"start_time", "title"}),
        ("A repair order is created for the skates, which includes a number, a day as well as an estimated cost. "
         "Skates have a size and a brand.", "RepairOrder", {"number", "day", "estimated_cost"}),
        ("For each pair of skates, the brand and the size are recorded. The staff keeps track of skates.", "Skate",
         {"brand", "size"}),
    ],
)  # fmt: skip
def test_fields_are_found_in_what_happens(text: str, entity: str, fields: set[str]) -> None:
    """When something begins and ends, and what a paper made for something includes, are fields of it."""
    assert fields <= fields_of(text, entity)
    assert "track" not in fields_of(text, entity)


def test_what_something_may_be_are_its_kinds() -> None:
    """A tenant, who may be a person or a club, has both for kinds."""
    text = "A plot is leased by a tenant, who may be a private person or a club. A club has a name and a seat number. "
    schema = draft_of(text + "A private person has a first name. Some tenants look after plots.").schema
    assert {entity.name for entity in schema.entities if entity.extends == "Tenant"} == {"PrivatePerson", "Club"}


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("A parcel has a seal. The seal is a wax seal, i.e. a stamp. Parcels have a weight.", "Stamp"),
        ("A patient has a name and a birth date and can call somebody who is a cook. Cooks have a wage.",
         "Somebody"),
    ],
)  # fmt: skip
def test_other_words_for_a_thing_are_no_kinds(text: str, absent: str) -> None:
    """What "i.e." explains gives no value and no kind, nor does what is said of someone."""
    schema = draft_of(text).schema
    assert absent not in names_of(schema)
    assert not any(absent.lower() in enum.values for enum in schema.enums)
    assert not any(entity.extends == "Cook" for entity in schema.entities)


def test_longer_compounds_with_the_same_head_are_kinds_too() -> None:
    """Soil moisture sensors and rain sensors are sensors, where sensors are spoken of."""
    text = (
        "There are soil moisture sensors and rain sensors. A soil moisture sensor is installed in a zone while rain "
        "sensors stand on roofs. A sensor has a code and sends readings. A reading has a value and a unit."
    )
    schema = draft_of(text).schema
    assert {entity.name for entity in schema.entities if entity.extends == "Sensor"} == {
        "SoilMoistureSensor", "RainSensor",
    }  # fmt: skip


def test_the_status_of_a_thing_has_its_values() -> None:
    """In "the state of a print (queued, failed)" the values are those of the state."""
    text = "Prints are logged with the hour and the state of a print (queued, printed, failed)."
    schema = draft_of(text + " A print has a number. Clerks fetch prints.").schema
    assert {enum.name: enum.values for enum in schema.enums}["PrintState"] == ("queued", "printed", "failed")


def test_what_something_is_in_one_case_is_no_kind() -> None:
    """A size, if it is a piece of clothing, makes no kind of anything; items of equipment are equipment."""
    text = (
        "An article has a title, a size if it is a piece of clothing, and up to five photos. Parents swap articles. "
        "Each item of equipment has an inventory number and a daily rate. Parents rent equipment."
    )
    schema = draft_of(text).schema
    assert not any(entity.extends == "Article" for entity in schema.entities)
    assert {"inventory_number", "daily_rate"} <= fields_of(text, "Equipment")
    assert not names_of(schema) & {"Piece", "Item"}


@pytest.mark.parametrize(
    "text",
    [
        "For vehicles, the licence plate and the length need to be given. Vehicles are parked by drivers.",
        "For each vehicle, the licence plate and the length have to be recorded. Vehicles are parked by drivers.",
    ],
)
def test_what_needs_to_be_given_belongs_to_what_it_is_given_for(text: str) -> None:
    """What stands before "need to be given" owns the fields, as it does before "are stored"."""
    assert {"licence_plate", "length"} <= fields_of(text, "Vehicle")


def test_dates_of_several_sorts_are_fields() -> None:
    """A planned date and an actual date share their head, yet neither is a kind of thing."""
    text = "A measure has a planned date and an actual date. Clerks set the date of a measure. The date is printed."
    assert not names_of(draft_of(text).schema) & {"Date", "PlannedDate", "ActualDate"}
    assert {"planned_date", "actual_date"} <= fields_of(text, "Measure")
