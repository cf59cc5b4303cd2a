"""The fallback: which endings it answers, and that a cancellation is none of them."""

import asyncio

import pytest

from schemawire.errors import CircuitOpen, ConfigurationInvalid, NotFound
from schemawire.resilience.call import NEUTRAL, SUCCESS, Context, Judgement, judge_exceptions
from schemawire.resilience.fallback import Fallback, FallbackConfig
from schemawire.testing.scripted import ScriptedDependency, hang
from schemawire.testing.virtual_time import settle, virtual_time


def judge(context: Context, result: object, error: BaseException | None) -> Judgement:
    """Judge as a client would: a refusal of ours is neutral, a no of the other side an answer, 'stale' a bad result."""
    if isinstance(error, CircuitOpen):
        return NEUTRAL
    if isinstance(error, NotFound):
        return SUCCESS
    return Judgement(failed=True) if result == "stale" else judge_exceptions(context, result, error)


@virtual_time
async def test_it_answers_failures_refusals_and_bad_results() -> None:
    """Each kind of bad ending gets the fallback's answer, and the action sees the error."""
    seen: list[BaseException | None] = []

    async def action(context: Context, error: BaseException | None) -> str:
        seen.append(error)
        return "instead"

    fallback = Fallback(action, judge=judge)
    for outcome in (ConnectionError("down"), CircuitOpen(), "stale"):
        assert await fallback(ScriptedDependency[str](outcome)) == "instead"
    assert [type(error) for error in seen] == [ConnectionError, CircuitOpen, type(None)]
    assert fallback.statistics().used == 3


@virtual_time
async def test_good_answers_and_a_no_of_the_other_side_pass() -> None:
    """Neither a good result nor a final refusal by the other side is replaced."""
    fallback = Fallback(lambda context, error: "instead", judge=judge)
    assert await fallback(ScriptedDependency[str]("good")) == "good"
    with pytest.raises(NotFound):
        await fallback(ScriptedDependency[str](NotFound()))


@virtual_time
async def test_each_kind_of_ending_can_be_left_alone() -> None:
    """What is switched off comes out unchanged."""
    fallback = Fallback(lambda context, error: "instead", judge=judge)
    fallback.replace_options(FallbackConfig(on_failed=False, on_refused=False, on_results=False))
    assert await fallback(ScriptedDependency[str]("stale")) == "stale"
    for error in (ConnectionError(), CircuitOpen()):
        with pytest.raises(type(error)):
            await fallback(ScriptedDependency[str](error))


@virtual_time
async def test_a_failing_fallback_keeps_the_original_error_as_its_cause() -> None:
    """When the action fails too, both errors can be seen."""

    def action(context: Context, error: BaseException | None) -> str:
        raise KeyError("nothing cached")

    fallback = Fallback(action)
    with pytest.raises(KeyError) as raised:
        await fallback(ScriptedDependency[str](ConnectionError("down")))
    assert isinstance(raised.value.__cause__, ConnectionError)
    assert fallback.statistics().failed == 1


@virtual_time
async def test_it_is_not_run_on_cancellation() -> None:
    """A cancelled call is cancelled, whatever the fallback could have said."""
    fallback = Fallback(lambda context, error: "instead")
    task = asyncio.create_task(fallback(ScriptedDependency[str](hang())))
    await settle()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert fallback.statistics().used == 0


def test_a_switch_must_be_a_bool() -> None:
    """A string in place of a switch is refused."""
    with pytest.raises(ConfigurationInvalid, match="on_failed"):
        FallbackConfig(on_failed="no")  # type: ignore[arg-type]  # wrong on purpose
