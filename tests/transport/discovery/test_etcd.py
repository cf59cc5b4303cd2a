"""Places from a real etcd."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.discovery.programs import EtcdServer, becomes
from tests.transport.discovery.test_watcher import Sink
from tests.transport.servers import free_port

from schemawire.errors import ConfigurationInvalid, SchemawireError
from schemawire.transport.discovery import DiscoveryConfig, EtcdDiscovery, Listing, Place, Watcher
from schemawire.transport.discovery.etcd import end_of
from schemawire.transport.discovery.urls import discovery_of

PREFIX = "/services/back/"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Keys:
    """Writes keys of an etcd."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
        async with aiohttp.ClientSession() as session, session.post(self._url + path, json=body) as reply:
            assert reply.status == 200
            found: dict[str, dict[str, str]] = await reply.json()
            return found

    async def put(self, name: str, value: object) -> int:
        text = value if isinstance(value, str) else json.dumps(value)
        reply = await self._post("/v3/kv/put", {"key": encoded(PREFIX + name), "value": encoded(text)})
        return int(reply["header"]["revision"])

    async def delete(self, name: str) -> None:
        await self._post("/v3/kv/deleterange", {"key": encoded(PREFIX + name)})

    async def compact(self, revision: int) -> None:
        await self._post("/v3/kv/compaction", {"revision": str(revision)})


async def until(listings: AsyncGenerator[Listing, None], wanted: Callable[[Listing], bool]) -> Listing:
    async with asyncio.timeout(10):
        while True:
            listing = await anext(listings)
            if wanted(listing):
                return listing


@pytest.fixture
def etcd(tmp_path: Path) -> EtcdServer:
    return EtcdServer(tmp_path)


async def test_prefix_is_read_and_then_followed(etcd: EtcdServer) -> None:
    """What is there comes first, each change after it at once, deletions included."""
    async with etcd.serving():
        keys = Keys(etcd.url)
        await keys.put("1", "http://a:1#zone=x")
        await keys.put("2", {"url": "http://b:1", "weight": 3})
        async with aclosing(EtcdDiscovery(etcd.url, PREFIX).watch()) as listings:
            assert (await anext(listings)).places == (
                Place(url="http://a:1", zone="x"),
                Place(url="http://b:1", weight=3.0),
            )
            await keys.put("3", {"Op": 0, "Addr": "c:1"})
            assert len((await anext(listings)).places) == 3
            await keys.delete("1")
            assert [place.url for place in (await anext(listings)).places] == ["http://b:1", "http://c:1"]


async def test_keys_outside_the_prefix_do_not_count(etcd: EtcdServer) -> None:
    """`/services/back/` is not `/services/backup`."""
    async with etcd.serving():
        keys = Keys(etcd.url)
        await keys.put("1", "http://a:1")
        await keys.put("../../backup", "http://b:1")
        async with aclosing(EtcdDiscovery(etcd.url, "/services/back/1").watch()) as listings:
            assert [place.url for place in (await anext(listings)).places] == ["http://a:1"]


async def test_bad_values_are_left_out_and_named(etcd: EtcdServer) -> None:
    """One wrong registration does not hide the others."""
    async with etcd.serving():
        keys = Keys(etcd.url)
        await keys.put("1", "http://a:1")
        for number, value in enumerate(["", "{", "file:///etc/passwd", {"url": "http://b", "weight": 1e9}, "\0"]):
            await keys.put(f"bad{number}", value)
        async with aclosing(EtcdDiscovery(etcd.url, PREFIX).watch()) as listings:
            listing = await anext(listings)
    assert [place.url for place in listing.places] == ["http://a:1"]
    assert len(listing.problems) == 5


async def test_silence_is_not_trusted_for_ever(etcd: EtcdServer) -> None:
    """After `resync` seconds without news everything is read anew."""
    async with etcd.serving():
        await Keys(etcd.url).put("1", "http://a:1")
        async with aclosing(EtcdDiscovery(etcd.url, PREFIX, resync=0.2).watch()) as listings:
            assert await anext(listings) == await anext(listings) == await anext(listings)


async def test_compacted_revision_leads_to_a_fresh_reading(etcd: EtcdServer) -> None:
    """When the changes since the last reading are gone, the whole prefix is read again."""
    async with etcd.serving():
        keys = Keys(etcd.url)
        source = EtcdDiscovery(etcd.url, PREFIX)
        await keys.put("1", "http://a:1")
        async with aclosing(source.watch()) as listings:
            # The reading is held before the watch begins, so that the changes happen in between.
            await anext(listings)
            await keys.put("2", "http://b:1")
            await keys.compact(await keys.put("3", "http://c:1"))
            listing = await until(listings, lambda listing: len(listing.places) == 3)
    assert [place.url for place in listing.places] == ["http://a:1", "http://b:1", "http://c:1"]


async def test_restart_of_etcd_keeps_the_last_good_places(etcd: EtcdServer) -> None:
    """While it is away nothing changes; once it is back its changes arrive."""
    sink = Sink()
    options = DiscoveryConfig(retry_pause=0.05, longest_pause=0.1)
    watcher = Watcher(EtcdDiscovery(etcd.url, PREFIX), options, sink.take)
    async with etcd.serving():
        await Keys(etcd.url).put("1", "http://a:1")
        watcher.start()
        await watcher.first(asyncio.get_running_loop().time() + 5.0)
    await becomes(lambda: watcher.statistics().failures > 0)
    assert watcher.statistics().places == 1
    async with etcd.serving():
        await Keys(etcd.url).put("2", "http://b:1")
        await becomes(lambda: watcher.statistics().places == 2)
    await watcher.aclose()
    assert [urls for _, urls in sink.taken] == [["http://a:1"], ["http://a:1", "http://b:1"]]


async def test_next_member_is_asked_when_one_is_down(etcd: EtcdServer) -> None:
    """A cluster is known by several addresses."""
    async with etcd.serving():
        await Keys(etcd.url).put("1", "http://a:1")
        source = EtcdDiscovery([f"http://127.0.0.1:{free_port()}", etcd.url], PREFIX)
        async with aclosing(source.watch()) as listings:
            assert len((await anext(listings)).places) == 1


async def test_etcd_that_is_down_is_an_error() -> None:
    """It is raised for the watcher, which keeps what it has."""
    async with aclosing(EtcdDiscovery(f"http://127.0.0.1:{free_port()}", PREFIX).watch()) as listings:
        with pytest.raises(SchemawireError):
            await anext(listings)


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=6))
def test_end_of_a_prefix_lies_behind_all_its_keys_and_before_the_next(prefix: bytes, rest: bytes) -> None:
    """A key is in the range exactly if it begins with the prefix."""
    end = end_of(prefix)
    assert end == b"\0" or prefix + rest < end
    if not rest.startswith(prefix):
        assert rest < prefix or (end != b"\0" and rest >= end)


def test_empty_prefix_is_refused() -> None:
    """It would take every key of the cluster for an endpoint."""
    with pytest.raises(ConfigurationInvalid):
        EtcdDiscovery("http://a:2379", "")


async def test_cluster_that_asks_for_a_password_is_signed_in_to(tmp_path: Path) -> None:
    """Name and password come from a file; without them, or with wrong ones, the source fails and says so."""
    etcd, secret = EtcdServer(tmp_path), tmp_path / "secret"
    secret.write_text("root:hush\n")
    address = f"etcd+{etcd.url}{PREFIX}?credentials_file={secret}"
    async with etcd.serving():
        keys = Keys(etcd.url)
        await keys.put("a", "http://10.0.0.1:80")
        await keys._post("/v3/auth/user/add", {"name": "root", "password": "hush"})
        await keys._post("/v3/auth/role/add", {"name": "root"})
        await keys._post("/v3/auth/user/grant", {"user": "root", "role": "root"})
        await keys._post("/v3/auth/enable", {})
        async with aclosing(discovery_of(address).watch()) as listings:
            listing = await until(listings, lambda listing: bool(listing.places))
            assert listing.places == (Place(url="http://10.0.0.1:80"),)
        for credentials in ("", "root:wrong", "no colon"):
            secret.write_text(credentials)
            async with aclosing(discovery_of(address).watch()) as listings:
                with pytest.raises(SchemawireError) as caught:
                    await anext(listings)
                assert "hush" not in str(caught.value)
        async with aclosing(EtcdDiscovery(etcd.url, PREFIX).watch()) as listings:
            with pytest.raises(SchemawireError):
                await anext(listings)
