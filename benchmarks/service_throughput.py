"""Requests per second of the service against bare Starlette and FastAPI handlers that do nothing, in one run.

    python benchmarks/service_throughput.py [--seconds 3]

The servers run one after the other as processes of their own, on the same loopback, with the same uvicorn; another
process sends the load. Every write is durable (`synchronous=FULL`) before it is answered; the bare handlers store
nothing and do not even look at the body. On two cores the load generator takes part of what is measured, from both;
so the processor time that each server spent per request is shown too, and the ratio is that of processor times.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import aiohttp

from schemawire.testing.service_process import ServiceProcess, free_port

CONCURRENCY = (1, 16, 64)
KINDS = ["read", "304", "write", "batch"]
BATCH_SIZE = 1_000
STARLETTE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def nothing(request):
    return JSONResponse({"success": True})
app = Starlette(routes=[Route("/{path:path}", nothing, methods=["GET", "PATCH", "POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False)
"""
FASTAPI = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.api_route("/{path:path}", methods=["GET", "PATCH", "POST"])
async def nothing(path: str):
    return {"success": True}
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False)
"""
Figures = dict[tuple[str, int], tuple[float, float]]
"""Requests per second, and seconds of the server's processor time per request, by kind and concurrency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of request, sent by so many at once for so long."""

    base_url: str
    key: str
    tag: str
    """The entity tag of what is read."""
    kind: str
    concurrency: int
    seconds: float


def body_of(kind: str, number: int) -> tuple[str, str, bytes]:
    """Return method, path and body of the n-th request of a kind; every batch makes a project of its own."""
    operation = {
        "operation": "create_entity",
        "data": {"name": f"E{number}", "fields": [{"name": "a", "type": "string"}]},
    }
    match kind:
        case "read" | "304":
            return "GET", "/api/domain-schema/small", b""
        case "write":
            return "PATCH", "/api/domain-schema/bench", json.dumps(operation).encode()
    names = (f"E{number}_{index}" for index in range(BATCH_SIZE))
    operations = [{"operation": "create_entity", "data": {"name": name}} for name in names]
    batch = {"projectId": f"batch-{number}", "operations": operations}
    return "POST", "/api/domain-schema/batch", json.dumps(batch).encode()


def run_load(load: Load) -> tuple[int, float]:
    """Return how many requests were answered with success, and in how many seconds; runs in the load process.

    What was begun in time is waited for, so slow requests take longer than was asked for.
    """
    return asyncio.run(_run_load(load))


async def _run_load(load: Load) -> tuple[int, float]:
    numbers = count(time.time_ns())
    end = time.monotonic() + load.seconds
    connector = aiohttp.TCPConnector(limit=load.concurrency)
    headers = {"Authorization": f"Bearer {load.key}", "Content-Type": "application/json"}
    headers |= {"If-None-Match": load.tag} if load.kind == "304" else {}
    async with aiohttp.ClientSession(load.base_url, connector=connector, headers=headers) as session:

        async def send_all() -> int:
            done = 0
            while time.monotonic() < end:
                method, path, body = body_of(load.kind, next(numbers))
                async with session.request(method, path, data=body) as reply:
                    await reply.read()
                    assert reply.status < 300 or (load.kind == "304" and reply.status == 304)
                done += 1
            return done

        started = time.monotonic()
        finished = await asyncio.gather(*(send_all() for _ in range(load.concurrency)))
        return sum(finished), time.monotonic() - started


def measure(base_url: str, key: str, seconds: float, pid: int, tag: str = "none") -> Figures:
    """Measure every kind of request at every concurrency."""
    found = {}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as sender:
        for kind in KINDS:
            for concurrency in CONCURRENCY:
                load = Load(base_url=base_url, key=key, tag=tag, kind=kind, concurrency=concurrency, seconds=seconds)
                before = processor_time(pid)
                answered, elapsed = sender.submit(run_load, load).result()
                found[kind, concurrency] = answered / elapsed, (processor_time(pid) - before) / answered
    return found


def processor_time(pid: int) -> float:
    """Return the seconds that a process has spent in user and system mode. *Source:* proc(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_bare(program: str, seconds: float) -> Figures:
    """Measure a handler that does nothing."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", program, str(port)])
    try:
        wait_for(lambda: asyncio.run(_answers(f"http://127.0.0.1:{port}/")))
        return measure(f"http://127.0.0.1:{port}", "none", seconds, server.pid)
    finally:
        server.terminate()
        server.wait()


def measure_service(seconds: float) -> tuple[Figures, float]:
    """Measure the service on a fresh file, and its resident memory at rest before it in MB."""
    with tempfile.TemporaryDirectory() as directory, ServiceProcess(directory) as service:
        tag = asyncio.run(_create(service))
        pages = int(Path(f"/proc/{service.pid}/statm").read_text().split()[1])
        found = measure(service.base_url, service.admin_key, seconds, service.pid, tag)
        return found, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _create(service: ServiceProcess) -> str:
    """Make a project to write to and a small one to read; return the entity tag of that."""
    entities = [{"name": name, "fields": [{"name": "id", "type": "uuid"}]} for name in ("User", "Post")]
    async with aiohttp.ClientSession(service.base_url, headers=service.headers) as session:
        for project, document in (("bench", {"name": "bench"}), ("small", {"name": "small", "entities": entities})):
            async with session.put(f"/api/domain-schema/{project}", json=document) as reply:
                assert reply.status == 201
                tag = reply.headers["ETag"]
    return tag


async def _answers(url: str) -> bool:
    with suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return reply.status == 200
    return False


def wait_for(is_there: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    for _ in range(500):
        if is_there():
            return
        time.sleep(0.02)
    raise TimeoutError("the server did not start")


def main() -> None:
    """Measure all three and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    seconds, KINDS[:] = given.seconds, given.kinds
    starlette, fastapi = measure_bare(STARLETTE, seconds), measure_bare(FASTAPI, seconds)
    ours, resident = measure_service(seconds)
    titles = ("Starlette/s", "FastAPI/s", "service/s", "Starlette ms", "FastAPI ms", "service ms", "ratios")
    print(f"{'request':<8}{'at once':>8}" + "".join(f"{title:>13}" for title in titles))
    for key, (rate, cost) in ours.items():
        rates = [starlette[key][0], fastapi[key][0], rate]
        costs = [starlette[key][1], fastapi[key][1], cost]
        ratios = " / ".join(f"{bare / cost:.2f}" for bare in costs[:2])
        print(f"{key[0]:<8}{key[1]:>8}" + "".join(f"{figure:>13,.0f}" for figure in rates), end="")
        print("".join(f"{figure * 1e3:>13.3f}" for figure in costs) + f"{ratios:>13}")
    print(f"a batch holds {BATCH_SIZE:,} operations")
    print(f"service resident at rest: {resident:.0f} MB")


if __name__ == "__main__":
    main()
