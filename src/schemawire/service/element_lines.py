"""A schema's lines, one by one: a header, elements, and a trailer that must agree with them. Pure; stores nothing."""

import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from schemawire.errors import SchemaInvalid
from schemawire.protocol.messages import UploadHeader, UploadTrailer
from schemawire.schema import ELEMENT_KINDS, ELEMENT_TYPES, Element, Header, parse_part
from schemawire.schema.issues import pointer_to, refuse
from schemawire.schema.plain import decode_json
from schemawire.schema.rules import check_element
from schemawire.service.refusals import RequestRefused, refusal_of_validation
from schemawire.service.staged_check import NothingElse, looks_around
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.staging import BEGINNING, Place, StagedRow, staged_row

_ELEMENT_KEYS = frozenset({"type", "kind", "cursor", "element"})
_SEND_AGAIN = "Send all lines again: a header, the elements, and a trailer with their number and digest."


class ElementLines:
    """Takes lines in order and turns elements into rows.

    Invariants: `count` elements were taken, their lines are hashed in `_seen`; after the trailer nothing is taken.

    Args:
        rows_key: the id that the rows get.
    """

    def __init__(self, rows_key: str) -> None:
        self._rows_key = rows_key
        self._number = 0
        self._seen = hashlib.sha256()
        self._last: Place = BEGINNING
        self._nothing: NothingElse | None = None
        self.count = 0
        self.stated: UploadHeader | None = None
        self.header: Header | None = None
        self.trailer: UploadTrailer | None = None

    def take(self, lines: Sequence[bytes]) -> tuple[list[StagedRow], list[Place]]:
        """Return the rows of the elements in some lines, and those places that may have been taken before.

        Raises:
            RequestRefused: a line is not what belongs there.
            SchemaInvalid: an element is not a valid one; pointers begin with the number of the line, from 1.
        """
        rows: list[StagedRow] = []
        doubtful: list[Place] = []
        here: set[Place] = set()
        for line in lines:
            self._number += 1
            if line.isspace():
                continue
            row = self._take(line)
            if row is None:
                continue
            place = (row.rank, row.key)
            if place in here:
                raise twice(place)
            here.add(place)
            if place > self._last:
                self._last = place
            else:
                doubtful.append(place)
            rows.append(row)
        return rows, doubtful

    def finish(self) -> tuple[UploadHeader, Header, UploadTrailer]:
        """Return the first and the last line, once the body has ended.

        Raises:
            RequestRefused: the trailer is missing, or does not agree with what came.
        """
        if self.stated is None or self.header is None or self.trailer is None:
            raise RequestRefused("invalid_request", "The stream ended before its trailer.", fix=_SEND_AGAIN)
        return self.stated, self.header, self.trailer

    def _take(self, line: bytes) -> StagedRow | None:
        document = self._decoded(line)
        kind = document.get("type")
        if self.trailer is not None:
            raise self._misplaced("There is a line behind the trailer.")
        if (self.stated is None) != (kind == "header"):
            raise self._misplaced("The first line, and no other, is the header.")
        match kind:
            case "element":
                return self._element(document, line)
            case "header":
                self._begin(document)
            case "trailer":
                self._end(document)
            case _:
                raise self._misplaced(f"A line of type {str(kind)[:40]!r} means nothing here.")
        return None

    def _decoded(self, line: bytes) -> dict[str, Any]:
        try:
            document = decode_json(line)
        except SchemaInvalid as error:
            raise RequestRefused("invalid_json", f"Line {self._number}: {error.message}", fix=error.fix) from None
        if not isinstance(document, dict):
            raise self._misplaced("A JSON object is wanted.")
        return document

    def _begin(self, document: dict[str, Any]) -> None:
        try:
            self.stated = UploadHeader.model_validate(document)
        except ValidationError as error:
            raise refusal_of_validation(error, pointer=f"/{self._number}") from None
        self.header = parse_part(Header, self.stated.header, pointer_to(self._number, "header"))
        self._nothing = NothingElse(self.header)

    def _element(self, document: dict[str, Any], line: bytes) -> StagedRow:
        kind = document.get("kind")
        if kind not in ELEMENT_KINDS or not document.keys() <= _ELEMENT_KEYS or self._nothing is None:
            raise self._misplaced(
                f"An element has a kind ({', '.join(ELEMENT_KINDS)}), an element, and maybe a cursor."
            )
        self._seen.update(line)
        self.count += 1
        place = pointer_to(self._number, "element")
        element: Element = parse_part(ELEMENT_TYPES[kind], document.get("element"), place)
        row = staged_row(self._rows_key, element, self._number * STRIDE)
        if not looks_around(kind, row.values["body"]):
            refuse(issue.under(place) for issue in check_element(self._nothing, element))
        return row

    def _end(self, document: dict[str, Any]) -> None:
        try:
            trailer = UploadTrailer.model_validate(document)
        except ValidationError as error:
            raise refusal_of_validation(error, pointer=f"/{self._number}") from None
        if trailer.element_count != self.count:
            raise self._misplaced(f"The trailer promises {trailer.element_count} elements; {self.count} came.")
        if trailer.stream_digest != self._seen.hexdigest():
            raise self._misplaced("The trailer's streamDigest is not that of the element lines that came.")
        self.trailer = trailer

    def _misplaced(self, detail: str) -> RequestRefused:
        return RequestRefused("invalid_request", f"Line {self._number}: {detail}", fix=_SEND_AGAIN)


def twice(place: Place) -> RequestRefused:
    """Return the refusal of an element that came before."""
    kind = ELEMENT_KINDS[place[0]]
    return RequestRefused("schema_invalid", f"{kind} {place[1]!r} comes twice.", fix="Send each element once.")
