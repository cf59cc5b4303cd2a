"""The history: what goes in comes out, once, within its bounds, whatever the file, the clock and the process do."""

import asyncio
import math
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import Closed, ConfigurationInvalid, Failed
from schemawire.telemetry import History, HistoryConfig, MetricsListener, Point, Tier, increases
from schemawire.telemetry.history_file import HistoryFile
from schemawire.telemetry.instruments import OVERFLOW
from schemawire.telemetry.rollups import TIERS, rolled, tier_for
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client

NOON = 1_800_000_000 - 1_800_000_000 % 86_400
SMALL = (Tier(1, 10), Tier(10, 100), Tier(60, 6000))


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def count(points: list[Point]) -> int:
    """Return how many numbers lie in all points together."""
    return sum(point.count for point in points)


@given(
    st.lists(st.tuples(st.integers(0, 7200), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    st.sampled_from([1, 10, 60, 600, 3600]),
)
def test_rolled_points_say_the_same_as_their_numbers(numbers: list[tuple[int, float]], step: int) -> None:
    """Count, sum, least, greatest and latest of each step are those of the numbers in it, however it is rolled."""
    seconds = rolled([Point(at, 1, value, value, value, value) for at, value in numbers], 1)
    by_tens = rolled(rolled(seconds, 10), step) if step % 10 == 0 else rolled(seconds, step)
    for point in by_tens:
        inside = [value for at, value in numbers if point.at <= at < point.at + step]
        assert (point.count, point.low, point.high) == (len(inside), min(inside), max(inside))
        assert point.total == pytest.approx(sum(inside), abs=1e-3)
    assert count(by_tens) == len(numbers)


async def test_numbers_come_back_by_window_and_step(tmp_path: Path) -> None:
    """Each step of the window has its own point; steps without a number have none."""
    clock = Clock()
    async with History(tmp_path / "h.db", clock=clock) as history:
        for second in range(0, 120, 2):
            clock.now = NOON + second
            history.record("load", second)
        minute = await history.query("load", window=120, step=60)
        seconds = await history.query("load", window=5, step=1)
        assert await history.series() == ["load"]
        assert await history.query("unknown", window=60, step=1) == []
    assert [(point.at - NOON, point.count, point.low, point.high, point.last) for point in minute] == [
        (0, 30, 0.0, 58.0, 58.0),
        (60, 30, 60.0, 118.0, 118.0),
    ]
    assert [point.at - NOON for point in seconds] == [114, 116, 118]
    assert minute[0].mean == 29.0


async def test_a_restart_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Each process adds to what is there, in every tier."""
    clock = Clock()
    for turn in range(3):
        async with History(tmp_path / "h.db", clock=clock) as history:
            for _ in range(10):
                history.record("calls", turn)
    async with History(tmp_path / "h.db", clock=clock) as history:
        for step in (1, 10, 60, 3600):
            [point] = await history.query("calls", window=3600, step=step)
            assert (point.count, point.total, point.last) == (30, 30.0, 2.0)


async def test_finer_points_go_and_coarser_stay(tmp_path: Path) -> None:
    """After its time a point is only part of the coarser ones."""
    clock = Clock()
    async with History(tmp_path / "h.db", HistoryConfig(tiers=SMALL), clock=clock) as history:
        history.record("load", 1.0)
        await history.flush()
        clock.now += 500
        history.record("load", 2.0)
        await history.flush()
        assert [point.at - NOON for point in await history.query("load", window=9, step=1)] == [500]
        late = await history.query("load", window=600, step=1)
    assert [(point.at - NOON, point.last) for point in late] == [(0, 1.0), (480, 2.0)]
    with sqlite3.connect(tmp_path / "h.db") as link:
        left = link.execute("SELECT tier, count(*) FROM point GROUP BY tier ORDER BY tier").fetchall()
    link.close()
    assert left == [(1, 1), (10, 1), (60, 2)]


async def test_a_clock_that_goes_backwards_only_merges(tmp_path: Path) -> None:
    """Numbers of a time that was before are added to its points."""
    clock = Clock()
    async with History(tmp_path / "h.db", clock=clock) as history:
        for offset in (5, 3, 5, -4000, 5):
            clock.now = NOON + offset
            history.record("load", offset)
            await history.flush()
        clock.now = NOON + 5
        assert count(await history.query("load", window=7200, step=60)) == 5
        assert (await history.query("load", window=1, step=1))[0].count == 3


async def test_a_file_that_is_away_costs_nothing_but_time(tmp_path: Path) -> None:
    """While the file cannot be used numbers wait in memory, and are written once when it can."""
    clock = Clock()
    folder = tmp_path / "away"
    history = History(folder / "h.db", clock=clock)
    for value in range(5):
        history.record("load", value)
        with pytest.raises(Failed, match=r"h\.db"):
            await history.flush()
    assert (history.statistics().pending, history.statistics().failed_writes) == (1, 5)
    folder.mkdir()
    [point] = await history.query("load", window=60, step=1)
    assert (point.count, point.last) == (5, 4.0)
    await history.aclose()
    assert history.statistics().left_out == 0


async def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """A write that SQLite refuses for want of room leaves the file whole and the numbers in memory."""
    clock = Clock()
    history = History(tmp_path / "h.db", HistoryConfig(max_bytes=1 << 20), clock=clock)
    await history.start()
    await history.flush()
    blocking = sqlite3.connect(tmp_path / "h.db")
    blocking.execute("CREATE TABLE ballast (x)")
    blocking.execute("INSERT INTO ballast VALUES (zeroblob(4000000))")
    blocking.commit()
    for number in range(200):
        history.record(f"load{number}", 1.0)
    with pytest.raises(Failed, match="full"):
        await history.flush()
    assert history.statistics().pending == 200
    blocking.execute("DROP TABLE ballast")
    blocking.commit()
    blocking.execute("VACUUM")
    blocking.close()
    await history.flush()
    assert (await history.query("load7", window=60, step=1))[0].count == 1
    await history.aclose()


async def test_the_file_keeps_to_its_size(tmp_path: Path) -> None:
    """When room runs out the oldest points go; the newest are there, and so is the bound."""
    clock = Clock()
    path = tmp_path / "h.db"
    async with History(path, HistoryConfig(max_bytes=1 << 20), clock=clock) as history:
        for _ in range(300):
            clock.now += 1
            for number in range(100):
                history.record(f"series{number}", 1.0)
            await history.flush()
        newest = await history.query("series99", window=10, step=1)
        assert history.statistics().failed_writes == 0
    assert len(newest) == 10
    assert path.stat().st_size <= 1 << 20


async def test_series_and_waiting_points_are_bounded(tmp_path: Path) -> None:
    """Endless names share one series; what cannot wait is left out and counted."""
    clock = Clock()
    async with History(tmp_path / "h.db", HistoryConfig(max_series=3), clock=clock) as history:
        for number in range(10):
            history.record(f"s{number}", 1.0)
        assert await history.series() == [OVERFLOW, "s0", "s1", "s2"]
        assert count(await history.query(OVERFLOW, window=60, step=1)) == 7
    narrow = History(tmp_path / "n.db", HistoryConfig(max_pending=2), clock=clock)
    for number in range(5):
        narrow.record(f"s{number}", 1.0)
    assert (narrow.statistics().pending, narrow.statistics().left_out) == (2, 3)
    await narrow.aclose()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_what_is_no_number_is_left_out(tmp_path: Path, value: float) -> None:
    """One bad number spoils neither its point nor the file."""
    async with History(tmp_path / "h.db", clock=Clock()) as history:
        history.record("load", value)
        history.record("load", 1.0)
        history.record("load", value)
        history.record("load", 1.0, at=math.nan)
        history.record("load", 1.0, at=math.inf)
        [point] = await history.query("load", window=60, step=1)
    assert (point.count, point.total, history.statistics().left_out) == (1, 1.0, 4)


async def test_hostile_names_are_names(tmp_path: Path) -> None:
    """A name with quotes, line ends or lone surrogates is stored on one line and harms nothing."""
    async with History(tmp_path / "h.db", clock=Clock()) as history:
        for name in ("a'); DROP TABLE point; --", "a\nb", "\ud800", "x" * 10_000, ""):
            history.record(name, 1.0)
        names = await history.series()
    assert len(names) == 5
    assert not [name for name in names if "\n" in name or len(name) > 2500]


async def test_a_cancelled_write_loses_nothing(tmp_path: Path) -> None:
    """Whoever stops waiting for a write does not stop it."""
    history = History(tmp_path / "h.db", clock=Clock())
    for _ in range(20):
        history.record("load", 1.0)
        task = asyncio.create_task(history.flush())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert count(await history.query("load", window=60, step=1)) == 20
    await history.aclose()


VICTIM = """
import asyncio, sys
from schemawire.telemetry import History
async def main():
    async with History(sys.argv[1]) as history:
        for number in range(100_000):
            history.record("calls", 1.0, at=1_800_000_000)
            await history.flush()
            print(number + 1, flush=True)
asyncio.run(main())
"""


def kill_after_200_writes(path: Path) -> int:
    """Return how many writes a process had reported when it was killed."""
    with subprocess.Popen([sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for _ in range(200):
            victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
        return 200 + len([line for line in victim.stdout.read().splitlines(keepends=True) if line.endswith("\n")])


async def test_a_killed_process_keeps_what_it_wrote(tmp_path: Path) -> None:
    """After `kill -9` each flushed number is there once, and at most the one under way besides, in all tiers alike."""
    path = tmp_path / "h.db"
    told = await asyncio.to_thread(kill_after_200_writes, path)
    async with History(path, clock=Clock(1_800_000_000)) as history:
        counts = [(await history.query("calls", window=3600, step=step))[0].count for step in (1, 10, 60, 3600)]
    assert len(set(counts)) == 1
    assert told <= counts[0] <= told + 1


async def test_the_writing_task_writes_by_itself(tmp_path: Path) -> None:
    """Once started, nobody has to call for a write; the task ends with the history."""
    history = History(tmp_path / "h.db", HistoryConfig(interval=0.01))
    await history.start()
    history.record("load", 1.0)
    async with asyncio.timeout(5):
        while not history.statistics().writes:  # noqa: ASYNC110  # a timer and a thread do it, unasked
            await asyncio.sleep(0.01)
    await history.aclose()
    await history.aclose()
    with pytest.raises(Closed):
        await history.series()


async def test_metrics_become_history(tmp_path: Path) -> None:
    """A reading of all metrics is recorded by name and labels, and a counter's growth can be asked for."""
    clock = Clock()
    metrics = MetricsListener()
    client = Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=metrics)
    async with History(tmp_path / "h.db", clock=clock) as history:
        for _ in range(3):
            await client.request("GET", "/x")
            history.record_samples(metrics.samples())
            clock.now += 10
        points = await history.query(
            'schemawire_retry_calls_total{name="client",kind="successful_without_retry"}', window=60, step=10
        )
    assert [grown for _, grown in increases(points)] == [1.0, 1.0]


def test_a_counter_that_began_again_loses_nothing() -> None:
    """A value below the one before it counts from 0."""
    points = [Point(at, 1, value, value, value, value) for at, value in ((0, 5.0), (1, 8.0), (2, 2.0), (3, 2.0))]
    assert increases(points) == [(1, 3.0), (2, 2.0), (3, 0.0)]


@pytest.mark.parametrize(
    ("window", "step", "expected"),
    [(60, 1, 1), (3600, 10, 10), (3600, 15, 1), (7200, 1, 10), (86_400, 90, 60), (86_400, 3600, 3600),
     (30 * 86_400, 60, 3600), (1000 * 86_400, 86_400, 3600)],
)  # fmt: skip
def test_the_tier_reaches_back_and_shows_the_step(window: int, step: int, expected: int) -> None:
    """The coarsest tier that divides the step is read, unless only coarser ones reach back that far."""
    assert tier_for(TIERS, window, step).step == expected


@pytest.mark.parametrize(("window", "step"), [(0, 1), (60, 0), (60, 0.5), (math.nan, 1), (86_400, 1), (math.inf, 1)])
async def test_an_answer_is_bounded(tmp_path: Path, window: float, step: float) -> None:
    """A window or step out of range, or an answer of too many points, is refused by name."""
    async with History(tmp_path / "h.db") as history:
        with pytest.raises(ValueError, match=r"window|step"):
            await history.query("load", window=window, step=step)


async def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    """A file that is no database is named in the error, with what to do, and not touched."""
    path = tmp_path / "h.db"
    path.write_text("my diary, " * 1000)
    before = path.read_bytes()
    with pytest.raises(Failed, match=r"h\.db") as caught:
        await History(path).start()
    assert "something else" in caught.value.fix
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [{"tiers": ()}, {"tiers": (Tier(0, 1),)}, {"tiers": (Tier(10, 100), Tier(15, 1000))},
     {"tiers": (Tier(1, 100), Tier(10, 100))}, {"max_bytes": 10}, {"max_series": 0}, {"max_pending": 0},
     {"interval": 0.0}],
)  # fmt: skip
def test_options_are_checked(options: dict[str, Any]) -> None:
    """An option out of range is refused."""
    with pytest.raises(ConfigurationInvalid):
        HistoryConfig(**options)


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    """Writes of two openers add up, series that both invent included."""
    files = [HistoryFile(tmp_path / "h.db", TIERS, 1 << 24) for _ in range(2)]
    for file in files:
        file.write({"load": [Point(NOON, 1, 1.0, 1.0, 1.0, 1.0)]})
    assert files[0].read("load", TIERS[3], NOON, NOON + 1)[0].count == 2
    for file in files:
        file.close()


async def test_a_step_far_longer_than_the_window_looks_only_where_something_is_kept(tmp_path: Path) -> None:
    """Most of a year for one point, read by the second: an hour of seconds is looked at, and not thirty millions."""
    async with History(tmp_path / "h.db", clock=Clock()) as history:
        history.record("load", 1.0)
        async with asyncio.timeout(2):
            (point,) = await history.query("load", window=3_600, step=30_000_001)
    assert (point.count, point.last) == (1, 1.0)
