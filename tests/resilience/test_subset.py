"""Deterministic subsetting: stable, of the right size, and even over all clients."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.subset import deterministic_subset


@given(count=st.integers(1, 60), size=st.integers(1, 20), client=st.integers(0, 500))
def test_a_subset_is_stable_and_has_its_size(count: int, size: int, client: int) -> None:
    """The same client always gets the same distinct endpoints, as many as asked for or as there are."""
    endpoints = list(range(count))
    chosen = deterministic_subset(endpoints, client=client, size=size)
    assert chosen == deterministic_subset(endpoints, client=client, size=size)
    assert len(set(chosen)) == len(chosen) == min(size, count)


def test_full_rounds_of_clients_load_every_endpoint_alike() -> None:
    """12 endpoints in subsets of 3 over 40 clients: each endpoint has exactly 10 of them."""
    loads = Counter(name for client in range(40) for name in deterministic_subset(range(12), client=client, size=3))
    assert set(loads.values()) == {10}


@pytest.mark.parametrize(("client", "size"), [(-1, 3), (0, 0)])
def test_values_out_of_range_are_refused(client: int, size: int) -> None:
    """Neither a negative client nor an empty subset makes sense."""
    with pytest.raises(ConfigurationInvalid):
        deterministic_subset([1, 2], client=client, size=size)
