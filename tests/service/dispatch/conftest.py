"""A real store for the dispatcher's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemawire.service.store import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An open store."""
    opened = SqliteStore(tmp_path / "schemas.db")
    await opened.start()
    yield opened
    await opened.close()
