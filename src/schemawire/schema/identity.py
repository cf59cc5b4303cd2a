"""When two elements are the same: canonical bytes, digests, and an index of digests kept up to date change by change.

Knows nothing of where elements are stored.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from schemawire.schema.changes import Changes
from schemawire.schema.model import ELEMENT_KINDS, DomainSchema, Element, ElementKind, Header, Part, kind_of

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_EXACT_INTEGERS = 2.0**53
_LEFT_OUT = frozenset({"evidence"})


@cache
def _options(model: type[Part]) -> dict[str, tuple[str, bool, object]]:
    """Return for each option that counts its key, whether it must be given, and its default."""
    return {
        name: (option.alias or name, option.is_required(), option.default)
        for name, option in model.model_fields.items()
        if name not in _LEFT_OUT
    }


def _plain(value: object) -> object:
    match value:
        case Part():
            return _plain_part(value)
        case str():
            return _nfc(value)
        case float() if value.is_integer() and abs(value) <= _EXACT_INTEGERS:
            return int(value)  # 1 and 1.0 are one JSON number, and some stores write the one for the other
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {_nfc(key): _plain(item) for key, item in value.items()}
        case _:
            return value


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _plain_part(part: Part) -> dict[str, object]:
    plain: dict[str, object] = {}
    options, values = _options(type(part)), part.__dict__
    for name in part.model_fields_set & options.keys():  # what is not set has its default
        key, is_required, default = options[name]
        value = values[name]
        if value is not None and (is_required or value != default):
            plain[key] = _plain(value)
    for name, value in (part.model_extra or {}).items():
        plain[_nfc(name)] = _plain(value)
    return plain


def canonical_bytes(element: Element | Header) -> bytes:
    """Return the one byte string that all documents of the same element share.

    Compact UTF-8 JSON with sorted keys and NFC strings; defaults, nulls and evidence are left out, `x-…` is kept.
    """
    return _text(_plain_part(element)).encode()


def same_value(one: object, other: object) -> bool:
    """Tell whether two values of a document have the same canonical form."""
    return _text(_plain(one)) == _text(_plain(other))


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
_make_encoder = getattr(json.encoder, "c_make_encoder", None)
_chunks = _make_encoder and _make_encoder(
    None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", True, False, False
)
"""What the encoder makes anew for each text, which takes longer than a small text; it keeps nothing between two."""


def _text(plain: object) -> str:
    return _ENCODER.encode(plain) if _chunks is None else "".join(_chunks(plain, 0))


def element_digest(element: Element) -> bytes:
    """Return the 32 raw bytes of the SHA-256 over the element's kind, a line feed and its canonical bytes."""
    return sha256(kind_of(element).encode() + b"\n" + canonical_bytes(element)).digest()


def digest_of(header: Header, ordered_digests: Iterable[bytes]) -> str:
    """Return the hexadecimal digest of a schema from its header and its elements' digests.

    Args:
        header: the schema without its elements.
        ordered_digests: one per element, ordered by kind (as in `ELEMENT_KINDS`), then by key in code point order.
    """
    total = begin_digest(header)
    for digest in ordered_digests:
        total.update(digest)
    return total.hexdigest()


def begin_digest(header: Header) -> "Hash":
    """Return what `digest_of` begins with, for whoever gets the elements' digests a portion at a time."""
    return sha256(sha256(b"schema\n" + canonical_bytes(header)).digest())


class DigestIndex(Mapping[tuple[ElementKind, str], bytes]):
    """The digest of every element of one schema, and of the whole, updated by changes instead of computed anew."""

    def __init__(self, header: Header, elements: Iterable[Element] = ()) -> None:
        self._header = header
        self._digests: dict[tuple[ElementKind, str], bytes] = {
            (kind_of(element), element.key): element_digest(element) for element in elements
        }

    def __getitem__(self, key: tuple[ElementKind, str]) -> bytes:
        return self._digests[key]

    def __iter__(self) -> Iterator[tuple[ElementKind, str]]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def update(self, changes: Changes) -> None:
        """Follow the changes; only what they touch is hashed again."""
        self._header = changes.header_after
        for change in changes.elements:
            if change.after is None:
                self._digests.pop((change.kind, change.key), None)
            else:
                self._digests[change.kind, change.key] = element_digest(change.after)

    @property
    def digest(self) -> str:
        """The digest of the whole schema, the same as `schema_digest` of its document."""
        order = {kind: position for position, kind in enumerate(ELEMENT_KINDS)}
        keys = sorted(self._digests, key=lambda key: (order[key[0]], key[1]))
        return digest_of(self._header, (self._digests[key] for key in keys))


def schema_digest(schema: DomainSchema) -> str:
    """Return the hexadecimal digest of a schema.

    The order of the elements does not matter; the order of fields, of an enum's values and of an index's fields does.
    """
    return DigestIndex(schema.header(), schema.elements()).digest
