"""Addresses and SRV records from a real DNS server."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.transport.discovery.programs import DnsServer

from schemawire.errors import ConfigurationInvalid, ConnectFailed
from schemawire.transport.discovery import DnsDiscovery, Place, SrvDiscovery
from schemawire.transport.discovery.dns import LONGEST_TTL, REFRESH, SHORTEST_TTL, _bounded


@pytest.fixture
def server(tmp_path: Path) -> DnsServer:
    return DnsServer(tmp_path)


async def first(source: DnsDiscovery | SrvDiscovery) -> tuple[Place, ...]:
    async with aclosing(source.watch()) as listings:
        listing = await anext(listings)
        assert not listing.problems
        return listing.places


async def test_every_address_of_a_name_is_a_place(server: DnsServer) -> None:
    """A and AAAA records count alike, and the name stays what requests ask for."""
    async with server.serving("host-record=back.test,127.0.0.2,::2,60", "host-record=back.test,127.0.0.3,60"):
        places = await first(DnsDiscovery("back.test", 8084, path="/base", server=server.address))
    assert [place.url for place in places] == [
        "http://127.0.0.2:8084/base",
        "http://127.0.0.3:8084/base",
        "http://[::2]:8084/base",
    ]
    assert {place.authority for place in places} == {"back.test:8084"}


async def test_records_are_looked_up_again_when_they_expire(server: DnsServer) -> None:
    """The time to live of the answer is the pause; then the change is seen."""
    source = DnsDiscovery("back.test", 80, server=server.address)
    async with aclosing(source.watch()) as listings:
        async with server.serving("host-record=back.test,127.0.0.2,1"):
            assert [place.url for place in (await anext(listings)).places] == ["http://127.0.0.2:80"]
        async with server.serving("host-record=back.test,127.0.0.9,1"):
            started = asyncio.get_running_loop().time()
            assert [place.url for place in (await anext(listings)).places] == ["http://127.0.0.9:80"]
            assert asyncio.get_running_loop().time() - started < 5.0


async def test_srv_records_carry_port_priority_and_weight(server: DnsServer) -> None:
    """A weight of 0 beside others is a very small one, as RFC 2782 asks."""
    records = [
        "srv-host=_http._tcp.back.test,a.test,8001,0,10",
        "srv-host=_http._tcp.back.test,b.test,8002,0,0",
        "srv-host=_http._tcp.back.test,c.test,8003,1,5",
    ]
    async with server.serving(*records):
        places = await first(SrvDiscovery("_http._tcp.back.test", scheme="https", server=server.address))
    assert places == (
        Place(url="https://a.test:8001", weight=10.0),
        Place(url="https://b.test:8002", weight=0.1),
        Place(url="https://c.test:8003", weight=5.0, priority=1),
    )


async def test_equal_weights_of_zero_are_equal_shares(server: DnsServer) -> None:
    """Where no record has a weight, none is preferred."""
    async with server.serving("srv-host=_s.test,a.test,1", "srv-host=_s.test,b.test,2"):
        places = await first(SrvDiscovery("_s.test", server=server.address))
    assert {place.weight for place in places} == {1.0}


async def test_name_that_does_not_exist_is_an_error(server: DnsServer) -> None:
    """It is told apart from a name with no such records, and says which name."""
    async with server.serving("host-record=other.test,127.0.0.2"):
        with pytest.raises(ConnectFailed, match=r"none\.test"):
            await first(DnsDiscovery("none.test", 80, server=server.address))


async def test_name_without_such_records_lists_nothing(server: DnsServer) -> None:
    """The watcher then keeps what was good before."""
    async with server.serving("txt-record=back.test,hello"):
        assert await first(SrvDiscovery("back.test", server=server.address)) == ()


async def test_server_that_is_down_is_an_error_in_time(server: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at the port, and the look-up ends."""
    monkeypatch.setattr("schemawire.transport.discovery.dns._LIFETIME", 0.3)
    with pytest.raises(ConnectFailed, match=r"back\.test"):
        await first(DnsDiscovery("back.test", 80, server=server.address))


async def test_system_resolver_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dnspython the operating system is asked."""
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    places = await first(DnsDiscovery("localhost", 8084))
    assert "http://127.0.0.1:8084" in {place.url for place in places}


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """SRV records cannot be had from the operating system, and the error says what to install."""
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    with pytest.raises(ConfigurationInvalid) as caught:
        SrvDiscovery("_http._tcp.back.test")
    assert "schemawire[dns]" in caught.value.fix


@pytest.mark.parametrize("server", ["10.0.0.2", "nonsense:53", "10.0.0.2:port"])
def test_malformed_server_is_refused(server: str) -> None:
    """A resolver is given by address and port."""
    with pytest.raises(ConfigurationInvalid):
        DnsDiscovery("back.test", 80, server=server)


@pytest.mark.parametrize(("ttl", "pause"), [(0.0, SHORTEST_TTL), (42.0, 42.0), (1e6, LONGEST_TTL)])
def test_time_to_live_is_believed_within_bounds(ttl: float, pause: float) -> None:
    """0 would hammer the server, a day would outlast a fail-over; without records there is none."""
    assert _bounded(ttl) == pause
    assert _bounded(float("inf")) == REFRESH
