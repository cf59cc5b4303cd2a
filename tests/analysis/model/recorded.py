"""Drafts of the project's own texts as language models of different worth hand them in, written in a short notation.

`Thing < Parent: field, field (value | value)` and `Source 1 verb 0..* Target`, one per line.
"""

import random
import re
from typing import Any

GOOD = {
    "BikeSharing": """
        Station: station_code, street_address, capacity
        Bike: frame_number, colour, condition (good | damaged | in repair)
        Rider: name, email_address, phone_number
        Subscription: start_date, end_date, monthly_price
        Trip: start_time, end_time, distance
        Fee: amount
        Mechanic: name, employee_number
        Station 0..1 parks 0..* Bike
        Rider 1 holds 0..1 Subscription
        Rider 1 makes 0..* Trip
        Bike 1 usedIn 0..* Trip
        Trip 0..* startsAt 1 Station
        Trip 1 charged 0..1 Fee
        Mechanic 0..* repairs 0..* Bike""",
    "DentalPractice": """
        Patient: name, date_of_birth, address, insurance_number
        Dentist: name, licence_number, specialties
        Appointment: date, time, duration
        Treatment: code, description, price
        Invoice: invoice_date, total_amount, paid
        Payment: amount, date, method (cash | card | bank transfer)
        Reminder:
        Receptionist:
        Patient 1 books 0..* Appointment
        Dentist 1 attends 0..* Appointment
        Appointment 1 includes 1..* Treatment
        Invoice 0..* billedTo 1 Patient
        Invoice 1 paidBy 0..* Payment
        Receptionist 1 creates 0..* Invoice
        Patient 1 receives 0..* Reminder""",
    "FilmFestival": """
        Cinema: name, address
        Hall: number, number_of_seats
        Director:
        Film: title, country, year_of_production, running_time
        Documentary < Film:
        ShortFilm < Film:
        FeatureFilm < Film:
        Screening: date, start_time
        Visitor:
        Ticket: number, price, seat_number
        Jury:
        Juror: name, nationality, biography
        Prize: name, amount
        Cinema 1 has 1..* Hall
        Director 1 submits 0..* Film
        Film 1 shownIn 0..* Screening
        Screening 0..* takesPlaceIn 1 Hall
        Visitor 1 buys 0..* Ticket
        Ticket 0..* for 1 Screening
        Jury 1 consistsOf 3..* Juror
        Jury 1 awards 0..* Prize
        Prize 0..* wonBy 0..1 Film""",
    "FireBrigade": """
        Station: name, address, phone_number
        Member: service_number, name, rank
        Firefighter < Member:
        Paramedic < Member:
        Vehicle: call_sign, licence_plate, type
        Inspection: date, inspector, result
        Incident: incident_number, address, priority, description
        Dispatch: time_of_departure, time_of_return
        Equipment: barcode, name, expiry_date
        Report: summary, damage, number_of_injured_people
        Member 0..* attachedTo 1 Station
        Station 1 keeps 0..* Vehicle
        Vehicle 1 undergoes 0..* Inspection
        Vehicle 1 takesPartIn 0..* Dispatch
        Incident 1 triggers 1..* Dispatch
        Vehicle 0..1 carries 0..* Equipment
        Incident 1 documentedBy 0..1 Report""",
    "CommunityGarden": """
        Plot: number, size, soil_type
        Member: membership_number, name, email_address
        Lease: start_date, end_date, annual_fee
        Crop: name, planting_season, harvest_season
        Tool: name, condition, inventory_number
        Loan: borrowing_date, return_date
        WorkDay: date, task, number_of_hours
        Committee:
        Member 1 holds 0..2 Lease
        Lease 0..* covers 1 Plot
        Member 0..* grows 0..* Crop
        Plot 1 bears 0..* Crop
        Member 1 takesOut 0..* Loan
        Loan 0..* of 1 Tool
        Member 0..* attends 0..* WorkDay
        Committee 0..1 consistsOf 3 Member""",
    "CourtCases": """
        Case: docket_number, title, filing_date, status
        Judge:
        Chamber:
        Party:
        Plaintiff < Party:
        Defendant < Party:
        Lawyer: name, bar_number
        LawFirm:
        Hearing: date, time, minutes
        Courtroom: number, floor
        Document: title, type, submission_date, number_of_pages
        Ruling: date, text, outcome
        Case 0..* assignedTo 1 Judge
        Judge 1..* belongsTo 1 Chamber
        Case 0..* involves 2..* Party
        Lawyer 0..* represents 0..* Party
        Lawyer 0..* worksFor 1 LawFirm
        Hearing 0..* scheduledFor 1 Case
        Hearing 0..* takesPlaceIn 1 Courtroom
        Lawyer 1 submits 0..* Document
        Document 0..* partOf 1 Case
        Judge 1 issues 0..* Ruling
        Case 1 endsWith 0..1 Ruling""",
}

HALLUCINATED = """
    Dragon: wingspan, fire_temperature
    Spaceship: warp_factor
    Customer: loyalty_points, shoe_size
    Invoice: blockchain_hash
    Dragon 1 pilots 0..* Spaceship
    Customer 1 rides 0..* Dragon"""
"""Nothing of it is in any of the texts."""

_THING = re.compile(r"(\w+)(?: < (\w+))?:(.*)")
_LINK = re.compile(r"(\w+) (\S+) (\w+) (\S+) (\w+)")
_FIELD = re.compile(r"(\w+)(?: \(([^)]*)\))?")


def answer_of(notation: str) -> dict[str, Any]:
    """The answer that a model gives, without quotes: evidence is what its words give."""
    entities: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    for line in filter(None, map(str.strip, notation.splitlines())):
        if thing := _THING.fullmatch(line):
            fields = [_field(name, values) for name, values in _FIELD.findall(thing[3])]
            entities.append({"name": thing[1], "extends": thing[2], "fields": fields})
        elif link := _LINK.fullmatch(line):
            source, low, name, high, target = link.groups()
            ends = {"source": source, "target": target, "sourceCardinality": low, "targetCardinality": high}
            links.append({"name": name, **ends})
    return {"name": "recorded", "entities": entities, "relationships": links}


def _field(name: str, values: str) -> dict[str, Any]:
    listed = [value.strip() for value in values.split("|")] if values else None
    return {"name": name, "type": "enum" if listed else "string", "required": True, "values": listed}


def poor(notation: str, seed: int) -> str:
    """A weak model's draft: half of the lines lost, and fields given to the wrong thing."""
    rng = random.Random(seed)
    lines = [line.strip() for line in notation.splitlines() if line.strip()]
    kept = [line for line in lines if rng.random() < 0.5]
    return "\n".join(line if rng.random() < 0.8 else re.sub(r":.*", ": name, price, status", line) for line in kept)


def padded(notation: str) -> str:
    """A talkative model's draft: the good one with things and fields that the text does not mention."""
    extra = "AuditLog: changed_by, ip_address\nTenant: slug\nSession: token\nTenant 1 owns 0..* AuditLog"
    return re.sub(r"^(\s*\w+:.*\w)$", r"\1, external_uuid, tax_rate", notation, flags=re.MULTILINE) + "\n" + extra


def simulated_answer(case: dict[str, Any], rng: random.Random, keep: float, noise: float) -> dict[str, Any]:
    """A draft that keeps each part of a reference model with a probability, and takes words of the text for more."""
    words = re.findall(r"[a-z]{4,}", case["text"])
    things = [name for name in case["classes"] if rng.random() < keep]
    things += rng.sample(words, int(noise * len(things)))
    kinds = {link[0]: link[1] for link in case["relationships"] if link[2] == "inheritance"}
    entities = []
    for thing in things:
        names = [name for owner, name, *_ in case["attributes"] if owner == thing and rng.random() < keep]
        names += [rng.choice(words)] if rng.random() < noise else []
        parent = kinds.get(thing) if rng.random() < keep else None
        entities.append({"name": thing, "extends": parent, "fields": [_field(name, "") for name in names]})
    pairs = [link[:2] for link in case["relationships"] if link[2] != "inheritance" and set(link[:2]) <= set(things)]
    pairs = [pair for pair in pairs if rng.random() < keep]
    pairs += [rng.choices(things, k=2) for _ in range(int(noise * len(pairs)))]
    links = [{"name": "relates", "source": source, "target": target} for source, target in pairs]
    return {"name": "simulated", "entities": entities, "relationships": links}
