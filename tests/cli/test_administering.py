"""Keys, the audit log, settings, judging and purging from the command line, against a real service."""

import json
from typing import Any

from tests.cli.command_line import CommandLine
from tests.cli.test_online import BOOK, store, write

SCHEMA: dict[str, Any] = {"name": "shop", "entities": [{"name": "Author"}]}


def test_a_key_is_made_used_rotated_and_revoked(online: CommandLine) -> None:
    """Both keys work during the overlap, and neither does once it is revoked; the audit log names the changes."""
    store(online, "keyed", BOOK)
    first = json.loads(online("key", "create", "ci", "--project", "keyed", "--days", "1", "--json").stdout)
    assert (first["scopes"], first["projects"]) == (["read"], ["keyed"])
    plain = online("key", "create", "shown", "--scope", "write")
    assert plain.stdout.startswith("sw_")
    assert plain.stdout.strip() not in plain.stderr
    second = json.loads(online("key", "rotate", first["keyId"], "--overlap", "1", "--json").stdout)
    for made in (first, second):
        assert online("project", "show", "keyed", "--key", made["key"]).returncode == 0
    assert online("project", "show", "other", "--key", second["key"]).returncode == 3
    for made in (first, second):
        assert online("key", "revoke", made["keyId"]).returncode == 0
        assert online("project", "show", "keyed", "--key", made["key"]).returncode == 3
    listed = online("key", "list").stdout
    assert first["keyId"] in listed
    assert first["key"] not in listed
    lines = json.loads(online("audit", "--limit", "200", "--json").stdout)
    actions = [line["action"] for line in lines if first["keyId"] in (line["detail"] or "")]
    assert sorted(actions) == ["DELETE /api/keys/{keyId}", "POST /api/keys", "POST /api/keys/{keyId}/rotate"]
    assert not [line for line in lines if first["key"] in json.dumps(line)]
    assert "keyed" in online("audit", "--project", "keyed").stdout


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


def test_a_project_is_purged_only_when_that_is_meant(online: CommandLine) -> None:
    """It asks first; afterwards nothing of the project is left."""
    store(online, "purged", BOOK)
    assert online("project", "purge", "purged", stdin="n\n").returncode == 1
    assert online("project", "show", "purged").returncode == 0
    assert online("project", "purge", "purged", "--yes").returncode == 0
    assert online("project", "restore", "purged", "1").returncode == 3
