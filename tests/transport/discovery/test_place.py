"""How places are written, and what is refused."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.transport.discovery.place import MAX_PLACES, Place, listing_of, parse_place, parse_places, place_from


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://a:1", Place(url="http://a:1")),
        (" http://a:1/base/ ", Place(url="http://a:1/base")),
        ("http://a:1#weight=2", Place(url="http://a:1", weight=2.0)),
        ("https://a#zone=eu-1&priority=3&weight=0.5", Place(url="https://a", weight=0.5, priority=3, zone="eu-1")),
        ("http://[::1]:8084#zone=a%20b", Place(url="http://[::1]:8084", zone="a b")),
    ],
)
def test_suffix_names_weight_priority_and_zone(text: str, place: Place) -> None:
    """What stands after `#` never reaches the wire; each part may be left out."""
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#weight=2",
        "ftp://a",
        "http://a#weight",
        "http://a#weight=0",
        "http://a#weight=-1",
        "http://a#weight=nan",
        "http://a#weight=inf",
        "http://a#weight=70000",
        "http://a#priority=1.5",
        "http://a#priority=-1",
        "http://a#colour=red",
        "http://a#zone=%0d%0aX",
        "http://a#zone=" + "z" * 300,
        "http://a#weight=1&weight=2&zone=a&priority=1",
        "http://user:secret@a",
    ],
)
def test_malformed_place_is_refused_with_a_remedy(text: str) -> None:
    """The message shows how to write it, and never a password."""
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_place(text)
    assert "http://" in caught.value.fix
    assert "secret" not in str(caught.value)


def test_repeated_address_counts_once() -> None:
    """The first entry of an address stands."""
    assert parse_places("http://a#weight=3,http://b,,http://a/ ") == (
        Place(url="http://a", weight=3.0),
        Place(url="http://b"),
    )


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"url": "http://a", "weight": "2", "zone": "x", "other": [1]}, Place(url="http://a", weight=2.0, zone="x")),
        ({"Op": 0, "Addr": "10.0.0.1:80", "Metadata": None}, Place(url="http://10.0.0.1:80")),
        ({"Addr": "https://a"}, Place(url="https://a")),
        ({"url": "http://a#priority=1"}, Place(url="http://a", priority=1)),
    ],
)
def test_object_is_read_as_a_place(record: object, place: Place) -> None:
    """Its own keys and etcd's are understood, keys of others are passed over."""
    assert place_from(record) == place


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["url", "Addr", "weight", "zone"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_hostile_record_is_refused_and_nothing_else(record: Any) -> None:
    """Whatever a registry holds becomes a place in range or one typed error."""
    try:
        place = place_from(record)
    except ConfigurationInvalid:
        return
    assert place.url.startswith("http")
    assert 0 < place.weight < math.inf


def test_one_bad_entry_does_not_hide_the_good_ones() -> None:
    """A registry's list is used without the entries that cannot be, which are named."""
    listing = listing_of(["http://a", 7, {"url": None}, "http://a", {"url": "http://b", "weight": True}, "http://c"])
    assert [place.url for place in listing.places] == ["http://a", "http://c"]
    assert len(listing.problems) == 3


def test_absurdly_long_list_is_refused_as_a_whole() -> None:
    """A list beyond the bound is an accident, and reading a part of it would be arbitrary."""
    listing = listing_of(["http://a"] * (MAX_PLACES + 1))
    assert not listing.places
    assert str(MAX_PLACES) in listing.problems[0]
