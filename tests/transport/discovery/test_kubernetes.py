"""Places from the Kubernetes API's recorded contract: list, watch, bookmarks, expiry."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.transport.discovery.contracts import KubernetesContract, endpoint_slice

from schemawire.errors import BadReply, ConfigurationInvalid, Unauthenticated
from schemawire.transport.discovery import KubernetesDiscovery, Listing, Place
from schemawire.transport.discovery.link import SHORTEST_TURN


def source_for(contract: KubernetesContract, **options: Any) -> KubernetesDiscovery:
    return KubernetesDiscovery(contract.url, "prod", "back", **{"port": "http", "token_file": "", **options})


def urls(listing: Listing) -> list[str]:
    return [place.url for place in listing.places]


async def test_slices_are_listed_and_then_watched() -> None:
    """Added, modified and deleted slices change the list; bookmarks do not."""
    contract = KubernetesContract(endpoint_slice("back-1", "10.0.0.1"))
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        assert (await anext(listings)).places == (Place(url="http://10.0.0.1:8084", zone="eu-1a"),)
        contract.send("ADDED", endpoint_slice("back-2", "10.0.0.2"))
        assert urls(await anext(listings)) == ["http://10.0.0.1:8084", "http://10.0.0.2:8084"]
        contract.send("BOOKMARK", {"metadata": {"resourceVersion": "200"}})
        contract.send("MODIFIED", endpoint_slice("back-1", "10.0.0.1", ready=False))
        assert urls(await anext(listings)) == ["http://10.0.0.2:8084"]
        contract.send("DELETED", endpoint_slice("back-2"))
        assert urls(await anext(listings)) == []
    asked = contract.asked
    assert asked[0].path == "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices"
    assert asked[0].query == {"labelSelector": "kubernetes.io/service-name=back"}
    assert (asked[1].query["resourceVersion"], asked[1].query["allowWatchBookmarks"]) == ("100", "true")


async def test_endpoint_counts_unless_it_says_that_it_is_not_ready() -> None:
    """An unknown condition is taken for ready, as the API asks of consumers."""
    slices = [endpoint_slice("a", "10.0.0.1", ready=None), endpoint_slice("b", "10.0.0.2", ready=False)]
    contract = KubernetesContract(*slices)
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        assert urls(await anext(listings)) == ["http://10.0.0.1:8084"]


@pytest.mark.parametrize(("port", "number"), [("http", 8084), ("metrics", 9100), ("9100", 9100), ("", 9100)])
async def test_port_is_found_by_name_number_or_place(port: str, number: int) -> None:
    """The first port stands where none is named; IPv6 addresses are bracketed."""
    contract = KubernetesContract(endpoint_slice("a", "fd00::1"))
    async with contract.serving(), aclosing(source_for(contract, port=port, scheme="https").watch()) as listings:
        assert urls(await anext(listings)) == [f"https://[fd00::1]:{number}"]


async def test_ended_and_expired_watches_list_anew() -> None:
    """A watch that ends by itself, or whose version is gone (410), is followed by a fresh list."""
    contract = KubernetesContract(endpoint_slice("a", "10.0.0.1"))
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        await anext(listings)
        contract.slices = [endpoint_slice("a", "10.0.0.2")]
        contract.end()
        assert urls(await anext(listings)) == ["http://10.0.0.2:8084"]
        contract.slices = [endpoint_slice("a", "10.0.0.3")]
        contract.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        assert urls(await anext(listings)) == ["http://10.0.0.3:8084"]


async def test_watches_that_end_at_once_do_not_become_a_storm() -> None:
    """Between two looks lies a pause, whatever the server does."""
    contract = KubernetesContract(endpoint_slice("a", "10.0.0.1"))
    for _ in range(1000):
        contract.end()
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        started = asyncio.get_running_loop().time()
        for _ in range(4):
            await anext(listings)
        assert asyncio.get_running_loop().time() - started >= 3 * SHORTEST_TURN
    assert len(contract.asked) <= 8


async def test_other_errors_of_a_watch_are_raised() -> None:
    """The watcher keeps what it has and tries again after a pause."""
    contract = KubernetesContract(endpoint_slice("a", "10.0.0.1"))
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        await anext(listings)
        contract.send("ERROR", {"kind": "Status", "code": 500})
        with pytest.raises(BadReply, match="500"):
            await anext(listings)


async def test_renewed_token_is_sent(tmp_path: Path) -> None:
    """Tokens of pods are replaced while they run, so the file is read for each request."""
    token = tmp_path / "token"
    token.write_text("one")
    contract = KubernetesContract(endpoint_slice("a", "10.0.0.1"))
    async with contract.serving(), aclosing(source_for(contract, token_file=str(token)).watch()) as listings:
        await anext(listings)
        token.write_text("two")
        contract.send("ADDED", endpoint_slice("b", "10.0.0.2"))
        await anext(listings)
    assert [asked.headers["authorization"] for asked in contract.asked] == ["bearer one", "bearer two"]


async def test_refused_token_is_told_apart() -> None:
    """401 is no outage."""
    contract = KubernetesContract()
    contract.status = 401
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        with pytest.raises(Unauthenticated):
            await anext(listings)


async def test_broken_endpoints_are_left_out_and_named() -> None:
    """Slices of strange shape do not hide the good ones."""
    strange = [
        endpoint_slice("a", "10.0.0.1"),
        endpoint_slice("b", "10.0.0.2", ports=None),
        endpoint_slice("c", ports=[], endpoints=None),
        endpoint_slice("d", endpoints=["x", {"addresses": []}, {"addresses": ["a b"]}, {"conditions": 5}]),
        endpoint_slice("e", endpoints={"addresses": ["10.0.0.9"]}),
    ]
    contract = KubernetesContract(*strange)
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        listing = await anext(listings)
    assert urls(listing) == ["http://10.0.0.1:8084"]
    assert len(listing.problems) == 6


@pytest.mark.parametrize("item", [None, 7, {"metadata": {}}])
async def test_item_without_a_name_is_an_error(item: Any) -> None:
    """Without a name no later event could change it."""
    contract = KubernetesContract(item)
    async with contract.serving(), aclosing(source_for(contract).watch()) as listings:
        with pytest.raises(BadReply):
            await anext(listings)


@pytest.mark.parametrize("options", [{"namespace": "../x"}, {"service": "a/b"}, {"scheme": "ftp"}, {"resync": 0}])
def test_malformed_option_is_refused(options: dict[str, Any]) -> None:
    """A name cannot leave its place in the path."""
    with pytest.raises(ConfigurationInvalid):
        KubernetesDiscovery("https://a", **{"namespace": "prod", "service": "back", **options})
