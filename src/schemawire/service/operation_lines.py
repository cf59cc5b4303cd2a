"""A batch's lines, taken in whole before anything is done: in a file, so that a million of them take no memory.

Knows nothing of what operations do.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import IO, Any

from pydantic import ValidationError

from schemawire.errors import SchemaInvalid
from schemawire.protocol.messages import BatchHeader
from schemawire.schema.plain import decode_json
from schemawire.service.body_lines import Intake
from schemawire.service.refusals import RequestRefused, refusal_of_validation
from schemawire.service.threads import in_background

MAX_OPERATIONS = 1_000_000
_IN_MEMORY_BYTES = 1024 * 1024


class OperationLines:
    """The operations of one batch, to be read again and again until it is closed.

    Invariant: the file holds `count` lines of `size_bytes` bytes, and neither the header nor empty lines.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # closed by `close`
        self._stated: BatchHeader | None = None
        self.count = 0
        self.size_bytes = 0

    @property
    def stated(self) -> BatchHeader:
        """The header line.

        Raises:
            RequestRefused: there is none.
        """
        if self._stated is None:
            raise RequestRefused("invalid_request", "The batch has no header line.", fix=_HEADER_FIX)
        return self._stated

    async def take_in(self, intake: Intake) -> None:
        """Read all lines.

        Raises:
            RequestRefused: the first one is no header, or there are too many.
        """
        async with aclosing(intake.portions()) as portions:
            async for portion in portions:
                lines = [line for line in portion if not line.isspace()]
                if self._stated is None and lines:
                    self._stated = _read_header(lines.pop(0))
                self.count += len(lines)
                if self.count > MAX_OPERATIONS:
                    raise RequestRefused("payload_too_large", f"The batch has more than {MAX_OPERATIONS} operations.")
                await in_background(lambda lines=lines: self._keep(lines))  # type: ignore[misc]  # bound now

    def _keep(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            whole = line if line.endswith(b"\n") else line + b"\n"
            self._file.write(whole)
            self.size_bytes += len(whole)

    def documents(self, first: int, count: int) -> list[Any]:
        """Return up to `count` operations; those behind the ones that were read last, or all from the first one."""
        if first == 0:
            self._file.seek(0)
        return list(self._read(first, count))

    def _read(self, first: int, count: int) -> Iterator[Any]:
        for number in range(first, min(first + count, self.count)):
            try:
                yield decode_json(self._file.readline())
            except SchemaInvalid as error:
                detail = f"Operation {number}: {error.message}"
                raise RequestRefused("invalid_json", detail, fix=error.fix) from None

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


_HEADER_FIX = 'Begin with a line such as {"type": "header", "projectId": "blog"}.'


def _read_header(line: bytes) -> BatchHeader:
    try:
        document = decode_json(line)
    except SchemaInvalid as error:
        raise RequestRefused("invalid_json", f"Line 1: {error.message}", fix=error.fix) from None
    if not isinstance(document, dict) or document.get("type") != "header":
        raise RequestRefused("invalid_request", "The first line is no header.", fix=_HEADER_FIX)
    try:
        return BatchHeader.model_validate(document)
    except ValidationError as error:
        raise refusal_of_validation(error) from None
