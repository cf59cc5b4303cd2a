"""Who gets in: keys, scopes, projects; what every reply carries, and what the log never holds."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.testing.service_process import ServiceProcess


async def make_key(call: Caller, *scopes: str, projects: list[str] | None = None, **more: object) -> dict[str, str]:
    """Return the header of a new key."""
    body = {"name": "test", "scopes": list(scopes), "projects": projects, **more}
    reply = await call("POST", "/api/keys", json=body)
    assert reply.status == 201, reply
    return {"Authorization": f"Bearer {reply.json()['data']['key']}"}


@pytest.mark.parametrize(
    "path", ["/api/domain-schema", "/api/domain-schema/metrics", "/metrics", "/openapi.json", "/api/keys", "/nothing"]
)
async def test_everything_but_health_needs_a_key(call: Caller, path: str) -> None:
    """Without a key, or with a wrong one, the answer is 401 and says how to authenticate, on unknown paths too."""
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer \xe9"},
    )
    for headers in wrong:
        reply = await call("GET", path, headers=headers, anonymous=True)
        assert reply.code == "unauthenticated"
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


async def test_health_is_open_to_everybody(call: Caller) -> None:
    """Load balancers have no key."""
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await call("GET", path, anonymous=True)).status == 200


async def test_a_write_without_a_key_stores_nothing(call: Caller) -> None:
    """Refused before the body is looked at."""
    project = new_project()
    assert (await call("PUT", project, json=BLOG, anonymous=True)).code == "unauthenticated"
    assert (await call("GET", project)).status == 404


async def test_scopes_include_the_lower_ones(call: Caller) -> None:
    """Read reads, write also writes, admin also manages keys."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    read, write, admin = [await make_key(call, scope) for scope in ("read", "write", "admin")]
    assert (await call("GET", project, headers=read)).status == 200
    assert (await call("PUT", project, json={"name": "other"}, headers=read)).code == "forbidden"
    assert (await call("PUT", project, json={"name": "other"}, headers=write)).status == 200
    assert (await call("GET", "/api/keys", headers=write)).code == "forbidden"
    assert (await call("GET", "/api/keys", headers=admin)).status == 200


async def test_a_key_for_some_projects_sees_no_other(call: Caller) -> None:
    """Grants hold for paths, bodies, lists and operations alike."""
    mine, other = new_project(), new_project()
    await call("PUT", other, json=BLOG)
    key = await make_key(call, "write", projects=[mine])
    assert (await call("PUT", mine, json=BLOG, headers=key)).status == 201
    assert (await call("GET", other, headers=key)).code == "forbidden"
    assert (await call("PUT", other, json=BLOG, headers=key)).code == "forbidden"
    batch = {"projectId": other, "operations": [create_entity("A")]}
    assert (await call("POST", "batch", json=batch, headers=key)).code == "forbidden"
    created = {"projectId": new_project(), "domainSchema": BLOG}
    assert (await call("POST", "/api/domain-schema", json=created, headers=key)).code == "forbidden"
    page = (await call("GET", "/api/domain-schema", headers=key)).json()["data"]["projects"]
    assert [entry["projectId"] for entry in page] == [mine]
    foreign = await call("POST", f"{other}/async", json={"operations": [create_entity("A")]})
    status = f"operations/{foreign.json()['data']['operationId']}/status"
    assert (await call("GET", status, headers=key)).code == "forbidden"


async def test_a_revoked_or_expired_key_is_refused_at_once(call: Caller) -> None:
    """Revoking works from the next request on; a key is listed without its secret."""
    key = await make_key(call, "read")
    assert (await call("GET", "/api/domain-schema", headers=key)).status == 200
    listed = (await call("GET", "/api/keys")).json()["data"]["keys"]
    assert not any("key" in record for record in listed)
    assert (await call("DELETE", f"/api/keys/{listed[-1]['keyId']}")).status == 200
    assert (await call("GET", "/api/domain-schema", headers=key)).code == "unauthenticated"
    assert (await call("DELETE", f"/api/keys/{listed[-1]['keyId']}")).code == "not_found"
    short = await make_key(call, "read", expiresIn=0.000001)
    assert (await call("GET", "/api/domain-schema", headers=short)).code == "unauthenticated"


async def test_a_malformed_key_request_is_refused(call: Caller) -> None:
    """Unknown scopes, no scopes and bad project ids make no key."""
    for body in ({"name": "x", "scopes": ["root"]}, {"name": "x", "scopes": []}, {"name": "", "scopes": ["read"]}):
        assert (await call("POST", "/api/keys", json=body)).code == "invalid_request"
    bad = {"name": "x", "scopes": ["read"], "projects": ["../x"]}
    assert (await call("POST", "/api/keys", json=bad)).code == "invalid_request"


async def test_every_reply_names_request_and_store_and_is_guarded(call: Caller) -> None:
    """Successes and problems alike carry both ids and the security headers."""
    stores = set()
    for reply in [await call("GET", "/health"), await call("GET", "/nothing"), await call("PUT", "x", body=b"{")]:
        assert reply.headers["X-Request-ID"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert "Server" not in reply.headers
        stores.add(reply.headers["X-Store-ID"])
    assert len(stores) == 1


async def test_the_log_tells_who_and_what_but_no_secret_and_no_body(own_service: ServiceProcess) -> None:
    """One JSON line per request, with environment and client; keys and documents never reach it."""
    async with Caller(own_service) as call:
        headers = {"X-Environment": "staging", "X-Client": "conversational-ai-engine", "X-Request-ID": "trace-1"}
        await call("PUT", "secret-free", json={**BLOG, "description": "confidential words"}, headers=headers)
        await call("GET", "secret-free", headers={"Authorization": "Bearer wrong-key-value"}, anonymous=True)
    await asyncio.to_thread(own_service.stop)  # lines are written in groups; the last ones at the end
    text = own_service.log_path.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    put = next(line for line in lines if line.get("requestId") == "trace-1")
    assert (put["route"], put["status"], put["principal"]) == ("PUT /api/domain-schema/{projectId}", 201, "admin")
    assert (put["environment"], put["client"]) == ("staging", "conversational-ai-engine")
    for secret in (own_service.admin_key, "wrong-key-value", "confidential"):
        assert secret not in text


def test_a_service_that_nobody_could_use_refuses_to_start(tmp_path: Path) -> None:
    """Without an admin key and without a stored key the process ends, and says what to set."""
    service = subprocess.run(
        [sys.executable, "-m", "schemawire.service"],
        env={"SCHEMAWIRE_DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}", "SCHEMAWIRE_PORT": "0", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert service.returncode == 1
    assert b"SCHEMAWIRE_ADMIN_KEY" in service.stderr
    assert service.stdout == b""
