"""The pytest plug-in: tests on virtual time beside pytest-asyncio, in both of its modes."""

import asyncio

import pytest

from schemawire.testing import VirtualTimeLoop

pytest_plugins = ["pytester", "schemawire.testing.pytest_plugin"]

CONFTEST = 'pytest_plugins = ["schemawire.testing.pytest_plugin"]'
PROJECT = """
import asyncio
import time

import pytest
import pytest_asyncio

from schemawire.testing import VirtualTimeLoop


@pytest_asyncio.fixture
async def began():
    await asyncio.sleep(1800)
    yield asyncio.get_running_loop().time()
    await asyncio.sleep(1800)


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_an_hour_costs_nothing(began):
    before = time.monotonic()
    await asyncio.sleep(3600)
    assert asyncio.get_running_loop().time() == 5400.0 == began + 3600
    assert time.monotonic() - before < 5


@pytest.mark.asyncio
@pytest.mark.virtual_time(limit=10.0)
async def test_that_waits_beyond_its_limit():
    await asyncio.sleep(11)


@pytest.mark.asyncio
async def test_others_keep_their_loop():
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


def test_plain_tests_have_the_fixture(virtual_time_loop):
    virtual_time_loop.run_until_complete(asyncio.sleep(3600))
    assert virtual_time_loop.time() == 3600.0
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_marked_tests_and_their_fixtures_run_on_virtual_time(pytester: pytest.Pytester, mode: str) -> None:
    """In both modes of pytest-asyncio; the limit ends a test that goes on for ever; other tests are left alone."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(PROJECT)
    outcome = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--strict-markers", "-W", "error", f"--asyncio-mode={mode}"
    )
    outcome.assert_outcomes(passed=3, failed=1)
    outcome.stdout.fnmatch_lines(["*virtual clock would pass its limit of 10 s*"])


def test_a_mark_that_nothing_heeds_fails_the_test(pytester: pytest.Pytester) -> None:
    """A marked test that is no coroutine, or that no pytest-asyncio would run, says what to do instead."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.virtual_time
        def test_plain():
            pass
        """
    )
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*is not async; use the fixture virtual_time_loop*"])
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.virtual_time
        async def test_nobody_runs():
            pass
        """
    )
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*needs pytest-asyncio*virtual_time*"])


def test_the_fixture_leaves_no_task_behind(virtual_time_loop: VirtualTimeLoop) -> None:
    """What a plain test starts and forgets is cancelled with the loop."""

    async def start() -> None:
        virtual_time_loop.create_task(asyncio.sleep(3600))

    virtual_time_loop.run_until_complete(start())
    assert virtual_time_loop.time() == 0.0
