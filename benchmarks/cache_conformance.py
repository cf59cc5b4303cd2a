"""The cache judged case by case by the public suite `http-cache-tests`, as a shared and as a private cache.

    python benchmarks/cache_conformance.py [--install] [--show]

`--install` fetches the suite with npm into a folder of its own, which `SCHEMAWIRE_CACHE_TESTS` may name; without the
folder nothing is measured. The suite's own client speaks to a proxy that does nothing but pass its requests through
`Client`, to the suite's own server. An error of the client breaks the connection, as it would in a program.

A *required* case is one that the suite does not mark as optional or as a mere check. Three of the 160 are for
browsers' caches alone, and 13 for shared ones alone.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from schemawire.errors import SchemawireError
from schemawire.transport import CacheConfig, Client

PACKAGE = "http-cache-tests@0.4.5"
FOLDER = Path(os.environ.get("SCHEMAWIRE_CACHE_TESTS", Path(tempfile.gettempdir()) / "http-cache-tests"))
SUITE = FOLDER / "node_modules" / "http-cache-tests"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "upgrade", "te", "trailer"}
_LIST = """
import suites from './tests/index.mjs'
const tests = suites.flatMap(suite => suite.tests.map(test => ({
  id: test.id, required: test.kind === undefined || test.kind === 'required',
  browserOnly: test.browser_only === true, browserSkip: test.browser_skip === true })))
console.log(JSON.stringify(tests))
"""
_RUN = """
import { runTests, getResults } from './client/runner.mjs'
import fetch from 'node-fetch'
import tests from './tests/index.mjs'
const [base, browser] = process.argv.slice(-2)
await runTests(tests, fetch, browser === 'private', base)
console.log(JSON.stringify(getResults()))
"""


def install() -> None:
    """Fetch the suite; nothing of it is run while it is installed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(FOLDER), "--ignore-scripts", "--omit=dev", "--no-audit", PACKAGE]
    subprocess.run(command, check=True)


def passing_through(client: Client) -> web.Application:
    """Return an application that answers every request with what the client gets for it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        body = await request.read()
        query = parse_qsl(request.query_string, keep_blank_values=True)
        try:
            got = await client.request(
                request.method, request.rel_url.raw_path, params=query, headers=headers, body=body or None
            )
        except SchemawireError:
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPBadGateway from None
        reply = web.Response(status=got.status, body=got.body)
        for name, value in got.headers.pairs:
            if name.lower() not in _HOP_BY_HOP:
                reply.headers.add(name, value)
        return reply

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


async def node(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start Node in the suite's folder."""
    return await asyncio.create_subprocess_exec(
        "node", "--no-warnings", *arguments, cwd=SUITE, stdout=subprocess.PIPE, env={**os.environ, **environment}
    )


async def run_script(text: str, *arguments: str) -> Any:
    """Run a script of ours beside the suite's own, and return the JSON that it prints."""
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=SUITE) as script:
        script.write(text)
        script.flush()
        process = await node(script.name, *arguments)
        out, _ = await process.communicate()
    return json.loads(out.decode().splitlines()[-1])


async def judged(kind: str) -> dict[str, Any]:
    """Return the outcome of each case: true, or what went wrong."""
    port = free_port()
    server = await node(
        "server/server.mjs",
        npm_config_protocol="http", npm_config_port=str(port), npm_config_pidfile=os.devnull,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        await server.stdout.readline()
        cache = CacheConfig(shared=kind == "shared")
        client = Client(f"http://localhost:{port}", cache=cache, retry=None, breaker=None, pool=None)
        async with client:
            runner = web.AppRunner(passing_through(client), access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            own = runner.addresses[0][1]
            found: dict[str, Any] = await run_script(_RUN, f"http://127.0.0.1:{own}", kind)
            await runner.cleanup()
        return found
    finally:
        server.kill()
        await server.wait()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def compare(*, show: bool) -> None:
    """Judge the cache both ways and print how many of the required cases it passes."""
    tests = await run_script(_LIST)
    for kind, left_out in (("shared", "browserOnly"), ("private", "browserSkip")):
        outcomes = await judged(kind)
        required = [test["id"] for test in tests if test["required"] and not test[left_out]]
        passed = [name for name in required if outcomes.get(name) is True]
        print(f"  {kind}: {len(passed)} of {len(required)} required cases")
        for name in sorted(set(required) - set(passed)) if show else ():
            print(f"    {name}: {outcomes.get(name)}")


def main() -> None:
    """Install if asked to, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="fetch the suite with npm first")
    parser.add_argument("--show", action="store_true", help="name the cases that are not passed, and why")
    given = parser.parse_args()
    if given.install and not SUITE.is_dir():
        install()
    if not SUITE.is_dir():
        print(f"SKIPPED: the suite is not in {FOLDER}; run this again with --install")
        sys.exit(0)
    asyncio.run(compare(show=given.show))


if __name__ == "__main__":
    main()
