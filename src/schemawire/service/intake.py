"""Operations that other systems publish to the broker, taken in once each; what cannot be is put aside with its reason.

A message is acknowledged after the commit of its operation, and the idempotency key is written in that commit: a
message that comes again, because somebody died in between, finds its key and does nothing.
"""

import base64
import json
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StrictStr

from schemawire.errors import SchemawireError
from schemawire.protocol.messages import MAX_BODY_BYTES, ProjectId, SubmitRequest
from schemawire.service.backend import Backend
from schemawire.service.context import MAX_KEY_LENGTH
from schemawire.service.dispatch.brokers import BrokerLink, Letter, Subscription, Verdict
from schemawire.service.dispatch.brokers.letters import DEAD_SUFFIX
from schemawire.service.dispatch.brokers.link import BrokerAway
from schemawire.service.logs import log
from schemawire.service.refusals import RequestRefused, internal_error, refusal_of
from schemawire.service.store.records import timestamp
from schemawire.service.strict_json import parse_json
from schemawire.service.submissions import submit
from schemawire.service.write_request import WriteRequest, hash_request

ROUTE = "intake"
"""Of the idempotency keys: those of messages and those of HTTP requests do not meet."""
AT_ONCE = 8
MAX_ATTEMPTS = 5
"""How often a message is looked at that fails in a way nobody foresaw."""
MAX_REMEMBERED = 10_000
MAX_KEPT_BYTES = 256 * 1024
"""How much of a message is kept with the reason why it was put aside."""

_KEY = re.compile(r"(?i)\bbearer\s+[^\s\"'\\,}]+|\bsw_[A-Za-z0-9_-]{20,}")


class IntakeMessage(SubmitRequest):
    """One message: the body of `POST …/async`, for which project, from whom, and under which key."""

    project_id: ProjectId
    idempotency_key: Annotated[StrictStr, Field(min_length=1, max_length=MAX_KEY_LENGTH)] | None = None
    authorization: Annotated[StrictStr, Field(max_length=8_192)] | None = Field(None, repr=False)


@dataclass(slots=True, kw_only=True)
class IntakeStatistics:
    """What became of the messages since the start."""

    taken: int = 0
    """Operations that came into being, repeats included: they look alike from here."""
    dead: int = 0
    """Put aside with a reason."""
    postponed: int = 0
    """Left for another delivery."""


class Intake:
    """Takes messages in from one queue.

    Args:
        backend: where operations go; running from before the start until after the stop.
        url: the broker's address.
        queue: where messages come from; those that cannot be worked on go to the queue of that name and `.dead`.
        name: this process among all that take messages in.
        redeliver_after: seconds after which a message whose reader has gone silent is given to another one.

    Raises:
        ConfigurationInvalid: no broker has such an address, or its extra is not installed.
    """

    def __init__(self, backend: Backend, url: str, queue: str, *, name: str, redeliver_after: float = 30.0) -> None:
        self.statistics = IntakeStatistics()
        self._backend = backend
        self._dead = f"{queue}{DEAD_SUFFIX}"
        self._failures: OrderedDict[bytes, int] = OrderedDict()
        subscription = Subscription(
            queue=queue, handle=self._receive, concurrency=AT_ONCE, redeliver_after=redeliver_after
        )
        self._link = BrokerLink(url, name=name, queues=[self._dead], subscriptions=[subscription])

    @property
    def is_connected(self) -> bool:
        """Whether the broker answered a moment ago."""
        return self._link.is_connected

    async def start(self) -> None:
        """Begin to take messages in."""
        await self._link.start()

    async def stop(self) -> None:
        """Take nothing more in; what is being worked on comes again."""
        await self._link.stop()

    async def _receive(self, letter: Letter) -> Verdict:
        try:
            with self._backend.dispatcher.spans.process("intake", letter.headers):
                await self._take_in(letter)
        except Exception as error:  # each kind is told apart below
            return await self._judge(letter, error)
        self.statistics.taken += 1
        return Verdict.DONE

    async def _take_in(self, letter: Letter) -> None:
        """Make an operation of a message.

        Raises:
            RequestRefused: it is no such message, or its sender may not do that.
        """
        message = _read(letter)
        principal = await self._backend.keys.authenticate(message.authorization or letter.headers.get("authorization"))
        principal.require("write")
        principal.require_project(message.project_id)
        key = message.idempotency_key or letter.headers.get("idempotency-key") or letter.message_id
        if not key or len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
            raise RequestRefused(
                "invalid_request",
                f"The message has no key of 1 to {MAX_KEY_LENGTH} printable ASCII characters that tells a repeat.",
                fix="Send idempotencyKey in the message, an Idempotency-Key header, or a message id.",
            )
        wanted = SubmitRequest.model_validate(
            message.model_dump(exclude={"project_id", "idempotency_key", "authorization"}, exclude_unset=True)
        )
        write = WriteRequest(
            project_id=message.project_id,
            principal=principal.name,
            route=ROUTE,
            key=key,
            request_hash=hash_request(message.project_id, wanted.model_dump_json(by_alias=True)),
            size_bytes=len(letter.body),
            default_mode=self._backend.terms.compatibility,
        )
        await submit(self._backend, write, wanted)

    async def _judge(self, letter: Letter, error: Exception) -> Verdict:
        refusal = refusal_of(error)
        if refusal is None:
            log.error("message failed", exc_info=error)
            if self._count_failure(letter) < MAX_ATTEMPTS:
                self.statistics.postponed += 1
                return Verdict.AGAIN
            refusal = internal_error()
        elif _is_passing(refusal):
            self.statistics.postponed += 1
            return Verdict.AGAIN
        return await self._put_aside(letter, refusal)

    def _count_failure(self, letter: Letter) -> int:
        mark = hash_request(letter.message_id, letter.body)
        count = self._failures.pop(mark, 0) + 1
        self._failures[mark] = count
        if len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)
        return count

    async def _put_aside(self, letter: Letter, refusal: RequestRefused) -> Verdict:
        try:
            await self._link.publish(self._dead, _dead_letter(letter, refusal))
        except BrokerAway:  # then it is not acknowledged either
            self.statistics.postponed += 1
            return Verdict.AGAIN
        self.statistics.dead += 1
        log.warning("message put aside", queue=self._dead, code=refusal.reason, messageId=letter.message_id)
        return Verdict.DONE


def _read(letter: Letter) -> IntakeMessage:
    if len(letter.body) > MAX_BODY_BYTES:
        raise RequestRefused("payload_too_large", f"The message has more than {MAX_BODY_BYTES} bytes.")
    document = parse_json(letter.body)
    if not isinstance(document, dict):
        raise RequestRefused("invalid_request", "The message is not a JSON object.")
    return IntakeMessage.model_validate(document)


def _is_passing(refusal: RequestRefused) -> bool:
    """Tell whether the same message may be taken in later."""
    problem: SchemawireError = refusal
    return refusal.to_problem().retryable or problem.retryable


def _dead_letter(letter: Letter, refusal: RequestRefused) -> bytes:
    """Return what is kept of a message: why, when, and the message itself without anything that looks like a key."""
    kept: dict[str, Any] = {
        "reason": refusal.to_problem().model_dump(mode="json", by_alias=True, exclude_none=True),
        "putAsideAt": timestamp(time.time()),
        "messageId": letter.message_id,
        "sizeBytes": len(letter.body),
    }
    body = letter.body[:MAX_KEPT_BYTES]
    try:
        text = body.decode("utf-8", "strict" if body is letter.body else "ignore")
    except UnicodeDecodeError:
        kept["messageBase64"] = base64.b64encode(body).decode()
    else:
        kept["message"] = _KEY.sub("(key removed)", text)
    return json.dumps(kept, ensure_ascii=False).encode()
