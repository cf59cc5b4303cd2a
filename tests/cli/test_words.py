"""`analyze` without a backend."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command_line import CommandLine

from schemawire.cli.exit_codes import ExitCode
from schemawire.schema import parse_schema

BLOG = "Create a blog system with posts and comments. Each post has a title and a body. A post can have many comments."
CARDINALITIES = {"1", "0..1", "0..*", "1..*", "*"}


def cases_file(folder: Path, content: Any) -> str:
    """Write a file of cases and return its name."""
    path = folder / "cases.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)


def test_words_become_a_tree(cli: CommandLine) -> None:
    """The drawing names the entities, their fields and the relationship."""
    done = cli("analyze", BLOG)
    assert done.returncode == 0, done.stderr
    for part in ("Post", "Comment", "title", "├──", "2 entities"):
        assert part in done.stdout


def test_json_is_a_valid_schema_document(cli: CommandLine) -> None:
    """What --json prints can be stored as it is."""
    done = cli("analyze", BLOG, "--json")
    schema = parse_schema(json.loads(done.stdout))
    assert {entity.name for entity in schema.entities} >= {"Post", "Comment"}


def test_text_comes_from_a_file_or_from_standard_input(cli: CommandLine) -> None:
    """All three ways of giving the text give the same schema; a byte order mark is no part of it."""
    (cli.folder / "blog.txt").write_bytes(b"\xef\xbb\xbf" + BLOG.encode())
    given = cli("analyze", BLOG, "--json").stdout
    assert cli("analyze", "--file", "blog.txt", "--json").stdout == given
    assert cli("analyze", "-", "--json", stdin=BLOG).stdout == given


def test_literal_adds_nothing(cli: CommandLine) -> None:
    """No key, no timestamps, no foreign keys that the text does not mention."""
    document = json.loads(cli("analyze", BLOG, "--literal", "--json").stdout)
    names = {field["name"] for entity in document["entities"] for field in entity["fields"]}
    assert names == {"title", "body"}


@pytest.mark.parametrize("text", ["", "   ", "!!! ???"])
def test_words_that_say_nothing_are_rejected_with_a_way_out(text: str, cli: CommandLine) -> None:
    """Exit code 3, and the fix shows what can be read."""
    done = cli("analyze", text)
    assert done.returncode == ExitCode.REJECTED, done.stderr
    assert "fix" in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_not_text_is_refused(cli: CommandLine) -> None:
    """Exit code 2 says which byte."""
    (cli.folder / "latin").write_bytes(b"caf\xe9 has tables")
    done = cli("analyze", "--file", "latin")
    assert done.returncode == ExitCode.USAGE
    assert "UTF-8" in done.stderr


def test_hostile_words_cannot_write_to_the_terminal(cli: CommandLine) -> None:
    """Escape sequences in a description come out neither as such nor as markup."""
    done = cli("analyze", "A shop\x1b[2J\u202e has [bold]products[/bold]. Each product has a name\x07.")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    assert "\x07" not in done.stdout + done.stderr


def test_cases_become_schemas_by_their_ids(cli: CommandLine) -> None:
    """Every case is answered, with kind and both cardinalities of every relationship written; reference members are
    left unread.
    """
    cases = [
        {"id": "Blog", "text": BLOG, "classes": ["Post"], "relationships": []},
        {"id": "Shop", "text": "Customers place orders. An order consists of items."},
        {"id": "Nothing", "text": "!!!"},
    ]
    done = cli("analyze", "--cases", cases_file(cli.folder, cases), "--out", "out.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    schemas = json.loads((cli.folder / "out.json").read_text("utf-8"))
    assert list(schemas) == ["Blog", "Shop", "Nothing"]
    assert schemas["Nothing"]["entities"] == []
    assert "Nothing" in done.stderr
    found = [row for schema in schemas.values() for row in schema["relationships"]]
    assert found
    for row in found:
        assert {row["sourceCardinality"], row["targetCardinality"]} <= CARDINALITIES
        assert row["kind"] in {"association", "aggregation", "composition"}
    for schema in schemas.values():
        assert not [field for entity in schema["entities"] for field in entity["fields"] if field.get("references")]


def test_cases_without_an_out_file_go_to_standard_output(cli: CommandLine) -> None:
    """The same document, for a pipe."""
    done = cli("analyze", "--cases", cases_file(cli.folder, [{"id": "a", "text": BLOG}]))
    assert list(json.loads(done.stdout)) == ["a"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[{", "not JSON"),
        ("{}", "list"),
        ([{"id": "a"}], "case /0"),
        ([{"id": 1, "text": "x"}], "case /0"),
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "repeats"),
        ("[" * 100_000, "not JSON"),
        ('[{"id": NaN}]', "not JSON"),
    ],
)
def test_a_wrong_file_of_cases_is_refused_and_nothing_is_written(
    content: Any, complaint: str, cli: CommandLine
) -> None:
    """Exit code 2 names the place; the output file of an earlier run stays as it was."""
    (cli.folder / "out.json").write_text("earlier", "utf-8")
    done = cli("analyze", "--cases", cases_file(cli.folder, content), "--out", "out.json")
    assert done.returncode == ExitCode.USAGE
    assert complaint in done.stderr
    assert (cli.folder / "out.json").read_text("utf-8") == "earlier"


def test_a_narrow_encoding_is_no_reason_to_fail(cli: CommandLine) -> None:
    """Where the terminal cannot show a sign, an escape stands for it."""
    done = cli("analyze", BLOG, settings={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "Post" in done.stdout
