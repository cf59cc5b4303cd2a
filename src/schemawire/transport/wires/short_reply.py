"""Reads the head of a plain reply of known length at a glance; whatever is not plain is left to a full parser."""

import re

LARGEST_HEAD = 16_384
"""A longer head is left to the parser, which knows what it may still accept."""

# RFC 9112 §4 and §5: what every parser accepts without leniency, so nothing is understood here that it would refuse.
_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [\t -~\x80-\xff]*)?\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
_NEEDS_CARE = (b"\ntransfer-encoding:", b"\ncontent-encoding:", b"\nupgrade:", b"\ntrailer:")
_LENGTH = b"\ncontent-length:"
_CONNECTION = b"\nconnection:"
_KEPT = b" keep-alive\r\n"
_WITHOUT_BODY = (204, 304)


def plain_head(data: bytes, *, without_body: bool) -> tuple[int, int, int] | None:
    """Return status, where the body begins and how long it is, or `None` where the reply needs a full parser.

    Plain is what is HTTP/1.1, complete up to the end of its head, neither compressed nor chunked, keeps its connection,
    and says its length once.

    Args:
        data: the reply as far as it has come, from its first byte.
        without_body: whether the request was one whose reply has no body, whatever its length says (HEAD).
    """
    found = _HEAD.match(data)
    if found is None or found.end() > LARGEST_HEAD:
        return None
    status, end = int(found[1]), found.end()
    head = data[:end].lower()
    for name in _NEEDS_CARE:
        if name in head:
            return None
    connection = head.find(_CONNECTION)
    if connection >= 0:
        after = connection + len(_CONNECTION)
        if not head.startswith(_KEPT, after) or head.find(_CONNECTION, after) >= 0:
            return None
    length = _length(head)
    if without_body or status in _WITHOUT_BODY:
        # A length that is malformed or said twice is none of ours to judge, even where nothing follows.
        return None if length == _MALFORMED else (status, end, 0)
    return None if length < 0 else (status, end, length)


_ABSENT, _MALFORMED = -1, -2


def _length(head: bytes) -> int:
    at = head.find(_LENGTH)
    if at < 0:
        return _ABSENT
    begin = at + len(_LENGTH)
    value = head[begin : head.index(b"\r", begin)].strip(b" \t")
    if not value.isdigit() or len(value) > 15 or head.find(_LENGTH, begin) >= 0:
        return _MALFORMED
    return int(value)


def fields_of(head: bytes) -> list[tuple[str, str]]:
    """Return the fields of a plain head, from its status line to its empty line, in order."""
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    pairs = []
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        pairs.append((name, value.strip(" \t")))
    return pairs
