"""How well and how fast descriptions are read, tier by tier: own requirement texts, own prompts, time and memory.

    python benchmarks/analysis.py [--rounds 3]

Precision, recall and F1 are means over `tests/analysis/prose`, by names that are equal once singular and folded;
prompts count as right if the whole schema is exactly the stated one. Times are medians of a warm analyser.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.analysis.scoring import KINDS, drafted_model, mean_scores, reference_model  # noqa: E402  # path set above
from tests.analysis.shown import show_schema  # noqa: E402  # path set above

from schemawire.analysis import AnalysisOptions, OfflineAnalyser  # noqa: E402  # path set above
from schemawire.analysis.parsing import is_installed  # noqa: E402  # path set above

Tier = Literal["patterns", "parser"]


def milliseconds(act: Callable[[], object], rounds: int) -> float:
    """Return the median time of an act."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1_000


def memory_mb() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def measure(tier: Tier, rounds: int) -> None:
    """Print one tier's figures."""
    before, started = memory_mb(), time.perf_counter()
    analyser = OfflineAnalyser(tier=tier)
    cases = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "tests/analysis/prose").glob("*.json"))]
    prompts: list[dict[str, Any]] = json.loads((ROOT / "tests/analysis/prompts.json").read_text("utf-8"))
    analyser.analyze_text(cases[0]["text"])
    print(f"{tier}: ready after {time.perf_counter() - started:.1f} s, {memory_mb() - before:.0f} MB")
    drafts = [analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema for case in cases]
    scores = mean_scores((reference_model(c), drafted_model(d)) for c, d in zip(cases, drafts, strict=True))
    for kind in KINDS:
        score = scores[kind]
        print(f"  {kind:13} precision {score.precision:.2f}  recall {score.recall:.2f}  F1 {score.f1:.2f}")
    options = AnalysisOptions(add_timestamps=False)
    right = sum(
        show_schema(analyser.analyze_text(prompt["text"], options=options).schema)
        == {key: prompt[key] for key in ("entities", "enums", "relationships")}
        for prompt in prompts
    )
    print(f"  prompts exactly right: {right} of {len(prompts)}")
    times = sorted(milliseconds(lambda text=p["text"]: analyser.analyze_text(text), rounds) for p in prompts)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    words = " ".join(case["text"] for case in cases).split()[:300]
    long = milliseconds(lambda: analyser.analyze_text(" ".join(words)), max(rounds, 5))
    print(f"  a prompt: median {statistics.median(times):.1f} ms, slowest {times[-1]:.1f} ms; 300 words: {long:.0f} ms")
    print(f"  memory of the process at most {memory_mb():.0f} MB")


def main() -> None:
    """Measure each tier that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    measure("patterns", rounds)
    if is_installed():
        measure("parser", rounds)
    else:
        print("parser: not installed; pip install 'schemawire[nlp]'")


if __name__ == "__main__":
    main()
