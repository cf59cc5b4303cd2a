"""Virtual time for pytest, switched on by `pytest_plugins = ["schemawire.testing.pytest_plugin"]`; knows no policy.

It stands beside pytest-asyncio in its strict and its auto mode: a test marked `virtual_time`, and the async fixtures of
its loop scope, run on a `VirtualTimeLoop`; every other test keeps the event loop that it had.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pytest

from schemawire.testing.virtual_time import VirtualTimeLoop

MARK = "virtual_time"
_HOOK = "pytest_asyncio_loop_factories"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, so that it passes `--strict-markers`."""
    config.addinivalue_line(
        "markers", f"{MARK}(limit=86400.0): run this async test on an event loop whose clock jumps to the next timer"
    )


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tell pytest-asyncio which event loop a test runs on; a project's own hook is asked first."""
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return {"asyncio": asyncio.new_event_loop}
    return {"virtual": partial(VirtualTimeLoop, **mark.kwargs)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marked test that nothing would run on virtual time, rather than let it wait in earnest."""
    if item.get_closest_marker(MARK) is None:
        return
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
        pytest.fail(
            f"{item.nodeid} is marked {MARK} but is not async; use the fixture virtual_time_loop", pytrace=False
        )
    # Ours alone makes the hook known to pytest; only pytest-asyncio specifies it, and calls it.
    if not getattr(item.config.hook, _HOOK).has_spec():
        pytest.fail(
            f"{item.nodeid} is marked {MARK}, which needs pytest-asyncio with its hook {_HOOK}; without it, decorate "
            "the test with schemawire.testing.virtual_time instead",
            pytrace=False,
        )


@pytest.fixture
def virtual_time_loop() -> Iterator[VirtualTimeLoop]:
    """Yield a virtual-time event loop for a test that is no coroutine: `virtual_time_loop.run_until_complete(…)`.

    Tasks that still run when the test ends are cancelled and awaited, as by `asyncio.run`.
    """
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        yield loop
