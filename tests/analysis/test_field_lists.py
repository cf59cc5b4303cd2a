"""Lists of fields in prose: in brackets, behind a colon, with what their items share."""

import pytest
from tests.analysis.test_parser import draft_of, fields_of

from schemawire.analysis.parsing import is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the nlp extra")


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("Sailors (name, rank and phone number) steer ships. A ship has a flag.", "Sailor",
         {"name", "rank", "phone_number"}),
        ("A cabin (number, floor and size) can be booked by a guest. Guests have a name.", "Cabin",
         {"number", "floor", "size"}),
        ("The inspections of a bridge (date, duration and reason) are stored. A bridge has a length.", "Inspection",
         {"date", "duration", "reason"}),
        ("Guests register their car (plate, make, colour). Guests have a name.", "Car", {"plate", "make", "colour"}),
    ],
)  # fmt: skip
def test_brackets_behind_a_thing_list_its_fields(text: str, entity: str, fields: set[str]) -> None:
    """Known fields in brackets are fields of what stands before them, wherever that stands in its sentence."""
    assert fields <= fields_of(text, entity)
    assert not draft_of(text).schema.enums


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("Several readings are combined into a forecast: latitude, longitude, height and time. Readings have a date.",
         "Forecast", {"latitude", "longitude", "height", "time"}),
        ("A doctor writes a prescription for each patient: number, duration and dose. Doctors have a name.",
         "Prescription", {"number", "duration", "dose"}),
        ("A tour is offered with these details: title, duration, price. Guides lead tours.", "Tour",
         {"title", "duration", "price"}),
    ],
)  # fmt: skip
def test_fields_behind_a_colon_belong_to_what_is_told_of(text: str, entity: str, fields: set[str]) -> None:
    """A list of known fields behind a colon is neither a list of values nor lost."""
    assert fields <= fields_of(text, entity)
    assert not draft_of(text).schema.enums


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("A ticket has opening and closing times and a title. Tickets belong to guests.", "Ticket",
         {"opening_times", "closing_times", "title"}),
        ("For each flight the arrival and departure time are stored. Flights have a number.", "Flight",
         {"arrival_time", "departure_time"}),
        ("Every edition has a monthly and a yearly price and a title. Editions have readers.", "Edition",
         {"monthly_price", "yearly_price", "title"}),
        ("A visit has a planned start and end. Visits are made by nurses.", "Visit", {"planned_start", "planned_end"}),
        ("A window has a start, an end and a name. Windows belong to a satellite.", "Window", {"start", "end", "name"}),
        ("Every panel has a code, a location with coordinates, a format and a title. Panels are rented.", "Panel",
         {"code", "location", "format", "title"}),
        ("A transformer is characterised by a serial number, a rated power and a year of manufacture.", "Transformer",
         {"serial_number", "rated_power", "year_of_manufacture"}),
    ],
)  # fmt: skip
def test_items_of_a_list_are_completed(text: str, entity: str, fields: set[str]) -> None:
    """What an item shares with the next belongs to both, and a list goes on behind "with" and "of"."""
    assert fields <= fields_of(text, entity)


def test_values_in_brackets_stay_values() -> None:
    """What is no field, behind what is one, says what that may be."""
    text = "A cabin has a number and a status (free, booked or closed). Cabins have guests."
    assert [enum.values for enum in draft_of(text).schema.enums] == [("free", "booked", "closed")]


@pytest.mark.parametrize(
    ("text", "entity", "fields"),
    [
        ("An order shows the guest, with their name and phone number. Orders have a date.", "Guest",
         {"name", "phone_number"}),
    ],
)  # fmt: skip
def test_their_means_the_person(text: str, entity: str, fields: set[str]) -> None:
    """Behind a subject that is no person, "their" means the last person named."""
    assert fields <= fields_of(text, entity)
