"""The simulated overload: the budget holds the offered load down, and all layers together bring the calls back."""

import runpy
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SIMULATION = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "overload_simulation.py"))
FAULT_BEGINS, DURATION = int(SIMULATION["FAULT"][0]), SIMULATION["DURATION"]
FLOOR_PER_SECOND = 10.0
BUDGET_WINDOW = 10


@pytest.fixture(scope="module")
def records() -> list[Any]:
    """Run the three kinds of client once: without a budget, within it, with all layers."""
    return list(SIMULATION["run_all"]())


def test_without_a_budget_the_overload_outlives_the_fault(records: list[Any]) -> None:
    """The simulation bites: retries without a budget multiply the load and the backend never comes back."""
    assert records[0].amplification() > 3.0
    assert records[0].recovered_after() is None


@pytest.mark.parametrize("kind", [1, 2], ids=["budget alone", "all layers"])
def test_with_a_budget_the_load_stays_within_its_promise(records: list[Any], kind: int) -> None:
    """With retries, hedges and failover on: 1.2 × the calls + 10/s over the run, and from the fault on no more than
    that with what the last ten seconds before it had paid in.
    """
    record, everything = records[kind], range(DURATION)
    calls, attempts = record.calls, record.attempts
    assert count(attempts, everything) <= 1.2 * count(calls, everything) + FLOOR_PER_SECOND * DURATION
    fault, paying = range(FAULT_BEGINS, DURATION), range(FAULT_BEGINS - BUDGET_WINDOW, DURATION)
    further = 0.2 * count(calls, paying) + FLOOR_PER_SECOND * len(paying)
    assert count(attempts, fault) <= count(calls, fault) + further


def count(series: "Counter[int]", seconds: range) -> int:
    return sum(series[second] for second in seconds)


def test_all_layers_recover_within_seconds(records: list[Any]) -> None:
    """Ten seconds after the fault at the latest nine in ten calls are answered again, and stay so."""
    after = records[2].recovered_after()
    assert after is not None
    assert after <= 10
    end = int(SIMULATION["FAULT"][1]) + 12
    late = range(end, DURATION)
    assert sum(records[2].good[at] for at in late) >= 0.97 * sum(records[2].calls[at] for at in late)


def test_the_plot_is_well_formed(records: list[Any]) -> None:
    """The drawing is an XML document with a line per client in each of its two plots, and one in the legend."""
    drawn = ElementTree.fromstring(SIMULATION["draw_svg"](records))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert Counter(len(line.attrib["points"].split()) for line in lines) == {DURATION: 6, 2: 3}
