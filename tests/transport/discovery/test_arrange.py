"""Which places a client uses: zones, priorities and subsets."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.transport.discovery import DiscoveryConfig, Place, arranged

MANY = [Place(url=f"http://10.{n >> 8}.{n & 255}.1:80") for n in range(10_000)]


def test_own_zone_comes_one_step_before_the_others() -> None:
    """Priority goes first, the zone second, and the steps are counted without gaps."""
    places = [
        Place(url="http://far", zone="b"),
        Place(url="http://near", zone="a"),
        Place(url="http://spare", zone="a", priority=7),
    ]
    steps = {place.url: place.priority for place in arranged(places, DiscoveryConfig(zone="a"))}
    assert steps == {"http://near": 0, "http://far": 1, "http://spare": 2}


def test_without_a_zone_nobody_is_preferred() -> None:
    """Zones of the places alone change nothing."""
    places = [Place(url="http://a", zone="a"), Place(url="http://b", zone="b")]
    assert {place.priority for place in arranged(places, DiscoveryConfig())} == {0}


@given(st.randoms(use_true_random=False))
def test_order_of_the_listing_changes_nothing(random: object) -> None:
    """Equal sets give equal results, so that a registry that shuffles causes no change."""
    places = MANY[:50]
    shuffled = list(places)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis names no type
    options = DiscoveryConfig(subset=10, client=7)
    assert arranged(shuffled, options) == arranged(places, options)


def test_client_of_ten_thousand_places_keeps_its_own_few() -> None:
    """The subset depends on client and list alone, and a place that leaves moves at most one other."""
    options = DiscoveryConfig(client=3)
    chosen = {place.url for place in arranged(MANY, options)}
    assert len(chosen) == options.subset
    gone = next(iter(chosen))
    after = {place.url for place in arranged([place for place in MANY if place.url != gone], options)}
    assert chosen - after == {gone}
    assert len(after - chosen) == 1


def test_all_clients_together_use_all_places() -> None:
    """With 200 clients of 20 places each, 100 places have about 40 clients."""
    uses = Counter(
        place.url for client in range(200) for place in arranged(MANY[:100], DiscoveryConfig(subset=20, client=client))
    )
    assert len(uses) == 100
    assert min(uses.values()) > 15
    assert max(uses.values()) < 70


@pytest.mark.parametrize(
    "options",
    [{"subset": 0}, {"client": -1}, {"first_wait": 0}, {"retry_pause": 5.0, "longest_pause": 1.0}, {"retry_pause": -1}],
)
def test_option_out_of_range_is_refused(options: dict[str, float]) -> None:
    """Nothing is clamped in silence."""
    with pytest.raises(ConfigurationInvalid):
        DiscoveryConfig(**options)  # type: ignore[arg-type]  # wrong on purpose
