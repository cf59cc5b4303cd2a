"""Places from Consul's recorded contract: blocking queries, weights, hostile entries."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.transport.discovery.contracts import ConsulContract, instance
from tests.transport.discovery.programs import becomes

from schemawire.errors import BadReply, ConfigurationInvalid, ConnectFailed, Unauthenticated
from schemawire.transport.discovery import ConsulDiscovery, Listing, Place


async def first(contract: ConsulContract, **options: Any) -> Listing:
    async with contract.serving(), aclosing(ConsulDiscovery(contract.url, "back", **options).watch()) as listings:
        return await anext(listings)


async def test_instances_are_listed_and_changes_told_at_once() -> None:
    """The first query returns at once, the next blocks with the index until something changes."""
    contract = ConsulContract(instance("10.0.0.1"), instance("10.0.0.2"))
    async with contract.serving(), aclosing(ConsulDiscovery(contract.url, "back").watch()) as listings:
        assert [place.url for place in (await anext(listings)).places] == [
            "http://10.0.0.1:8084",
            "http://10.0.0.2:8084",
        ]
        waiting = asyncio.ensure_future(anext(listings))
        await becomes(lambda: len(contract.asked) == 2)
        contract.change([instance("10.0.0.3")], "11")
        assert [place.url for place in (await waiting).places] == ["http://10.0.0.3:8084"]
    assert "index" not in contract.asked[0].query
    assert contract.asked[1].query == {"passing": "true", "wait": "55000ms", "index": "10"}


async def test_weight_zone_priority_and_node_address_are_read() -> None:
    """A service without its own address is at its node's."""
    service = {"Weights": {"Passing": 7}, "Meta": {"zone": "eu-1", "priority": "2"}}
    listing = await first(ConsulContract(instance("", 80, **service)), scheme="https")
    assert listing.places == (Place(url="https://10.1.10.12:80", weight=7.0, priority=2, zone="eu-1"),)


async def test_options_reach_the_agent(tmp_path: Path) -> None:
    """Tag, data centre and token are sent, the token in its own header."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    contract = ConsulContract(instance("a"))
    await first(contract, tag="v1", datacenter="eu", token_file=str(token))
    [asked] = contract.asked
    assert (asked.query["tag"], asked.query["dc"], asked.headers["x-consul-token"]) == ("v1", "eu", "s3cret")
    assert asked.path == "/v1/health/service/back"


async def test_index_that_goes_backwards_begins_anew() -> None:
    """After a restore of the servers the old index means nothing, and must not be asked about again."""
    contract = ConsulContract(instance("a"))
    async with contract.serving(), aclosing(ConsulDiscovery(contract.url, "back").watch()) as listings:
        await anext(listings)
        contract.change([instance("b")], "3")
        assert [place.url for place in (await anext(listings)).places] == ["http://b:8084"]
        await anext(listings)
    assert [asked.query.get("index") for asked in contract.asked] == [None, "10", None]


async def test_bad_entries_are_left_out_and_named() -> None:
    """Hostile and broken registrations do not hide the good ones, and lead nowhere else."""
    bad: list[Any] = [
        None,
        {},
        {"Service": []},
        instance("a", "80"),
        instance("a", 0),
        instance("a", True),
        instance("evil.example/path#"),
        instance("user@evil"),
        instance("a\r\nX-Evil: 1"),
        instance("w", Weights={"Passing": -1}),
        instance("z", Meta={"zone": 5, "priority": "high"}),
    ]
    listing = await first(ConsulContract(*bad, instance("good")))
    assert [place.url for place in listing.places] == ["http://good:8084"]
    assert len(listing.problems) == len(bad)


@pytest.mark.parametrize("entries", [{}, "text", 7, None])
async def test_reply_that_is_no_list_is_an_error(entries: object) -> None:
    """The watcher then keeps what it has."""
    contract = ConsulContract()
    contract.entries = entries
    with pytest.raises(BadReply):
        await first(contract)


@pytest.mark.parametrize("index", ["0", "-1", "abc", ""])
async def test_index_that_cannot_block_is_an_error(index: str) -> None:
    """Going on without a usable index would be a busy loop."""
    contract = ConsulContract(instance("a"))
    contract.index = index
    with pytest.raises(BadReply):
        await first(contract)


@pytest.mark.parametrize(("status", "error"), [(403, Unauthenticated), (500, BadReply), (302, BadReply)])
async def test_refusals_of_the_agent_are_errors(status: int, error: type[Exception]) -> None:
    """A missing right is told apart from a sick agent; no redirect is followed."""
    contract = ConsulContract()
    contract.status = status
    with pytest.raises(error):
        await first(contract)


async def test_unreadable_token_is_named_and_never_shown(tmp_path: Path) -> None:
    """The path is in the message, the content is not."""
    with pytest.raises(ConnectFailed, match="none"):
        await first(ConsulContract(), token_file=str(tmp_path / "none"))
    broken = tmp_path / "broken"
    broken.write_text("s3cret\nline")
    with pytest.raises(ConnectFailed) as caught:
        await first(ConsulContract(), token_file=str(broken))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "options", [{"service": ""}, {"service": "a/b"}, {"scheme": "ftp"}, {"wait": 0.0}, {"wait": 601}]
)
def test_malformed_option_is_refused(options: dict[str, Any]) -> None:
    """A name cannot leave its place in the path."""
    with pytest.raises(ConfigurationInvalid):
        ConsulDiscovery("http://a:8500", **{"service": "back", **options})
