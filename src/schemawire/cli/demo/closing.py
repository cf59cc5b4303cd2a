"""The end of the demo on the screen: the table, one schema as a tree, the metrics, and the verdict."""

from collections.abc import Mapping

from rich.console import RenderableType

from schemawire.cli.demo.cases import Case
from schemawire.cli.demo.report import Report
from schemawire.cli.demo.stage import Stage
from schemawire.cli.draw import schema_tree
from schemawire.cli.looking import flattened
from schemawire.cli.screen import Screen

_METRICS = {
    "client.calls.started": "client: calls",
    "client.calls.success": "client: calls that succeeded",
    "client.retry.recovered": "client: calls that succeeded after a retry",
    "client.budget.balance": "client: retries left in the budget",
    "service.totalRequests": "service since its restart: totalRequests",
    "service.successfulRequests": "service since its restart: successfulRequests",
    "store.writes": "store since its restart: writes",
    "store.commits": "store since its restart: commits",
}
"""Which of the handler's `get_metrics()` are shown, and in what words."""


def show_closing(screen: Screen, stage: Stage, report: Report, metrics: Mapping[str, object]) -> None:
    """Print everything that a finished demo has to show."""
    stage.heading("What was sent, and what the store file holds")
    stage.shows(_table(screen, report))
    shown = _richest(report.cases)
    stage.heading(f"One of them: {shown.project}")
    stage.says(f"“{' '.join(shown.text.split())}”", style="italic")
    stage.shows(schema_tree(shown.schema))
    stage.heading("Metrics")
    stage.shows(screen.table("", ("figure", "value"), _figures(report, metrics)))
    stage.heading("Proof, from the store file alone")
    for line in _verdict(report):
        stage.says(line, style="green" if report.holds else "red")


def _table(screen: Screen, report: Report) -> RenderableType:
    columns = ("description", "entities", "fields", "relationships", "attempts", "digest", "stored")
    return screen.table("", columns, [_row(report, case) for case in report.cases])


def _row(report: Report, case: Case) -> tuple[str | int, ...]:
    stored = report.proof.stored.get(case.project, "")
    return (
        case.project,
        case.figures.entities,
        case.figures.fields,
        case.figures.relationships,
        report.attempts.get(case.project, 0),
        case.digest[:8],
        "same" if stored == case.digest else stored[:8] or "missing",
    )


def _richest(cases: tuple[Case, ...]) -> Case:
    """Return the case with the most relationships that still fits on a screen."""
    small = [case for case in cases if case.figures.fields <= 24] or list(cases)
    return max(small, key=lambda case: (case.figures.relationships, case.figures.fields))


def _figures(report: Report, metrics: Mapping[str, object]) -> list[tuple[str, str | int | float]]:
    faults = ", ".join(f"{count} {kind}" for kind, count in report.faults.items() if count) or "none"
    rows: list[tuple[str, str | int | float]] = [
        ("faults injected by the proxy", faults),
        ("requests sent again by the client", report.retries),
        ("attempts that the open breaker refused", report.refusals),
        ("connections opened", report.connections),
        ("requests under way at SIGKILL", report.killed_in_flight),
        ("of them done, with the reply lost", report.replies_swallowed),
        ("breaker opened / closed again", f"{report.breaker_opened} / {report.breaker_closed}"),
    ]
    known = dict(flattened(metrics))
    return rows + [(words, known[name]) for name, words in _METRICS.items() if name in known]


def _verdict(report: Report) -> list[str]:
    if not report.holds:
        return ["THE DEMO DOES NOT HOLD", *(f"· {reason}" for reason in report.shortcomings)]
    proof = report.proof
    return [
        f"✓ {len(proof.stored)} schemas sent, {len(proof.stored)} in the store, each once, each with the digest sent",
        f"✓ {proof.versions} versions in the history and {proof.replies} applied writes: nothing was applied twice",
        f"✓ {sum(report.faults.values())} faults, {report.retries} retries and one SIGKILL later;"
        f" {report.elapsed:.1f} s in all",
    ]
