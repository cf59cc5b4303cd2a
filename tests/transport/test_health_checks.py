"""Active health checks: thresholds, panic, pace, and what they must not do; on virtual time."""

import asyncio
import gc
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.events import EndpointHealthChanged, Event, SilentListener
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import Client, HealthCheckConfig, Place, Request
from schemawire.transport.health_checks import AT_ONCE, CheckRecord

OK = Reply(chunks=(b"fine",))
CHECKS = HealthCheckConfig(path="/ready", interval=10.0, jitter=0.0)


class Notes(SilentListener):
    def __init__(self) -> None:
        self.changes: list[tuple[str, bool]] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, EndpointHealthChanged):
            self.changes.append((event.endpoint, event.healthy))


class Hosts:
    """A wire on which the checks of some hosts fail, and everything else is well."""

    def __init__(self, *, reply: Reply = OK, bad: Reply = Reply(status=503)) -> None:  # noqa: B008  # frozen
        self.ill: set[str] = set()
        self._reply, self._bad = reply, bad
        self.wire = ScriptedWire(then=self._answer)

    def _answer(self, request: Request) -> Reply:
        if request.url.endswith("/ready"):
            return self._bad if request.url.split("/")[2] in self.ill else OK
        return self._reply

    def checks(self) -> list[float]:
        return [sent.at for sent in self.wire.sent if sent.request.url.endswith("/ready")]

    def calls(self) -> Counter[str]:
        asked = (sent.request.url for sent in self.wire.sent if not sent.request.url.endswith("/ready"))
        return Counter(url.split("/")[2] for url in asked)


async def ask(client: Client, times: int) -> None:
    for _ in range(times):
        await client.request("GET", "/x")


@virtual_time
async def test_ill_endpoint_leaves_and_returns_by_its_thresholds() -> None:
    """Three bad checks take it out, two good ones bring it back, and each is told once."""
    hosts, notes = Hosts(), Notes()
    client = Client("http://a,http://b,http://c", wire=hosts.wire, health_check=CHECKS, listener=notes)
    hosts.ill.add("a")
    await ask(client, 1)
    await asyncio.sleep(15.0)
    assert notes.changes == []
    await asyncio.sleep(10.0)
    assert notes.changes == [("http://a", False)]
    before = hosts.calls()["a"]
    await ask(client, 50)
    assert hosts.calls()["a"] == before
    assert [each.is_healthy for each in client.statistics().endpoints] == [False, True, True]
    hosts.ill.clear()
    await asyncio.sleep(20.0)
    assert notes.changes == [("http://a", False), ("http://a", True)]
    await ask(client, 50)
    assert hosts.calls()["a"] > before
    await client.aclose()


@virtual_time
async def test_when_most_are_ill_all_are_used() -> None:
    """If less than half is healthy the checks are likelier wrong than right; the statistics say that this is panic."""
    hosts = Hosts()
    client = Client("http://a,http://b,http://c", wire=hosts.wire, health_check=CHECKS)
    hosts.ill.update("ab")
    await ask(client, 1)
    await asyncio.sleep(30.0)
    before = hosts.calls()
    await ask(client, 60)
    assert all(hosts.calls()[host] > before[host] for host in "abc")
    assert client.statistics().is_panicking
    hosts.ill.clear()
    await asyncio.sleep(30.0)
    await ask(client, 1)
    assert not client.statistics().is_panicking
    await client.aclose()


@virtual_time
async def test_ill_group_spills_over() -> None:
    """Priority groups count what checks found: with nothing healthy in the first, the second serves."""
    hosts = Hosts()
    client = Client("http://a,http://b#priority=1", wire=hosts.wire, health_check=CHECKS)
    hosts.ill.add("a")
    await ask(client, 1)
    await asyncio.sleep(30.0)
    await ask(client, 20)
    assert hosts.calls() == {"a": 1, "b": 20}
    await client.aclose()


@pytest.mark.parametrize("bad", [Reply(delay=60.0), Reply(status=404), Reply(chunks=(b"x" * 65_536,) * 17)])
@virtual_time
async def test_silence_refusal_and_flood_are_bad_answers(bad: Reply) -> None:
    """A check ends by its timeout, reads a bounded reply, and wants a status of 2xx."""
    hosts, notes = Hosts(bad=bad), Notes()
    client = Client("http://a,http://b", wire=hosts.wire, health_check=CHECKS, listener=notes)
    hosts.ill.add("a")
    await ask(client, 1)
    await asyncio.sleep(35.0)
    assert notes.changes == [("http://a", False)]
    assert hosts.wire.statistics().in_flight == 0
    await client.aclose()


@virtual_time
async def test_wire_that_raises_anything_does_not_end_the_checks() -> None:
    """The checks go on, and the endpoint counts as ill."""
    notes = Notes()

    def answer(request: Request) -> Reply:
        if request.url == "http://a/ready":
            raise RuntimeError("surprise")
        return OK

    client = Client("http://a,http://b", wire=ScriptedWire(then=answer), health_check=CHECKS, listener=notes)
    await ask(client, 1)
    await asyncio.sleep(35.0)
    assert notes.changes == [("http://a", False)]
    await client.aclose()


@virtual_time
async def test_rounds_keep_their_pace_within_the_jitter() -> None:
    """From one round to the next it is the interval, give or take its jitter, however long the checks take."""
    hosts = Hosts()
    options = HealthCheckConfig(path="/ready", interval=10.0, jitter=0.2)
    client = Client("http://a", wire=hosts.wire, health_check=options)
    await ask(client, 1)
    await asyncio.sleep(500.0)
    await client.aclose()
    times = hosts.checks()
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) > 40
    assert all(8.0 <= gap <= 12.0 for gap in gaps)
    assert max(gaps) - min(gaps) > 1.0


@virtual_time
async def test_options_change_while_checks_run() -> None:
    """The next round begins at once, at the new pace and path, and what was seen before still counts."""
    hosts = Hosts()
    slow = replace(CHECKS, interval=3600.0, unhealthy_threshold=3)
    client = Client("http://a,http://b", wire=hosts.wire, health_check=slow)
    hosts.ill.add("a")
    await ask(client, 1)
    await asyncio.sleep(30.0)
    assert len(hosts.checks()) == 2
    assert client.statistics().endpoints[0].is_healthy
    client.reload(health_check=replace(CHECKS, interval=5.0, unhealthy_threshold=2))
    await asyncio.sleep(1.0)
    assert len(hosts.checks()) == 4
    assert [each.is_healthy for each in client.statistics().endpoints] == [False, True]
    await asyncio.sleep(5.0)
    assert len(hosts.checks()) == 6
    with pytest.raises(ConfigurationInvalid, match="health_check"):
        client.reload(health_check=None)
    await client.aclose()
    await asyncio.sleep(20.0)
    assert len(hosts.checks()) == 6


@virtual_time
async def test_long_list_is_not_asked_in_one_burst() -> None:
    """A bounded number of checks is under way at once."""
    most = 0

    def answer(request: Request) -> Reply:
        nonlocal most
        most = max(most, wire.statistics().in_flight)
        return Reply(delay=0.1)

    wire = ScriptedWire(then=answer)
    client = Client([f"http://h{n}" for n in range(80)], wire=wire, health_check=CHECKS)
    await ask(client, 1)
    await asyncio.sleep(5.0)
    # The call itself is one more.
    assert AT_ONCE <= most <= AT_ONCE + 1
    await client.aclose()


@virtual_time
async def test_checks_count_neither_as_calls_nor_against_breakers() -> None:
    """They go beside the pipeline: no retry, no queue, no breaker, no call."""
    hosts = Hosts()
    client = Client("http://a", wire=hosts.wire, health_check=CHECKS)
    hosts.ill.add("a")
    await ask(client, 1)
    await asyncio.sleep(500.0)
    statistics = client.statistics()
    assert (statistics.calls.started, statistics.calls.attempts) == (1, 1)
    [endpoint] = statistics.endpoints
    assert (endpoint.failures, endpoint.is_healthy) == (0, False)
    assert (await client.request("GET", "/x")).status == 200
    await client.aclose()


@virtual_time
async def test_checks_are_off_unless_asked_for() -> None:
    """Nobody is asked anything that the caller did not want asked."""
    hosts = Hosts()
    client = Client("http://a,http://b", wire=hosts.wire)
    await ask(client, 1)
    await asyncio.sleep(100.0)
    assert hosts.checks() == []


@virtual_time
async def test_check_asks_for_the_name_that_was_looked_up() -> None:
    """A server of several names must answer for the one that is meant."""
    hosts = Hosts()
    client = Client([Place(url="http://10.0.0.1", authority="back.example")], wire=hosts.wire, health_check=CHECKS)
    await ask(client, 1)
    await asyncio.sleep(1.0)
    [check] = [sent.request for sent in hosts.wire.sent if sent.request.url.endswith("/ready")]
    assert check.headers["Host"] == "back.example"
    await client.aclose()


@virtual_time
async def test_checks_end_with_the_client_that_nobody_uses_any_more() -> None:
    """A client that is dropped without being closed leaves no task behind for ever."""
    hosts = Hosts()
    client = Client("http://a", wire=hosts.wire, health_check=CHECKS)
    await ask(client, 1)
    await asyncio.sleep(1.0)
    del client
    gc.collect()
    before = len(hosts.checks())
    await asyncio.sleep(100.0)
    assert len(hosts.checks()) <= before
    assert len(asyncio.all_tasks()) == 1


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_record_follows_a_plain_model(outcomes: list[bool], bad: int, good: int) -> None:
    """It changes exactly when the last `threshold` outcomes since its last change all say otherwise."""
    record = CheckRecord(HealthCheckConfig(unhealthy_threshold=bad, healthy_threshold=good))
    healthy, run = True, 0
    for outcome in outcomes:
        run = run + 1 if outcome != healthy else 0
        changes = run == (good if outcome else bad) and outcome != healthy
        if changes:
            healthy, run = outcome, 0
        assert record.note(is_good=outcome) == changes
        assert record.is_healthy == healthy


@pytest.mark.parametrize(
    "options",
    [
        {"path": "health"},
        {"path": "/a?b"},
        {"interval": 0.0},
        {"jitter": 0.6},
        {"timeout": 0.0},
        {"unhealthy_threshold": 0},
        {"healthy_threshold": 0},
    ],
)
def test_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    """Nothing is clamped in silence."""
    with pytest.raises((ConfigurationInvalid, ValueError)):
        HealthCheckConfig(**options)
