"""How well and how fast descriptions are read, tier by tier: own requirement texts, own prompts, time and memory.

    python benchmarks/analysis.py [--rounds 3] [--cases CASES.json]

Precision, recall and F1 by names that are equal once singular and folded: means over the texts, then over all of them
together. `prose` are the texts that rules and forests were made with, `held out` those that nobody made rules for.
With `--cases` a file of other texts with reference models, in the same form. Prompts count as right if the whole schema
is exactly the stated one. Times are medians of a warm analyser; processor time is shown beside them.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.analysis.scoring import (  # noqa: E402  # path set above
    KINDS,
    cardinality_accuracy,
    drafted_model,
    mean_scores,
    pooled_scores,
    reference_model,
    type_accuracy,
)
from tests.analysis.shown import show_schema  # noqa: E402  # path set above

from schemawire.analysis import AnalysisOptions, OfflineAnalyser  # noqa: E402  # path set above
from schemawire.analysis.parsing import is_installed  # noqa: E402  # path set above

Tier = Literal["patterns", "parser"]
Case = Mapping[str, Any]


def milliseconds(act: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median time of an act, and its median processor time."""
    seconds, work = [], []
    for _ in range(rounds):
        started, busy = time.perf_counter(), time.process_time()
        act()
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - busy)
    return statistics.median(seconds) * 1_000, statistics.median(work) * 1_000


def memory_mb() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def read_texts(folder: str) -> list[Case]:
    """Return the texts of a folder of the tests with their models."""
    return [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "tests/analysis" / folder).glob("*.json"))]


def show_quality(title: str, cases: Sequence[Case], analyser: OfflineAnalyser) -> None:
    """Print how well a set of texts is read."""
    drafts = [analyser.analyze_text(case["text"], options=AnalysisOptions.literal()).schema for case in cases]
    models = [(reference_model(case), drafted_model(draft)) for case, draft in zip(cases, drafts, strict=True)]
    pairs = list(zip(cases, drafts, strict=True))
    for kind, scores in (("mean", mean_scores(models)), ("together", pooled_scores(models))):
        shown = "  ".join(f"{k} {scores[k].precision:.2f}/{scores[k].recall:.2f}/{scores[k].f1:.2f}" for k in KINDS)
        print(f"  {title:9} {len(cases)} texts, {kind:8} P/R/F1: {shown}")
    ends, types = cardinality_accuracy(pairs), type_accuracy(pairs)
    compared = f"one or many {ends.share:.2f} of {ends.total} ends, field types {types.share:.2f} of {types.total}"
    print(f"  {title:9} {compared}")


def show_prompts(analyser: OfflineAnalyser, rounds: int) -> None:
    """Print how many prompts are exactly right, and how long one takes."""
    prompts: list[dict[str, Any]] = json.loads((ROOT / "tests/analysis/prompts.json").read_text("utf-8"))
    options = AnalysisOptions(add_timestamps=False)
    right = sum(
        show_schema(analyser.analyze_text(prompt["text"], options=options).schema)
        == {key: prompt[key] for key in ("entities", "enums", "relationships")}
        for prompt in prompts
    )
    print(f"  prompts exactly right: {right} of {len(prompts)}")
    texts = [prompt["text"] for prompt in prompts]
    times = sorted(milliseconds(lambda text=text: analyser.analyze_text(text), rounds)[0] for text in texts)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    print(f"  a prompt: median {statistics.median(times):.1f} ms, slowest {times[-1]:.1f} ms")


def measure(tier: Tier, rounds: int, other: Path | None) -> None:
    """Print one tier's figures."""
    before, started = memory_mb(), time.perf_counter()
    analyser = OfflineAnalyser(tier=tier)
    prose = read_texts("prose")
    analyser.analyze_text(prose[0]["text"])
    print(f"{tier}: ready after {time.perf_counter() - started:.1f} s, {memory_mb() - before:.0f} MB")
    show_quality("prose", prose, analyser)
    show_quality("held out", read_texts("prose_held_out"), analyser)
    if other is not None:
        show_quality(other.stem, json.loads(other.read_text("utf-8")), analyser)
    show_prompts(analyser, rounds)
    words = " ".join(" ".join(case["text"] for case in prose).split()[:300])
    long, work = milliseconds(lambda: analyser.analyze_text(words), max(rounds, 5))
    print(f"  300 words: {long:.0f} ms, {work:.0f} ms of processor time")
    print(f"  memory of the process at most {memory_mb():.0f} MB")


def main() -> None:
    """Measure each tier that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=Path, help="other texts with reference models")
    options = parser.parse_args()
    measure("patterns", options.rounds, options.cases)
    if is_installed():
        measure("parser", options.rounds, options.cases)
    else:
        print("parser: not installed; pip install 'schemawire[nlp]'")


if __name__ == "__main__":
    main()
