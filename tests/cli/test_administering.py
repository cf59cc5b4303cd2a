"""Keys, the audit log, settings, judging and purging from the command line, against a real service."""

import http.client
import json
from typing import Any

import pytest
from tests.cli.command_line import CommandLine
from tests.cli.test_online import BOOK, store, write

from schemawire.testing.service_process import ServiceProcess

SCHEMA: dict[str, Any] = {"name": "shop", "entities": [{"name": "Author"}]}


def status(service: ServiceProcess, key: str, path: str) -> int:
    """Return the status of a read with a key, without the cost of a command."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        connection.request("GET", f"/api/domain-schema{path}", headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.timeout(60)
def test_a_key_is_made_used_rotated_and_revoked(online: CommandLine, service: ServiceProcess) -> None:
    """Both keys work during the overlap, and neither does once it is revoked; the audit log names the changes."""
    first = json.loads(online("key", "create", "ci", "--project", "keyed", "--days", "1", "--json").stdout)
    assert (first["scopes"], first["projects"]) == (["read"], ["keyed"])
    second = json.loads(online("key", "rotate", first["keyId"], "--overlap", "1", "--json").stdout)
    for made in (first, second):
        assert status(service, made["key"], "") == 200
        assert status(service, made["key"], "/other") == 403
        assert online("key", "revoke", made["keyId"]).returncode == 0
        assert status(service, made["key"], "") == 401
    lines = json.loads(online("audit", "--limit", "200", "--json").stdout)
    actions = [line["action"] for line in lines if first["keyId"] in (line["detail"] or "")]
    assert sorted(actions) == ["DELETE /api/keys/{keyId}", "POST /api/keys", "POST /api/keys/{keyId}/rotate"]
    assert not [line for line in lines if first["key"] in json.dumps(line)]


def test_a_key_is_shown_once(online: CommandLine) -> None:
    """It is all that standard output carries, and the list does not hold it."""
    made = online("key", "create", "shown", "--scope", "write")
    assert made.stdout.startswith("sw_")
    assert made.stdout.strip() not in made.stderr
    listed = online("key", "list").stdout
    assert "shown" in listed
    assert made.stdout.strip() not in listed


@pytest.mark.timeout(60)
def test_a_change_is_judged_before_it_is_made(online: CommandLine) -> None:
    """Exit code 1 and the reasons when the mode would forbid it."""
    store(online, "judged", BOOK)
    assert "NONE" in online("project", "settings", "judged").stdout
    assert "FULL" in online("project", "settings", "judged", "--compatibility", "FULL").stdout
    bad = online("project", "check", "judged", write(online.folder, SCHEMA))
    assert bad.returncode == 1
    assert "entity Book is gone" in bad.stdout
    good = online("project", "check", "judged", write(online.folder, [{**BOOK, "data": {"name": "Tag"}}]), "--json")
    assert (good.returncode, json.loads(good.stdout)["compatible"]) == (0, True)
    assert "NONE" in online("project", "settings", "judged", "--compatibility", "default").stdout
    assert online("project", "settings", "judged", "--compatibility", "SOME").returncode == 3


@pytest.mark.timeout(60)
def test_a_project_is_purged_only_when_that_is_meant(online: CommandLine) -> None:
    """It asks first; afterwards nothing of the project is left. Before that, a deleted one is listed apart."""
    store(online, "purged", BOOK)
    assert online("project", "purge", "purged", stdin="n\n").returncode == 1
    assert online("project", "show", "purged").returncode == 0
    assert online("project", "delete", "purged", "--yes").returncode == 0
    for flags, is_listed in (((), False), (("--deleted",), True)):
        listed = json.loads(online("project", "list", *flags, "--json").stdout)
        assert ("purged" in {row["projectId"] for row in listed}) == is_listed
    assert online("project", "purge", "purged", "--yes").returncode == 0
    assert online("project", "restore", "purged", "1").returncode == 3
