"""The command `upload` against a real service."""

import json

from tests.cli.command_line import CommandLine

from schemawire.cli.exit_codes import ExitCode


def test_a_file_is_uploaded_as_a_stream(online: CommandLine) -> None:
    """A document is stored, what `stream --json` cannot hold is refused, and a broken schema names its line."""
    document = {"name": "shop", "entities": [{"name": "Item"}, {"name": "Cart"}]}
    (online.folder / "shop.json").write_text(json.dumps(document))
    done = online("upload", "cli-upload", "shop.json", "--message", "why", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    stored = json.loads(done.stdout)
    assert (stored["projectId"], stored["version"], stored["elementCount"]) == ("cli-upload", 1, 2)
    again = online("upload", "cli-upload", "shop.json")
    assert "unchanged: version 1, 2 elements" in again.stdout
    document["entities"].append({"name": "Item"})  # type: ignore[attr-defined]  # a list
    (online.folder / "shop.json").write_text(json.dumps(document))
    refused = online("upload", "cli-upload", "shop.json")
    assert refused.returncode == ExitCode.REJECTED
    assert "Item" in refused.stderr
    (online.folder / "list.json").write_text("[1]")
    assert online("upload", "cli-upload", "list.json").returncode == ExitCode.USAGE
    assert online("upload", "cli-upload", "missing.json").returncode == ExitCode.USAGE
