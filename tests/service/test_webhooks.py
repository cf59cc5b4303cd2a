"""Webhooks: signed, only to where they may go, again until accepted, and not forgotten by a process that is killed."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from tests.service.caller import Caller, create_entity

from schemawire.errors import ConfigurationInvalid
from schemawire.protocol.webhooks import WebhookRejected, sign_webhook, verify_webhook
from schemawire.service.operations import Operation, cancel, new_operation
from schemawire.service.refusals import RequestRefused
from schemawire.service.store import SqliteStore, add_operation, save_operation
from schemawire.service.store.deliveries import Delivery
from schemawire.service.store.tables import deliveries
from schemawire.service.webhook_policy import WebhookPolicy
from schemawire.service.webhooks import WebhookOptions, WebhookSender
from schemawire.testing.service_process import ServiceProcess

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
QUICK = WebhookOptions(timeout=1.0, first_pause=0.02, longest_pause=0.05, max_attempts=4, poll_interval=0.02)


@dataclass
class Receiver:
    """A real HTTP server that keeps what it was told, and answers as it is told to."""

    answers: list[int] = field(default_factory=list)
    """Statuses, one for each call; 200 once they are used up."""
    calls: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.calls.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"} if status == 302 else {})

    async def until(self, count: int) -> None:
        while len(self.calls) < count:  # noqa: ASYNC110  # the list has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    kept = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", kept.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    kept.url = f"http://127.0.0.1:{port}"
    yield kept
    await runner.cleanup()
    await asyncio.sleep(0.01)  # transports end on later turns of the loop


def policy_for(receiver: Receiver, secrets: str = SECRET, *, allows_private: bool = True) -> WebhookPolicy:
    return WebhookPolicy.read(secrets=secrets, hosts=receiver.url, allows_private=allows_private)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "schemas.db")
    await opened.start()
    yield opened
    await opened.close()


@asynccontextmanager
async def sending(store: SqliteStore, policy: WebhookPolicy) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(store, policy, options=QUICK)
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop()


async def ended_operation(store: SqliteStore, url: str) -> Operation:
    """Return an operation that has ended, and owes a call."""
    operation = new_operation("p", "batch", {}, now=time.time(), webhook=url)
    await store.write(partial(add_operation, operation=operation))
    ended = cancel(operation, now=time.time())
    await store.write(partial(save_operation, operation=ended))
    return ended


async def until_finished(store: SqliteStore, operation: Operation) -> Delivery:
    owed_for = select(deliveries).where(deliveries.c.operation_id == operation.operation_id)
    while True:
        row = await store.read(lambda conn: conn.execute(owed_for).one())
        owed = Delivery(**row._mapping)
        if owed.finished_at is not None:
            return owed
        await asyncio.sleep(0.01)


def test_a_signature_is_the_one_of_the_standard() -> None:
    """The example of the specification's reference implementations."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign_webhook([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == wanted


@given(
    body=st.binary(max_size=200), webhook_id=st.from_regex(r"[a-z0-9]{1,40}", fullmatch=True), at=st.integers(0, 2**33)
)
def test_what_was_signed_is_accepted_and_what_was_changed_is_not(body: bytes, webhook_id: str, at: int) -> None:
    """Every part is covered: the id, the time and the body."""
    headers = signed(webhook_id, at, body)
    assert verify_webhook(SECRET, headers, body, now=float(at)) == webhook_id
    changes: list[tuple[dict[str, str], bytes]] = [
        (headers, body + b"x"),
        ({**headers, "Webhook-Id": webhook_id + "x"}, body),
        ({**headers, "Webhook-Timestamp": str(at + 1)}, body),
        ({**headers, "Webhook-Signature": "v1,AAAA"}, body),
        ({name: value for name, value in headers.items() if name != "Webhook-Signature"}, body),
    ]
    for changed, content in changes:
        with pytest.raises(WebhookRejected):
            verify_webhook(SECRET, changed, content, now=float(at))


def signed(webhook_id: str, at: int, body: bytes, *secrets: str) -> dict[str, str]:
    signature = sign_webhook(secrets or (SECRET,), webhook_id, at, body)
    return {"Webhook-Id": webhook_id, "Webhook-Timestamp": str(at), "Webhook-Signature": signature}


def test_an_old_call_is_not_accepted_again() -> None:
    """Whoever recorded a call cannot send it an hour later, nor a forged one from the future."""
    headers = signed("a", 10_000, b"{}")
    for now in (10_301.0, 9_699.0):
        with pytest.raises(WebhookRejected, match="time"):
            verify_webhook(SECRET, headers, b"{}", now=now)


def test_secrets_can_be_replaced_without_a_gap() -> None:
    """While both are listed, a receiver with either of them accepts the call."""
    headers = signed("a", 10_000, b"{}", NEXT_SECRET, SECRET)
    for secret in (SECRET, NEXT_SECRET):
        assert verify_webhook(secret, headers, b"{}", now=10_000.0) == "a"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_malformed_secret_is_refused_and_not_shown(secret: str) -> None:
    """Also by the settings: the message says which one, and never what it is."""
    with pytest.raises(ValueError, match="whsec_ and 24 to 64"):
        verify_webhook(secret, {}, b"")
    if secret:
        with pytest.raises(ConfigurationInvalid, match="number 1") as caught:
            WebhookPolicy.read(secrets=secret, hosts="a.example", allows_private=False)
        assert secret == "whsec_" or secret not in str(caught.value)


ALLOWED = WebhookPolicy.read(
    secrets=SECRET,
    hosts="hooks.example.org, *.apps.example, https://other.example:8443, http://plain.example, http://127.0.0.1:9000, "
    "https://[::1], https://169.254.169.254, https://[::ffff:10.0.0.1]",
    allows_private=False,
)


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.org/a?b=c", "https://HOOKS.example.org", "https://a.b.apps.example/x",
     "https://other.example:8443/", "http://plain.example/hook"],
)  # fmt: skip
def test_a_listed_place_may_be_called(url: str) -> None:
    """By host, by everything below a host, by port, and over plain HTTP where the entry says so."""
    ALLOWED.check(url)


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/", "http://hooks.example.org/", "https://hooks.example.org:8443/", "https://apps.example/",
     "https://evilapps.example/", "https://hooks.example.org.evil.example/", "https://hooks.example.org@evil.example/",
     "https://user:pw@hooks.example.org/", "https://hooks.example.org/#part", "https://hooks.example.org/\nx",
     "https://hooks.example.org:99999/", "https://hooks.example.org:0/", "ftp://hooks.example.org/",
     "hooks.example.org", "//hooks.example.org/", "", "https://", "file:///etc/passwd",
     "https://hooks.example.org/" + "a" * 2_000,
     "https://[::1/", "http://127.0.0.1:9000/", "https://[::1]/", "https://169.254.169.254/latest",
     "https://[::ffff:10.0.0.1]/"],
)  # fmt: skip
def test_any_other_place_may_not_be_called(url: str) -> None:
    """Unlisted, disguised, malformed, or listed but in a private network: the refusal says what to do."""
    with pytest.raises(RequestRefused) as caught:
        ALLOWED.check(url)
    assert caught.value.fix
    assert "pw" not in caught.value.message


def test_without_secrets_and_hosts_nothing_may_be_called() -> None:
    """By default there are no webhooks."""
    for policy in (WebhookPolicy(), WebhookPolicy.read(secrets=SECRET, hosts="", allows_private=True)):
        with pytest.raises(RequestRefused, match="sends none"):
            policy.check("https://hooks.example.org/")


async def test_an_ended_operation_is_told_signed_and_once(store: SqliteStore, receiver: Receiver) -> None:
    """The body says what ended how; the signature is right; an accepted call is not made again."""
    async with sending(store, policy_for(receiver)) as sender:
        operation = await ended_operation(store, f"{receiver.url}/hook?token=t")
        sender.wake()
        delivery = await until_finished(store, operation)
        await asyncio.sleep(0.05)
    ((headers, body),) = receiver.calls
    assert verify_webhook(SECRET, headers, body) == delivery.delivery_id
    told = json.loads(body)
    assert (told["type"], told["data"]["operationId"]) == ("operation.cancelled", operation.operation_id)
    assert headers["content-type"] == "application/json"
    assert (delivery.state, delivery.attempts) == ("delivered", 1)


async def test_a_call_is_made_again_until_it_is_accepted(store: SqliteStore, receiver: Receiver) -> None:
    """With the same id and body; redirects are not followed, and nothing but success counts."""
    receiver.answers = [500, 302, 429]
    async with sending(store, policy_for(receiver)):
        delivery = await until_finished(store, await ended_operation(store, receiver.url))
    assert (delivery.state, delivery.attempts) == ("delivered", 4)
    assert len({(headers["webhook-id"], body) for headers, body in receiver.calls}) == 1


@pytest.mark.parametrize(("answers", "attempts"), [([410], 1), ([500] * 9, 4)])
async def test_a_call_is_given_up(store: SqliteStore, receiver: Receiver, answers: list[int], attempts: int) -> None:
    """At once where the receiver says that it is gone; else after the last attempt, with the reason kept."""
    receiver.answers = list(answers)
    async with sending(store, policy_for(receiver)) as sender:
        delivery = await until_finished(store, await ended_operation(store, receiver.url))
    assert (delivery.state, delivery.attempts, len(receiver.calls)) == ("abandoned", attempts, attempts)
    assert str(answers[0]) in str(delivery.error)
    assert sender.statistics.abandoned == 1


async def test_a_name_that_leads_inside_is_not_called(
    store: SqliteStore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A listed name is resolved before each call, and a private address ends it; the log names the host alone."""
    url = receiver.url.replace("127.0.0.1", "localhost")
    policy = WebhookPolicy.read(secrets=SECRET, hosts=url, allows_private=False)
    policy.check(url)
    async with sending(store, policy):
        delivery = await until_finished(store, await ended_operation(store, f"{url}/path?token=hush"))
    assert (delivery.state, receiver.calls) == ("abandoned", [])
    assert "public internet" in str(delivery.error)
    assert "hush" not in caplog.text
    assert SECRET not in caplog.text


async def test_a_dead_receiver_does_not_stop_others(store: SqliteStore, receiver: Receiver) -> None:
    """One that refuses connections is tried again later, while another one is told."""
    policy = WebhookPolicy.read(secrets=SECRET, hosts=f"{receiver.url},http://127.0.0.1:1", allows_private=True)
    async with sending(store, policy):
        dead = await ended_operation(store, "http://127.0.0.1:1/")
        alive = await ended_operation(store, receiver.url)
        assert (await until_finished(store, alive)).state == "delivered"
        assert (await until_finished(store, dead)).state == "abandoned"


@pytest.fixture
def telling_service(tmp_path: Path, receiver: Receiver) -> Callable[[], ServiceProcess]:
    """Make a service that may call the receiver."""
    environment = {
        "SCHEMAWIRE_WEBHOOK_SECRETS": SECRET,
        "SCHEMAWIRE_WEBHOOK_HOSTS": receiver.url,
        "SCHEMAWIRE_WEBHOOK_PRIVATE": "true",
    }
    return lambda: ServiceProcess(tmp_path, environment=environment)


@pytest.mark.timeout(60)
async def test_a_call_that_is_owed_outlives_a_killed_service(
    telling_service: Callable[[], ServiceProcess], receiver: Receiver
) -> None:
    """SIGKILL between the end of the operation and the receiver's acceptance: the next process makes the call."""
    receiver.answers = [503]
    async with telling_service() as service, Caller(service) as call:
        wanted = {"operations": [create_entity("A")], "webhook": f"{receiver.url}/hook"}
        answer = await call("POST", "shop/async", json=wanted)
        assert answer.status == 202
        await receiver.until(1)
        await asyncio.to_thread(service.restart)
        await receiver.until(2)
    (first, body), (second, again) = receiver.calls[:2]
    assert first["webhook-id"] == second["webhook-id"]
    assert body == again
    assert json.loads(body)["type"] == "operation.succeeded"
    assert verify_webhook(SECRET, second, again)
    assert SECRET not in service.log_path.read_text()


async def test_a_webhook_that_may_not_be_called_is_refused_at_once(
    telling_service: Callable[[], ServiceProcess], receiver: Receiver
) -> None:
    """Nothing is taken in: the caller learns it now, and not from a call that never comes."""
    async with telling_service() as service, Caller(service) as call:
        wanted = {"operations": [create_entity("A")], "webhook": "http://169.254.169.254/latest"}
        answer = await call("POST", "shop/async", json=wanted)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert "SCHEMAWIRE_WEBHOOK_HOSTS" in answer.json()["fix"]
        assert (await call("GET", "operations")).json()["data"]["operations"] == []
    assert receiver.calls == []
