"""Errors that come once a stream has begun: its last frame says what happened, since the status has been sent."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from schemawire.framing import encode_sse
from schemawire.protocol.messages import StreamError
from schemawire.service.logs import log
from schemawire.service.refusals import internal_error, refusal_of


async def with_error_line(
    chunks: AsyncGenerator[bytes, None], request_id: str, *, at_end: Callable[[], None] = lambda: None
) -> AsyncGenerator[bytes, None]:
    """Yield chunks of lines, and an error line if producing them fails.

    Args:
        chunks: where they come from; closed in any case.
        request_id: goes with the error.
        at_end: called in any case.
    """
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except Exception as error:
        yield error_frame(error, request_id) + b"\n"
    finally:
        at_end()


def error_frame(error: Exception, request_id: str) -> bytes:
    """Return the JSON that tells a reader why its stream ends."""
    refusal = refusal_of(error)
    if refusal is None:
        log.exception("stream failed", requestId=request_id)
        refusal = internal_error()
    problem = refusal.to_problem().model_copy(update={"request_id": request_id})
    return StreamError(problem=json.loads(problem.to_json())).to_json()


async def with_error_event(chunks: AsyncGenerator[bytes, None], request_id: str) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events, and one named `error` if producing them fails; the reader may reconnect."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except Exception as error:
        yield encode_sse(error_frame(error, request_id).decode(), event="error")
