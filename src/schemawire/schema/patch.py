"""Merge patches on parts of a document.

Knows nothing of where the part stands.

*Source:* RFC 7396.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from schemawire.schema.model import Part
from schemawire.schema.reading import parse_part

AnyPart = TypeVar("AnyPart", bound=Part)


def merge_patch(document: object, patch: object) -> object:
    """Return the document with the patch merged in: objects merge key by key, null removes, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, Any] = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def patched(part: AnyPart, patch: Mapping[str, Any], pointer: str) -> AnyPart:
    """Return the part with the patch merged in.

    Args:
        part: an element or a field.
        patch: keys and values of its document.
        pointer: where the patch stands in the request.

    Raises:
        SchemaInvalid: the result does not have the promised form.
    """
    return parse_part(type(part), merge_patch(part.to_document(), patch), pointer)
