"""The decoders of `framing`: cut anywhere, bounded, and able to tell an end from a cut."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import StreamBroken
from schemawire.framing import (
    NdjsonDecoder,
    ServerSentEvent,
    SseDecoder,
    encode_ndjson,
    encode_sse,
    encode_sse_comment,
)

VALUES: list[object] = [{"name": "Größe", "n": 1}, [], "line\nbreak", 12, None, {"deep": [[["ü"]]]}]
NDJSON = b"".join(encode_ndjson(value) for value in VALUES)
EVENTS = [
    ServerSentEvent(data="one"),
    ServerSentEvent(data="two\nlines", event="change", id="7", retry=1.5),
    ServerSentEvent(data="", id="7"),
]
SSE = (
    b"\xef\xbb\xbf: hello\r\ndata: one\r\n\r\n"
    b"event: change\nid: 7\nretry: 1500\nunknown: x\ndata: two\ndata:lines\n\n"
    b"data\r\rretry: soon\n\n"
)


def cuts(text: bytes) -> Iterator[list[bytes]]:
    yield [text]
    yield [text[i : i + 1] for i in range(len(text))]
    for position in range(len(text) + 1):
        yield [text[:position], text[position:]]


def decode_ndjson(chunks: list[bytes]) -> list[object]:
    decoder = NdjsonDecoder()
    values = [value for chunk in chunks for value in decoder.feed(chunk)]
    return [*values, *decoder.finish()]


def decode_sse(chunks: list[bytes]) -> list[ServerSentEvent]:
    decoder = SseDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    decoder.finish()
    return events


def test_ndjson_is_the_same_however_it_is_cut() -> None:
    """Where a chunk ends says nothing about the values."""
    for chunks in cuts(NDJSON):
        assert decode_ndjson(chunks) == VALUES


def test_ndjson_cut_short_is_never_a_silent_end() -> None:
    """Each proper prefix gives a prefix of the values, and raises unless it ends with a whole value."""
    ends = {0}
    for value in VALUES:
        start = max(ends)
        line = encode_ndjson(value)
        ends.add(start + len(line))
        if isinstance(value, dict | list | str):
            ends.add(start + len(line) - 1)
    for length in range(len(NDJSON)):
        if length in ends:
            decode_ndjson([NDJSON[:length]])
        else:
            with pytest.raises(StreamBroken, match="ended in"):
                decode_ndjson([NDJSON[:length]])


@pytest.mark.parametrize(
    "line", [b"{'a': 1}\n", b"\xff\xfe\n", b'{"a": NaN}\n', b"[" * 100_000 + b"\n", b'{"a":1}{"b":2}\n', b"\x00\n"]
)
def test_ndjson_names_the_line_that_is_not_json(line: bytes) -> None:
    """A bad line is named by its number, and the values before it are not lost."""
    decoder = NdjsonDecoder()
    values = decoder.feed(b'{"good": 1}\n\n' + line)
    assert next(values) == {"good": 1}
    with pytest.raises(StreamBroken, match="Line 3"):
        next(values)


@pytest.mark.parametrize("pieces", [1, 7])
def test_ndjson_refuses_a_line_beyond_its_limit(pieces: int) -> None:
    """The limit holds whether the line comes at once or drop by drop, and one byte less is accepted."""
    decoder = NdjsonDecoder(max_line_bytes=21)
    fits = json.dumps("x" * 19).encode()
    assert list(decoder.feed(fits + b"\n")) == ["x" * 19]
    long = json.dumps("x" * 20).encode()
    step = -(-len(long) // pieces)
    with pytest.raises(StreamBroken, match="longer than 21 bytes"):
        [list(decoder.feed(long[i : i + step])) for i in range(0, len(long), step)]


def test_ndjson_refuses_what_json_cannot_say() -> None:
    """NaN would be written as something that no reader may accept."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_ndjson(float("nan"))


def test_a_line_limit_below_one_is_a_mistake() -> None:
    """A decoder that can accept nothing is refused where it is made."""
    with pytest.raises(ValueError, match="max_line_bytes=0"):
        NdjsonDecoder(max_line_bytes=0)


def test_sse_is_the_same_however_it_is_cut() -> None:
    """All three line breaks, a byte order mark and a cut between CR and LF make no difference."""
    for chunks in cuts(SSE):
        assert decode_sse(chunks) == EVENTS


def test_sse_that_ends_within_an_event_raises() -> None:
    """An event without its empty line may be incomplete."""
    for text in (b"data: a\n", b"data: a", b"data: a\n\nev"):
        with pytest.raises(StreamBroken, match="middle of an event"):
            decode_sse([text])


def test_sse_bounds_lines_and_events() -> None:
    """Neither one endless line nor endlessly many lines of one event fill the memory."""
    with pytest.raises(StreamBroken, match="line of the stream"):
        list(SseDecoder(max_line_bytes=10).feed(b"data: 123456"))
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(StreamBroken, match="larger than 100 bytes"):
        [list(decoder.feed(b"data: 1234\n")) for _ in range(20)]


def test_sse_that_is_not_utf8_raises() -> None:
    """Wrong bytes are never shown as replacement characters."""
    with pytest.raises(StreamBroken, match="not UTF-8"):
        list(SseDecoder().feed(b"data: \xff\n"))


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_sse_fields_cannot_smuggle_in_lines(bad: str) -> None:
    """An id or event name with a line break would forge another field."""
    with pytest.raises(ValueError, match="one line"):
        encode_sse("x", id=bad)
    with pytest.raises(ValueError, match="one line"):
        encode_sse("x", event=bad)


def test_sse_comment_is_heard_by_nobody() -> None:
    """A comment of several lines stays one comment."""
    assert decode_sse([encode_sse_comment("still\nhere"), encode_sse_comment()]) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(1, 50))
def test_sse_round_trip(texts: list[str], step: int) -> None:
    """What is encoded is decoded unchanged, line breaks made equal."""
    wire = b"".join(encode_sse(text) for text in texts)
    chunks = [wire[i : i + step] for i in range(0, len(wire), step)]
    expected = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    assert [event.data for event in decode_sse(chunks)] == expected
