"""What the demo counts while it runs."""

import asyncio

from schemawire.cli.demo.watch import CURRENT_PROJECT, Watch
from schemawire.events import AttemptFinished, BreakerChanged, CallFinished, CallRefused


def attempt(outcome: str) -> AttemptFinished:
    """Return the event of one attempt that ended."""
    return AttemptFinished(name="client", endpoint="e", attempt=1, outcome=outcome, duration=0.1)


async def test_attempts_are_booked_to_the_task_they_belong_to() -> None:
    """Two descriptions under way at once do not mix."""
    watch = Watch(lambda change: None)

    async def send(project: str, attempts: int) -> None:
        CURRENT_PROJECT.set(project)
        for _ in range(attempts):
            with watch.attempt_scope("e", 1, {}):
                await asyncio.sleep(0)
            watch.on_event(attempt("success"))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send("one", 1))
        tasks.create_task(send("two", 3))
        await asyncio.sleep(0)
        assert watch.attempts_in_flight == 2
    assert watch.attempts == {"one": 1, "two": 3}
    assert watch.attempts_in_flight == 0


def test_what_was_sent_again_is_the_attempts_beyond_one_per_call() -> None:
    """Refusals and failures are counted beside it."""
    watch = Watch(lambda change: None)
    watch.on_event(CallRefused(name="breaker", policy="breaker", reason="open"))
    for outcome in ("failed", "failed", "success"):
        watch.on_event(attempt(outcome))
    watch.on_event(
        CallFinished(name="client", method="GET", route="/", outcome="success", duration=0.3, attempts=3, status=200)
    )
    assert (watch.resent, watch.refusals, watch.failed_attempts) == (2, 1, 2)


def test_changes_of_the_breaker_are_passed_on_as_they_happen() -> None:
    """The stage hears of each at once, and the report can count them."""
    heard: list[str] = []
    watch = Watch(lambda change: heard.append(change.after))
    for before, after in (("closed", "open"), ("open", "half_open"), ("half_open", "closed")):
        watch.on_event(BreakerChanged(name="breaker", before=before, after=after, reason="r"))
    assert heard == ["open", "half_open", "closed"]
    assert (watch.times_reached("OPEN"), watch.times_reached("CLOSED")) == (1, 1)
