"""Load shedding: a bounded number of requests at work, the urgent ones first, and an honest 503 for the rest."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message
from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.service import build_app, build_backend
from schemawire.service.admission import Gate, Priority
from schemawire.service.refusals import RequestRefused
from schemawire.settings.service import ServiceSettings
from schemawire.testing.service_process import ServiceProcess
from schemawire.testing.virtual_time import run_virtual


async def test_the_urgent_get_the_place_that_becomes_free() -> None:
    """Whoever waits longest of the most urgent comes first, whatever came before it."""
    gate = Gate(concurrency=1, queue_delay=5.0)
    await gate.enter(Priority.INTERACTIVE)
    order: list[str] = []

    async def work(name: str, priority: Priority) -> None:
        await gate.enter(priority)
        order.append(name)
        gate.leave()

    async with asyncio.TaskGroup() as group:
        for name, priority in (
            ("background", Priority.BACKGROUND),
            ("batch", Priority.BATCH),
            ("first", Priority.INTERACTIVE),
            ("second", Priority.INTERACTIVE),
        ):
            group.create_task(work(name, priority))
            await asyncio.sleep(0)
        gate.leave()
    assert order == ["first", "second", "batch", "background"]
    assert gate.statistics().active == gate.statistics().waiting == 0


async def test_less_urgent_work_leaves_places_free() -> None:
    """Background work takes half of the places at most, batches three quarters: an interactive request gets in."""
    gate = Gate(concurrency=8, queue_delay=0.02)
    for priority, share in ((Priority.BACKGROUND, 4), (Priority.BATCH, 2), (Priority.INTERACTIVE, 2)):
        for _ in range(share):
            await gate.enter(priority)
        with pytest.raises(RequestRefused) as refused:
            await gate.enter(priority)
        assert refused.value.reason == "overloaded"
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
    assert (gate.statistics().active, gate.statistics().shed) == (8, 3)


async def test_a_caller_that_gives_up_waiting_holds_no_place() -> None:
    """Also when its turn comes in the very moment in which it is cancelled."""
    gate = Gate(concurrency=1, queue_delay=5.0)
    await gate.enter(Priority.INTERACTIVE)
    waiting = [asyncio.create_task(gate.enter(Priority.INTERACTIVE)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    gate.leave()  # the turn of the second one
    waiting[1].cancel()
    assert [type(result) for result in await asyncio.gather(*waiting, return_exceptions=True)] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
    ]
    assert (gate.statistics().active, gate.statistics().waiting) == (0, 0)


async def test_a_late_event_loop_sheds_the_least_urgent_first() -> None:
    """Work queues up in front of the loop too, where no counter sees it; an idle service lets everybody in."""
    gate = Gate(concurrency=10, queue_delay=1.0)
    for _ in range(30):
        gate.observe_lag(2.5)
    await gate.enter(Priority.BACKGROUND)
    for priority in (Priority.BACKGROUND, Priority.BATCH):
        with pytest.raises(RequestRefused):
            await gate.enter(priority)
    await gate.enter(Priority.INTERACTIVE)
    for _ in range(30):
        gate.observe_lag(0.0)
    await gate.enter(Priority.BATCH)


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel", "sleep"]), st.sampled_from(list(Priority)))))
def test_places_are_neither_lost_nor_doubled(steps: list[tuple[str, Priority]]) -> None:
    """Against a plain count: as many at work as entered and did not leave, never more than there are places."""

    async def run() -> None:
        gate = Gate(concurrency=3, queue_delay=1.0)
        inside = 0
        waiting: list[asyncio.Task[None]] = []

        def settle() -> None:
            nonlocal inside
            for task in [task for task in waiting if task.done()]:
                waiting.remove(task)
                if not task.cancelled() and task.exception() is None:
                    inside += 1

        for what, priority in steps:
            match what:
                case "enter":
                    waiting.append(asyncio.create_task(gate.enter(priority)))
                case "leave" if inside:
                    inside -= 1
                    gate.leave()
                case "cancel" if waiting:
                    waiting[-1].cancel()
                case "sleep":
                    await asyncio.sleep(0.3)
            await asyncio.sleep(0.001)
            settle()
            assert gate.statistics().active == inside <= 3
            assert gate.statistics().waiting == len(waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert gate.statistics().waiting == 0

    run_virtual(run())


@pytest.mark.timeout(60)
async def test_an_overloaded_service_stays_quick_for_what_is_urgent(tmp_path: Path) -> None:
    """Under a flood of batches single reads are answered, most batches are refused with Retry-After, none is lost."""
    environment = {"SCHEMAWIRE_MAX_CONCURRENCY": "4", "SCHEMAWIRE_MAX_QUEUE_DELAY": "0.2"}
    outcomes: Counter[int] = Counter()
    stored: list[str] = []
    async with ServiceProcess(tmp_path, environment=environment) as service, Caller(service) as call:
        project = new_project()
        await call("PUT", project, json=BLOG)
        end = time.monotonic() + 1.5

        async def flood(worker: int) -> None:
            round_ = 0
            while time.monotonic() < end:
                name = f"W{worker}R{round_}"
                round_ += 1
                fields = [f"f{number}" for number in range(40)]
                operations = [create_entity(name, *fields)] + [
                    {"operation": "update_entity", "data": {"name": name, "description": str(step)}}
                    for step in range(60)
                ]
                body = {"projectId": project, "operations": operations}
                reply = await call("POST", "batch", json=body, headers={"X-Priority": "background"})
                outcomes[reply.status] += 1
                if reply.status == 200:
                    stored.append(name)
                else:
                    assert reply.code in ("overloaded", "store_unavailable"), reply
                    assert int(reply.headers["Retry-After"]) >= 1

        async def read() -> list[tuple[int, float]]:
            times = []
            while time.monotonic() < end:
                started = time.monotonic()
                reply = await call("GET", f"{project}?include=none")
                times.append((reply.status, time.monotonic() - started))
                await asyncio.sleep(0.02)
            return times

        async with asyncio.TaskGroup() as group:
            for worker in range(16):
                group.create_task(flood(worker))
            reader = group.create_task(read())
        reads = reader.result()
        served = [duration for status, duration in reads if status == 200]
        assert (await call("GET", "/health/live", anonymous=True)).status == 200
        names = {entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]}
    assert outcomes[503] > 0
    assert outcomes[200] > 0
    assert set(outcomes) <= {200, 503}
    assert len(served) >= 0.8 * len(reads)
    assert set(stored) <= names


async def test_a_priority_may_be_lowered_and_must_exist(call: Caller) -> None:
    """`X-Priority` says how urgent the caller finds it; what means nothing is refused."""
    assert (await call("GET", "/api/domain-schema", headers={"X-Priority": "background"})).status == 200
    assert (await call("GET", "/api/domain-schema", headers={"X-Priority": "urgent"})).code == "invalid_request"


async def test_whoever_sends_slowly_holds_no_place(tmp_path: Path) -> None:
    """A body that trickles in takes its turn when it is complete: with one place, others are served meanwhile."""
    environment = {"SCHEMAWIRE_MAX_CONCURRENCY": "1", "SCHEMAWIRE_MAX_QUEUE_DELAY": "0.2"}
    async with ServiceProcess(tmp_path, environment=environment) as service, Caller(service) as call:
        head = f"PUT /api/domain-schema/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.admin_key}\r\n"
        slow: list[Any] = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            await writer.drain()
            slow.append((reader, writer))
        await asyncio.sleep(0.1)
        assert (await call("PUT", "quick", json=BLOG)).status == 201
        assert (await call("GET", "quick")).status == 200
        for _, writer in slow:
            writer.close()


async def test_a_service_says_when_it_has_started(tmp_path: Path) -> None:
    """The start-up check is 503 before the store is open, and 200 from then on, even while the service drains."""
    settings = ServiceSettings(database_url=f"sqlite:///{tmp_path / 'x.db'}", admin_key="k" * 32)
    backend = build_backend(settings)
    app = build_app(backend)

    async def status() -> int:
        sent: list[Message] = []
        scope = {"type": "http", "method": "GET", "path": "/health/startup", "headers": [], "query_string": b""}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, send)
        code: int = sent[0]["status"]
        return code

    assert await status() == 503
    async with backend.running():
        assert await status() == 200
        backend.is_draining = True
        assert await status() == 200
