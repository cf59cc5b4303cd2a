"""Places from a file that is replaced, broken and removed while it is watched."""

from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transport.discovery.programs import becomes
from tests.transport.discovery.test_watcher import Sink

from schemawire.errors import BadReply, ConfigurationInvalid
from schemawire.transport.discovery import DiscoveryConfig, FileDiscovery, Place, Watcher
from schemawire.transport.discovery.file import MAX_FILE_BYTES, parse_file


def replace_with(path: Path, text: str) -> None:
    """Write a file as one should: aside, then into place in one step."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.replace(path)


def test_lines_and_json_are_both_understood() -> None:
    """Comments and empty lines say nothing; a byte-order mark neither."""
    lines = "\ufeff# ours\n\nhttp://a:1#weight=2\r\nhttp://b:1\n"
    document = '[{"url": "http://a:1", "weight": 2}, "http://b:1"]'
    wanted = (Place(url="http://a:1", weight=2.0), Place(url="http://b:1"))
    assert parse_file(lines.encode(), "f") == parse_file(document.encode(), "f") == wanted


@pytest.mark.parametrize(
    "text",
    [b"http://a:1\nnonsense\n", b"[", b"[1]", b'{"url": "http://a"}', b"\xff\xfe", b"[" * 100_000, b"[{}]"],
)
def test_file_with_one_bad_entry_is_refused_as_a_whole(text: bytes) -> None:
    """A half-written file is no list to trust."""
    with pytest.raises(BadReply):
        parse_file(text, "f")


def test_too_large_file_is_refused() -> None:
    """It is not even parsed."""
    with pytest.raises(BadReply, match="larger"):
        parse_file(b"#" * (MAX_FILE_BYTES + 1), "f")


@given(st.binary(max_size=200))
def test_any_bytes_are_places_or_one_error(text: bytes) -> None:
    """Nothing else comes out."""
    with suppress(BadReply):
        parse_file(text, "f")


async def test_each_replacement_is_seen(tmp_path: Path) -> None:
    """A file of the same size put in its place in one step is another file."""
    path = tmp_path / "list"
    path.write_text("http://a:1\n")
    async with aclosing(FileDiscovery(path, interval=0.005).watch()) as listings:
        for letter in "abcdefgh":
            replace_with(path, f"http://{letter}:1\n")
            listing = await anext(listings)
            assert [place.url for place in listing.places] == [f"http://{letter}:1"]


async def test_bad_and_missing_files_keep_the_last_good_places(tmp_path: Path) -> None:
    """Broken, emptied and removed in turn, the file changes nothing until it is good again."""
    path, sink = tmp_path / "list", Sink()
    path.write_text("http://a:1\n")
    options = DiscoveryConfig(retry_pause=0.01, longest_pause=0.02)
    watcher = Watcher(FileDiscovery(path, interval=0.005), options, sink.take)
    watcher.start()
    await becomes(lambda: watcher.statistics().places == 1)
    replace_with(path, "nonsense\n")
    await becomes(lambda: "nonsense" in watcher.statistics().last_error)
    replace_with(path, "")
    await becomes(lambda: "no endpoint" in watcher.statistics().last_error)
    path.unlink()
    await becomes(lambda: "cannot be read" in watcher.statistics().last_error)
    replace_with(path, "http://a:1\nhttp://b:1\n")
    await becomes(lambda: watcher.statistics().places == 2)
    await watcher.aclose()
    assert [len(urls) for _, urls in sink.taken] == [1, 2]


@pytest.mark.parametrize(("path", "interval"), [("", 1.0), ("x", 0.0), ("x", -1.0), ("x", float("nan"))])
def test_option_out_of_range_is_refused(path: str, interval: float) -> None:
    """A file needs a name, and a look takes time."""
    with pytest.raises(ConfigurationInvalid):
        FileDiscovery(path, interval=interval)
