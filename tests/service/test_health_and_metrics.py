"""Health, readiness, draining, and figures that add up."""

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.service.recorder import Latencies, Recorder
from schemawire.testing.service_process import ServiceProcess


async def test_health_names_each_dependency(call: Caller) -> None:
    """The reply says which store it is, what it needs, and on PostgreSQL how operations are announced."""
    state = (await call("GET", "/health")).json()
    assert state["status"] == "healthy"
    names = {entry["name"] for entry in state["dependencies"] if entry["healthy"]}
    assert names - {"postgres"} == {"store", "operations"}
    assert state["storeId"] == (await call("GET", "/health/live")).headers["X-Store-ID"]


async def test_figures_count_every_request_once(own_service: ServiceProcess) -> None:
    """Successes and failures add up to the total, by route and in sum, in both forms."""
    async with Caller(own_service) as call:
        before = (await call("GET", "metrics")).json()["service"]
        project = new_project()
        for _ in range(3):
            await call("PUT", project, json=BLOG)
        for _ in range(2):
            await call("GET", f"{project}-missing")
        await call("GET", "/nothing")
        figures = (await call("GET", "metrics")).json()
        after, routes = figures["service"], figures["routes"]
        assert after["totalRequests"] - before["totalRequests"] == 7  # with the first look at the figures
        assert after["successfulRequests"] + after["failedRequests"] == after["totalRequests"]
        assert after["failedRequests"] - before["failedRequests"] == 3
        put = routes["PUT /api/domain-schema/{projectId}"]
        assert (put["requests"], put["failed"]) == (3, 0)
        assert 0 < put["latency"]["p50"] <= put["latency"]["p99"] <= put["latency"]["max"]
        assert routes["GET /api/domain-schema/{projectId}"]["failed"] == 2
        assert figures["store"]["writes"] >= 3
        text = (await call("GET", "/metrics")).body.decode()
    put = '_count{http_request_method="PUT",http_route="/api/domain-schema/{projectId}",http_response_status_code='
    assert f'http_server_request_duration_seconds{put}"201",error_type=""}} 1\n' in text
    assert f'http_server_request_duration_seconds{put}"200",error_type=""}} 2\n' in text
    assert "schemawire_store_commits" in text


async def test_a_stopping_service_finishes_what_it_began(own_service: ServiceProcess) -> None:
    """On SIGTERM running requests are answered and the process ends by itself, with code 0."""
    project = new_project()
    async with Caller(own_service) as call:
        operations = [create_entity(f"E{number}", "name") for number in range(5_000)]
        sending = asyncio.create_task(call("POST", "batch", json={"projectId": project, "operations": operations}))
        async with asyncio.timeout(10):
            while (await call("GET", "metrics")).json()["service"]["inFlight"] < 2:  # another process
                assert not sending.done()
        code = asyncio.create_task(asyncio.to_thread(own_service.stop))
        assert (await sending).status == 200
        assert await code == 0


def test_a_second_process_on_one_file_is_refused(own_service: ServiceProcess, tmp_path: Path) -> None:
    """One process owns a SQLite file; the other says so and ends."""
    second = ServiceProcess(own_service.directory, admin_key=own_service.admin_key)
    with pytest.raises(RuntimeError, match="store_locked"):
        second.__enter__()
    assert own_service.is_running


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """The process ends with the address that it could not have."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"127.0.0.1:{port}"):
            ServiceProcess(tmp_path, port=port).__enter__()


@given(
    st.lists(st.floats(min_value=2e-5, max_value=100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1])
)
def test_percentiles_are_right_to_a_tenth(times: list[float], fraction: float) -> None:
    """The estimate is at most 10 % above the true percentile, and never below it."""
    latencies = Latencies()
    for time in times:
        latencies.record(time)
    ordered = sorted(times)
    true = ordered[max(0, -(-int(fraction * 100) * len(ordered) // 100) - 1)]
    assert true * 0.999999 <= latencies.percentile(fraction) <= true * 1.1000001


def test_a_recorder_without_requests_shows_zeros() -> None:
    """Nothing recorded means nothing divided by."""
    assert (Recorder().total(), Latencies().percentile(0.99)) == (0, 0.0)


def test_times_outside_the_buckets_still_count() -> None:
    """The shortest and the longest time fall into the outermost buckets."""
    latencies = Latencies()
    for time in (0.0, 1e-9, 1e6):
        latencies.record(time)
    assert latencies.count == 3
    assert latencies.at_most((0.001,)) == [2]
