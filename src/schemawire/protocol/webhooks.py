"""Signatures of webhook calls: made by the service, checked by whoever receives them; knows neither of the two.

*Source:* the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

from schemawire.errors import SchemawireError

WEBHOOK_ID = "webhook-id"
"""The same at every attempt of one call: receivers remember it and do nothing twice."""
WEBHOOK_TIMESTAMP = "webhook-timestamp"
WEBHOOK_SIGNATURE = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix of every secret
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
TOLERANCE = 300.0
"""Seconds that a call may be older or newer than the receiver's clock."""


class WebhookRejected(SchemawireError):
    """The call does not come from who it claims, or was seen by somebody who sends it again."""

    code = "webhook_rejected"
    default_fix = "Answer it with status 400, and check that both sides have the same secret and the right time."


def read_secret(text: str) -> bytes:
    """Return the key that a secret in text form stands for.

    Raises:
        ValueError: it is not `whsec_` and 24 to 64 bytes in base64; the message never holds it.
    """
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise ValueError(
            f"a secret is {SECRET_PREFIX} and {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} random bytes in base64"
        )
    return key


def sign_webhook(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the signature header: one signature for each secret, so that secrets can be replaced.

    Raises:
        ValueError: a secret is malformed.
    """
    return " ".join(f"v1,{_signature(read_secret(secret), webhook_id, timestamp, body)}" for secret in secrets)


def verify_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
) -> str:
    """Return the id of a call that is genuine and fresh; keep it, and ignore calls whose id you know.

    Args:
        secret: `whsec_…`, as the sender has it.
        headers: of the call, in any case.
        body: of the call, exactly as it came.
        now: seconds since 1970-01-01 UTC; this machine's clock if not given.
        tolerance: seconds that the call may be older or newer than that.

    Raises:
        ValueError: the secret is malformed.
        WebhookRejected: a header is missing, the signature is wrong, or the call is too old or too new.
    """
    key, given = read_secret(secret), {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE) if name not in given]
    if missing:
        raise WebhookRejected(f"the call lacks the header {missing[0]!r}")
    webhook_id, timestamp = given[WEBHOOK_ID], _read_timestamp(given[WEBHOOK_TIMESTAMP])
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        raise WebhookRejected(f"the call's time is more than {tolerance:g} s from ours")
    wanted = _signature(key, webhook_id, timestamp, body).encode()
    signatures = [each.partition(",") for each in given[WEBHOOK_SIGNATURE].split()]
    if not any(version == "v1" and hmac.compare_digest(text.encode(), wanted) for version, _, text in signatures):
        raise WebhookRejected("no signature of the call is right")
    return webhook_id


def _signature(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    signed = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return base64.b64encode(signed.digest()).decode()


def _read_timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise WebhookRejected(f"{text[:20]!r} is not a time in seconds")
    return int(text)
