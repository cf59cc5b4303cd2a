"""Every Python block of the documentation runs as it stands.

A block that begins with ` ```python ` is a whole program. A block that begins with ` ```python await ` may use `await`
at its top level and finds a `handler` that is connected to a real service in this process.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import schemawire

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```python( await)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page that a user reads."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Any]:
    """Every Python block, with the page and line that it stands on."""
    for page in pages():
        text = page.read_text("utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            where = f"{page.relative_to(ROOT).as_posix()}:{line}"
            yield pytest.param("\n" * (line - 1) + match[2], bool(match[1]), where, id=where)


async def run_with_handler(code: CodeType, folder: Path) -> None:
    """Run a block that awaits, with a `handler` of its own."""
    async with schemawire.embedded(folder / "schemas.db") as handler:
        outcome = eval(code, {"handler": handler, "__name__": "__docs__"})  # the block is ours
        if inspect.isawaitable(outcome):
            await outcome


@pytest.mark.parametrize(("source", "awaits", "where"), list(blocks()))
def test_block_runs(source: str, awaits: bool, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies works."""
    monkeypatch.chdir(tmp_path)
    if awaits:
        code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        asyncio.run(run_with_handler(code, tmp_path))
    else:
        exec(compile(source, where, "exec"), {"__name__": "__main__"})


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link names a file that exists."""
    link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
    targets = [(page, target) for page in pages() for target in link.findall(page.read_text("utf-8"))]
    assert not [f"{page.name}: {target}" for page, target in targets if not (page.parent / target).exists()]


def test_pages_name_no_path_of_one_machine() -> None:
    """Documentation is about the project, not about where it was written."""
    private = re.compile(r"(?<![\w.])/(work|root|home|Users)/")
    assert not [page.name for page in pages() if private.search(page.read_text("utf-8"))]
