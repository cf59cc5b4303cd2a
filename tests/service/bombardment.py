"""Writes without end against a service that is killed again and again, and a reckoning at the end.

Every write has its own key and is repeated until it is acknowledged, as a careful client does.
"""

import asyncio
import math
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.service.caller import Answer, Caller, create_entity

from schemawire.testing.child_process import ChildProcess
from schemawire.testing.service_process import ServiceProcess

PROJECTS = ("red", "green", "blue")


class WorkerProcess:
    """One `schemawire worker`, to be killed and started again."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._ready = directory / f"worker-{uuid.uuid4().hex[:8]}.ready"
        self._environment = environment
        self._process = ChildProcess("the worker", self._ready.with_suffix(".log"))

    def start(self) -> None:
        """Start it; it joins in when it is ready."""
        command = [sys.executable, "-m", "schemawire", "worker", "--ready-file", str(self._ready)]
        self._process.start(command, environment=self._environment)

    def wait_ready(self) -> None:
        """Return once it works; the limit of the test ends a vain wait."""
        wanted = str(self._process.pid)  # a killed one leaves its file behind
        self._process.wait_until(lambda: self._ready.exists() and self._ready.read_text().strip() == wanted, math.inf)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        return self._process.end(signal.SIGTERM, timeout=20)

    def restart(self) -> None:
        """Kill it, start it again, and mostly wait until it works, so that the next kill finds it at work."""
        self.kill()
        self.start()
        if random.random() < 0.8:
            self.wait_ready()


@dataclass
class Tally:
    """What was acknowledged."""

    direct: dict[str, list[str]] = field(default_factory=lambda: {project: [] for project in PROJECTS})
    """Entities whose batch was answered with success."""
    promised: dict[str, list[str]] = field(default_factory=lambda: {project: [] for project in PROJECTS})
    """Entities whose operation was accepted."""
    operations: set[str] = field(default_factory=set)
    repeats: int = 0
    """How often a write had to be sent again."""
    slowest_start: float = 0.0
    """Seconds from a kill until the killed process was at work again, at most."""


async def bombard(service: ServiceProcess, targets: list[Callable[[], None]], *, rounds: int, seed: int) -> Tally:
    """Write from several callers while one target after the other is killed and started again."""
    tally, over = Tally(), asyncio.Event()
    chance = random.Random(seed)
    async with Caller(service) as call, asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(_write_without_end(call, tally, over, number))
        for _ in range(rounds):
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            killed = time.monotonic()
            await asyncio.to_thread(chance.choice(targets))
            tally.slowest_start = max(tally.slowest_start, time.monotonic() - killed)
        await asyncio.to_thread(service.wait_ready, 120.0)
        over.set()
    return tally


async def _write_without_end(call: Caller, tally: Tally, over: asyncio.Event, number: int) -> None:
    count = 0
    while not over.is_set():
        count += 1
        project, entity = PROJECTS[count % len(PROJECTS)], f"E{number}_{count}"
        if number % 2:
            body: dict[str, Any] = {"projectId": project, "operations": [create_entity(entity)]}
            await _until_acknowledged(call, tally, "batch", body)
            tally.direct[project].append(entity)
        else:
            answer = await _until_acknowledged(call, tally, f"{project}/async", {"operations": [create_entity(entity)]})
            tally.promised[project].append(entity)
            tally.operations.add(answer.json()["data"]["operationId"])
        await asyncio.sleep(0.01)


async def _until_acknowledged(call: Caller, tally: Tally, path: str, body: dict[str, Any]) -> Answer:
    key = uuid.uuid4().hex
    while True:
        try:
            async with asyncio.timeout(10):
                answer = await call("POST", path, json=body, headers={"Idempotency-Key": key})
        except (aiohttp.ClientError, OSError, TimeoutError):
            answer = None
        if answer is not None and answer.status < 300:
            return answer
        # A write that took effect unseen would be refused now, were its key not known: that would be a doubled one.
        assert answer is None or answer.status >= 500 or answer.code == "duplicate_in_flight", answer
        tally.repeats += 1
        await asyncio.sleep(0.05)


async def reckon(call: Caller, tally: Tally) -> int:
    """Assert that everything acknowledged is there, once and in a version of its own; return how much that was."""
    for operation_id in tally.operations:
        await _until_succeeded(call, operation_id)
    for project in PROJECTS:
        wanted = sorted(tally.direct[project] + tally.promised[project])
        answer = (await call("GET", project)).json()
        assert sorted(entity["name"] for entity in answer["data"]["entities"]) == wanted
        assert answer["version"] == len(wanted)
    return sum(len(names) for kept in (tally.direct, tally.promised) for names in kept.values())


async def _until_succeeded(call: Caller, operation_id: str) -> None:
    while True:
        answer = await call("GET", f"operations/{operation_id}/status")
        assert answer.status == 200, answer
        record = answer.json()["data"]
        if record["state"] == "succeeded":
            return
        assert record["state"] in ("queued", "running"), record
        await asyncio.sleep(0.05)
