"""Rates, rotation, the audit log, web pages of other origins, TLS, and secrets that must show up nowhere."""

import asyncio
import http.client
import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.service.caller import BLOG, Answer, Caller, create_entity, new_project
from tests.service.test_access import make_key

from schemawire.service.access import hash_key
from schemawire.service.admission import KeyRates
from schemawire.service.keyring import MEMORY, KeyRing
from schemawire.service.refusals import RequestRefused
from schemawire.service.store import KeyRecord, SqliteStore, add_key, revoke_key
from schemawire.testing.service_process import ServiceProcess

PAGE = "https://pages.example"


@pytest.fixture(scope="module")
def strict_service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that limits rates and lets the pages of one origin call."""
    environment = {
        "SCHEMAWIRE_RATE_LIMIT": "5",
        "SCHEMAWIRE_RATE_BURST": "8",
        "SCHEMAWIRE_CORS_ORIGINS": f"{PAGE}, https://other.example",
    }
    with ServiceProcess(tmp_path_factory.mktemp("strict"), environment=environment) as service:
        yield service


@pytest.fixture
async def strict(strict_service: ServiceProcess) -> AsyncIterator[Caller]:
    """Send requests to that service."""
    async with Caller(strict_service) as caller:
        yield caller


async def until_let_in(call: Caller, method: str, path: str, **options: Any) -> Answer:
    """Send a request until it is not throttled, waiting as long as the reply says."""
    while True:
        reply = await call(method, path, **options)
        if reply.status != 429:
            return reply
        await asyncio.sleep(0.2)


async def test_a_key_that_sends_too_fast_is_told_when_to_come_back(strict: Caller) -> None:
    """The burst passes, then 429 with Retry-After; the headers count down, and another key is not concerned."""
    body = {"name": "fast", "scopes": ["read"]}
    made = (await until_let_in(strict, "POST", "/api/keys", json=body)).json()["data"]["key"]
    other = (await until_let_in(strict, "POST", "/api/keys", json={**body, "rate": 100})).json()["data"]["key"]
    headers = {"Authorization": f"Bearer {made}"}
    replies = [await strict("GET", "/api/domain-schema", headers=headers) for _ in range(12)]
    assert [reply.status for reply in replies[:8]] == [200] * 8
    assert replies[0].headers["RateLimit-Policy"] == '"key";q=8;w=2'
    assert replies[0].headers["RateLimit"].startswith('"key";r=7;t=')
    refused = next(reply for reply in replies if reply.status != 200)
    assert refused.code == "throttled"
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["RateLimit"].startswith('"key";r=0;t=')
    spared = await strict("GET", "/api/domain-schema", headers={"Authorization": f"Bearer {other}"})
    assert (spared.status, spared.headers["RateLimit-Policy"]) == (200, '"key";q=160;w=2')
    await asyncio.sleep(0.25)
    assert (await strict("GET", "/api/domain-schema", headers=headers)).status == 200


def test_a_forgotten_or_changed_rate_starts_afresh() -> None:
    """The state that is kept for keys is bounded, and a key whose rate was changed is held to the new one."""
    rates = KeyRates(rate=1.0, burst=2)
    assert rates.take("a", None, 0.0) is not None
    assert rates.take("a", None, 0.0) is not None
    with pytest.raises(RequestRefused):
        rates.take("a", None, 0.0)
    assert rates.take("a", 10.0, 0.0) is not None
    for number in range(10_001):
        rates.take(f"k{number}", None, 0.0)
    assert rates.take("a", None, 0.0) is not None
    assert KeyRates(rate=0.0, burst=1).take("a", None, 0.0) is None


async def test_only_pages_of_the_listed_origins_may_call(strict: Caller, call: Caller) -> None:
    """A preflight needs no key; another origin gets no permission, and without the setting nobody does."""
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = await strict("OPTIONS", "/api/domain-schema/x", headers=asked, anonymous=True)
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    read = await until_let_in(strict, "GET", "/api/domain-schema", headers={"Origin": PAGE})
    assert (read.status, read.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert "ETag" in read.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in read.headers
    stranger = await strict(
        "OPTIONS", "/api/domain-schema/x", headers={**asked, "Origin": "https://evil.example"}, anonymous=True
    )
    assert (stranger.status, stranger.headers.get("Access-Control-Allow-Origin")) == (401, None)
    closed = await call("OPTIONS", "/api/domain-schema/x", headers=asked, anonymous=True)
    assert (closed.status, closed.headers.get("Access-Control-Allow-Origin")) == (401, None)


async def test_a_rotated_key_and_its_successor_both_work_for_a_while(call: Caller) -> None:
    """Nobody is locked out; the old key ends with the overlap, cannot be rotated again, and rights stay the same."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    made = (await call("POST", "/api/keys", json={"name": "r", "scopes": ["write"], "projects": [project]})).json()[
        "data"
    ]
    rotated = await call("POST", f"/api/keys/{made['keyId']}/rotate", json={"overlap": 1.5})
    fresh = rotated.json()["data"]
    assert rotated.status == 201
    assert (fresh["scopes"], fresh["projects"], fresh["replaces"]) == (["write"], [project], made["keyId"])
    old, new = ({"Authorization": f"Bearer {key['key']}"} for key in (made, fresh))
    assert [(await call("GET", project, headers=headers)).status for headers in (old, new)] == [200, 200]
    assert (await call("POST", f"/api/keys/{made['keyId']}/rotate", json={})).code == "not_found"
    await asyncio.sleep(1.6)
    assert (await call("GET", project, headers=old)).code == "unauthenticated"
    assert (await call("GET", project, headers=new)).status == 200
    assert (await call("POST", "/api/keys/nothing/rotate", json={})).code == "not_found"
    assert (await call("POST", f"/api/keys/{fresh['keyId']}/rotate", json={"overlap": -1})).code == "invalid_request"


async def test_an_admin_of_some_projects_cannot_reach_for_the_others(call: Caller) -> None:
    """Whoever may touch some projects only makes no keys, or it could make itself one for all."""
    project, other = new_project(), new_project()
    for name in (project, other):
        await call("PUT", name, json=BLOG)
    key = await make_key(call, "admin", projects=[project])
    body = {"name": "x", "scopes": ["admin"]}
    assert (await call("POST", "/api/keys", json=body, headers=key)).code == "forbidden"
    for method, path in (("GET", "/api/keys"), ("DELETE", "/api/keys/x"), ("GET", "/api/audit")):
        assert (await call(method, path, headers=key)).code == "forbidden"
    assert (await call("POST", "/api/keys/x/rotate", json={}, headers=key)).code == "forbidden"
    assert (await call("GET", f"/api/audit?projectId={other}", headers=key)).code == "forbidden"
    assert (await call("GET", f"/api/audit?projectId={project}", headers=key)).status == 200
    assert (await call("POST", f"{other}/purge?confirm={other}", headers=key)).code == "forbidden"
    assert (await call("PATCH", f"{project}/settings", json={"compatibility": "FULL"}, headers=key)).status == 200


async def test_another_process_hears_of_a_revocation_within_a_bounded_time(tmp_path: Path) -> None:
    """It remembers a key for a few seconds at most, and then looks it up again."""
    store = SqliteStore(tmp_path / "keys.db")
    await store.start()
    try:
        ring = KeyRing(store, None)
        record = KeyRecord(key_id="k", name="n", scopes=frozenset({"read"}), projects=None, created_at=0.0)
        await store.write(lambda conn: add_key(conn, record, hash_key("secret")))
        assert (await ring.authenticate("Bearer secret")).name == "key:k"
        await store.write(lambda conn: revoke_key(conn, "k", now=time.time()))
        assert MEMORY <= 5.0
        known_since, kept = ring._remembered[hash_key("secret")]
        ring._remembered[hash_key("secret")] = (known_since - MEMORY, kept)  # as if that time had passed
        with pytest.raises(RequestRefused):
            await ring.authenticate("Bearer secret")
    finally:
        await store.close()


@contextmanager
def killed_at_the_end(service: ServiceProcess) -> Iterator[None]:
    """Start a service without waiting for it, and kill it at the end."""
    service.start()
    try:
        yield
    finally:
        service.kill()


@pytest.mark.timeout(90)
async def test_a_key_revoked_at_one_process_soon_opens_none_of_the_others(postgres_url: str, tmp_path: Path) -> None:
    """Two services on one database: the other one goes by what it remembers for five seconds at most."""
    environment = {"SCHEMAWIRE_DATABASE_URL": postgres_url}
    first = ServiceProcess(tmp_path / "1", environment=environment)
    second = ServiceProcess(tmp_path / "2", environment=environment, admin_key=first.admin_key)
    with killed_at_the_end(second), first:
        second.wait_ready()
        async with Caller(first) as here, Caller(second) as there:
            made = (await here("POST", "/api/keys", json={"name": "n", "scopes": ["read"]})).json()["data"]
            key = {"Authorization": f"Bearer {made['key']}"}
            for call in (here, there):
                assert (await call("GET", "/api/domain-schema", headers=key)).status == 200
            revoked_at = time.monotonic()
            assert (await here("DELETE", f"/api/keys/{made['keyId']}")).status == 200
            assert (await here("GET", "/api/domain-schema", headers=key)).status == 401
            while (await there("GET", "/api/domain-schema", headers=key)).status == 200:
                assert time.monotonic() - revoked_at < MEMORY + 1.0
                await asyncio.sleep(0.1)


async def audit_of(call: Caller, project: str, wanted: int) -> list[dict[str, Any]]:
    """Return the lines about a project, oldest first, once there are enough of them."""
    end = time.monotonic() + 5
    while True:
        lines: list[dict[str, Any]] = (await call("GET", f"/api/audit?projectId={project}")).json()["data"]["lines"]
        if len(lines) >= wanted or time.monotonic() > end:
            return lines[::-1]
        await asyncio.sleep(0.1)


async def test_the_audit_log_tells_who_did_or_tried_what(call: Caller) -> None:
    """Changes and refused attempts, with time, caller, place and outcome; reads are not recorded."""
    project = new_project()
    reader = await make_key(call, "read")
    await call("PUT", project, json=BLOG, headers={"X-Request-ID": "audited-1", "X-Client": "tester"})
    await call("GET", project)
    await call("PATCH", project, json={"operation": "delete_entity", "data": {"name": "Nobody"}})
    await call("PUT", project, json=BLOG, headers=reader)
    await call("PUT", project, json=BLOG, anonymous=True)
    await call("DELETE", project)
    lines = await audit_of(call, project, 4)
    found = [(line["action"].partition(" ")[0], line["outcome"], line["version"]) for line in lines]
    assert sorted(found, key=str) == sorted(
        [
            ("PUT", "done", 1),
            ("PATCH", "operation_invalid", None),
            ("PUT", "forbidden", None),
            ("DELETE", "done", None),
        ],
        key=str,
    )
    first = next(line for line in lines if line["version"] == 1)
    assert (first["requestId"], first["client"], first["principal"]) == ("audited-1", "tester", "admin")
    assert first["address"] == "127.0.0.1"
    assert first["at"].endswith("Z")
    intruders = (await call("GET", "/api/audit?principal=anonymous")).json()["data"]["lines"]
    assert any(line["outcome"] == "unauthenticated" for line in intruders)


async def test_whoever_guesses_keys_does_not_fill_the_disk(call: Caller) -> None:
    """Many attempts from one address within a moment are one line with their number."""
    await asyncio.sleep(0.6)
    before = (await call("GET", "/api/audit?principal=anonymous&limit=1000")).json()["data"]["lines"]
    for number in range(200):
        await call("GET", "/api/domain-schema", headers={"Authorization": f"Bearer guess-{number}"})
    await asyncio.sleep(0.8)
    after = (await call("GET", "/api/audit?principal=anonymous&limit=1000")).json()["data"]["lines"]
    fresh = after[: len(after) - len(before)]
    assert 1 <= len(fresh) <= 20
    assert sum(int((line["detail"] or "1").split()[0]) for line in fresh) == 200


async def test_the_audit_log_is_read_page_by_page(call: Caller) -> None:
    """Every line once, in order, and what was done is there as soon as it was answered."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    for number in range(5):
        await call("PATCH", project, json=create_entity(f"E{number}"))
    seen: list[str] = []
    before = ""
    while True:
        page = (await call("GET", f"/api/audit?projectId={project}&limit=2{before}")).json()["data"]
        seen += [line["lineId"] for line in page["lines"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert len(seen) == len(set(seen)) == 6
    assert seen == sorted(seen, reverse=True)


async def test_a_repeated_write_is_audited_once(call: Caller) -> None:
    """The line belongs to the transaction of the write; a replay, a dry run and an undone write add none."""
    project = new_project()
    key = {"Idempotency-Key": project}
    for _ in range(3):
        await call("PUT", project, json=BLOG, headers=key)
    await call("PUT", f"{project}?dryRun=true", json={**BLOG, "description": "x"})
    assert len(await audit_of(call, project, 1)) == 1


async def test_marked_secrets_show_up_nowhere(tmp_path: Path) -> None:
    """Keys, passwords of addresses and bodies are in no log, no reply, no description and no error."""
    admin, model = f"MARK{secrets.token_hex(12)}", f"MARK{secrets.token_hex(12)}"
    environment = {"SCHEMAWIRE_LLM_API_KEY": model, "SCHEMAWIRE_OTLP_ENDPOINT": ""}
    async with ServiceProcess(tmp_path, admin_key=admin, environment=environment) as service, Caller(service) as call:
        made = (await call("POST", "/api/keys", json={"name": "n", "scopes": ["write"]})).json()["data"]["key"]
        headers = {"Authorization": f"Bearer {made}"}
        wrong = f"MARK{secrets.token_hex(12)}"
        replies = [
            await call("PUT", "p", json=BLOG, headers=headers),
            await call("PUT", "p", body=b'{"broken', headers=headers),
            await call("GET", "p", headers={"Authorization": f"Bearer {wrong}"}),
            await call("GET", "p", headers={"Authorization": f"Basic {wrong}"}),
            await call("GET", f"/{wrong[:0]}nothing"),
            await call("GET", "/openapi.json"),
            await call("GET", "/api/keys"),
            await call("GET", "/api/audit"),
            await call("GET", "/metrics"),
            await call("GET", "/api/domain-schema/metrics"),
            await call("GET", "/health"),
            await call("DELETE", f"/api/keys/{'x' * 50}"),
        ]
        await asyncio.sleep(0.7)
        replies.append(await call("GET", "/api/audit"))
    said = b"".join(reply.body + str(reply.headers).encode() for reply in replies).decode("utf-8")
    written = service.log_path.read_text("utf-8")
    kept = service.database_path.read_bytes()
    for secret in (admin, model, made, wrong):
        assert secret not in said
        assert secret not in written
        assert secret.encode() not in kept


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for the loopback, and return its file and its key's."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / f"{name}.pem", folder / f"{name}.key"


def test_the_service_speaks_tls_with_whom_it_knows(tmp_path: Path) -> None:
    """A client without a certificate, one that speaks an old version, and one without TLS are turned away."""
    own, own_key = certificate(tmp_path, "service")
    friend, friend_key = certificate(tmp_path, "friend")
    service = ServiceProcess(
        tmp_path,
        environment={
            "SCHEMAWIRE_TLS_CERTIFICATE": str(own),
            "SCHEMAWIRE_TLS_KEY": str(own_key),
            "SCHEMAWIRE_TLS_CLIENT_CA": str(friend),
            "SCHEMAWIRE_TLS_MINIMUM": "1.3",
        },
    )
    known = ssl.create_default_context(cafile=str(own))
    known.load_cert_chain(friend, friend_key)
    service.start()
    try:
        reply = _ask_until_up(service, known)
        assert reply.getheader("Strict-Transport-Security") is not None
        old = ssl.create_default_context(cafile=str(own))
        old.load_cert_chain(friend, friend_key)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        for context in (ssl.create_default_context(cafile=str(own)), old):
            with pytest.raises((OSError, http.client.HTTPException)):
                _ask(service, context)
        plain = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        plain.request("GET", "/health")
        with pytest.raises((OSError, http.client.HTTPException)):
            plain.getresponse()
        plain.close()
    finally:
        service.kill()


def _ask(service: ServiceProcess, context: ssl.SSLContext) -> http.client.HTTPResponse:
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, context=context, timeout=5)
    try:
        connection.request("GET", "/health/live")
        reply = connection.getresponse()
        assert json.loads(reply.read())["status"] == "alive"
        return reply
    finally:
        connection.close()


def _ask_until_up(service: ServiceProcess, context: ssl.SSLContext) -> http.client.HTTPResponse:
    end = time.monotonic() + 15
    while True:
        try:
            return _ask(service, context)
        except ConnectionRefusedError:
            assert time.monotonic() < end, service.log_path.read_text("utf-8")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("certificate_file", "key_file", "said"),
    [("missing.pem", "missing.key", "TLS"), ("bad.pem", "bad.pem", "TLS"), ("bad.pem", "", "only one of")],
)
def test_tls_files_that_are_of_no_use_are_named_at_the_start(
    tmp_path: Path, certificate_file: str, key_file: str, said: str
) -> None:
    """The process ends with what is wrong and what to do, before it listens."""
    (tmp_path / "bad.pem").write_text("not a certificate", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "schemawire.service"],
        env={
            "SCHEMAWIRE_DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}",
            "SCHEMAWIRE_PORT": "0",
            "SCHEMAWIRE_ADMIN_KEY": "k" * 32,
            "SCHEMAWIRE_TLS_CERTIFICATE": certificate_file,
            "SCHEMAWIRE_TLS_KEY": key_file,
            "PATH": "",
        },
        cwd=tmp_path,
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == 1
    assert said.encode() in done.stderr


def test_a_client_that_does_not_finish_its_greeting_stops_nobody(own_service: ServiceProcess) -> None:
    """Connections that say nothing, or half a header, do not keep others waiting."""
    mute = [socket.create_connection(("127.0.0.1", own_service.port)) for _ in range(50)]
    try:
        for half in mute[:25]:
            half.sendall(b"PUT /api/domain-schema/x HTTP/1.1\r\nHost: x\r\nContent-Le")
        connection = http.client.HTTPConnection("127.0.0.1", own_service.port, timeout=5)
        connection.request("GET", "/api/domain-schema", headers=own_service.headers)
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        for half in mute:
            half.close()
