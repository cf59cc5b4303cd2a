"""Large schemas sent through the handler: from every kind of source, once, through cuts, and in little memory."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemawire import DomainSchemaHandler, Invalid, SyncDomainSchemaHandler, VersionConflict
from schemawire.handler.uploading import Upload, _chunks
from schemawire.schema import parse_schema
from schemawire.testing import ChaosProxy
from schemawire.testing.service_process import ServiceProcess

DOCUMENT: dict[str, Any] = {
    "formatVersion": "1",
    "name": "blog",
    "entities": [{"name": "User"}, {"name": "Post", "fields": [{"name": "title", "type": "string"}]}],
    "enums": [{"name": "Status", "values": ["draft"]}],
    "relationships": [{"name": "writes", "source": "User", "target": "Post"}],
    "rules": [],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for these tests."""
    with ServiceProcess(tmp_path_factory.mktemp("uploads")) as running:
        yield running


def elements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a document's elements as the callback of a stream gets them."""
    kinds = {"entities": "entity", "enums": "enum", "relationships": "relationship", "rules": "rule"}
    for name, kind in kinds.items():
        for part in document[name]:
            yield {"kind": kind, "element": part}


async def test_every_kind_of_source_stores_the_same(service: ServiceProcess, tmp_path: Path) -> None:
    """A schema, a document, a file of either form, and functions that return elements, now or as they come."""

    async def as_they_come() -> AsyncIterator[dict[str, Any]]:
        for part in elements(DOCUMENT):
            yield part

    document_file, lines_file = tmp_path / "document.json", tmp_path / "lines.ndjson"
    document_file.write_text(json.dumps(DOCUMENT, indent=2))
    async with DomainSchemaHandler(service.base_url, service.admin_key) as handler:
        first = await handler.upload_schema("schema", parse_schema(DOCUMENT))
        header: dict[str, Any] = {"formatVersion": "1", "name": "blog"}
        stated = {"type": "header", "header": header, "digest": first.digest}
        lines = [stated, *({"type": "element", **part} for part in elements(DOCUMENT))]
        lines_file.write_text("\n".join(json.dumps(line) for line in [*lines, {"type": "trailer"}]))
        sources: dict[str, Any] = {
            "document": DOCUMENT, "file": document_file, "lines": lines_file,
            "function": lambda: elements(DOCUMENT), "async": as_they_come,
        }  # fmt: skip
        for name, source in sources.items():
            counts: list[int] = []
            result = await handler.upload_schema(name, source, header=header, message="why", on_progress=counts.append)
            assert (result.version, result.digest, counts[-1]) == (1, first.digest, 4), name
            assert (await handler.versions(name))[0].message == "why"


async def test_refusals_reach_the_caller(service: ServiceProcess, tmp_path: Path) -> None:
    """A schema that breaks a rule names the line; a stale tag, and a file that is no schema, are told apart."""
    async with DomainSchemaHandler(service.base_url, service.admin_key) as handler:
        broken = {**DOCUMENT, "entities": DOCUMENT["entities"][:1]}
        with pytest.raises(Invalid) as refused:
            await handler.upload_schema("broken", broken)
        assert "/4/element/target" in str(refused.value.problem)
        await handler.upload_schema("stale", DOCUMENT)
        with pytest.raises(VersionConflict):
            await handler.upload_schema("stale", broken, if_match='"v7-' + "ab" * 32 + '"')
        empty = tmp_path / "empty"
        empty.write_text("[]")
        with pytest.raises(ValueError, match="neither"):
            await handler.upload_schema("file", empty)


async def test_an_upload_that_is_cut_is_repeated_and_done_once(service: ServiceProcess) -> None:
    """Through a connection that breaks again and again there is one version in the end, complete."""
    document = {"name": "large", "entities": [{"name": f"E{number}"} for number in range(3_000)]}
    async with ChaosProxy("127.0.0.1", service.port) as proxy:
        handler = DomainSchemaHandler(proxy.url, service.admin_key)
        cut = 0
        cutting: list[asyncio.Future[None]] = []

        def progress(count: int) -> None:
            nonlocal cut
            if count > 1_000 and cut < 2:
                cut += 1
                cutting.append(asyncio.ensure_future(proxy.cut_all()))

        async with handler:
            result = await handler.upload_schema("cut", document | {"rules": []}, on_progress=progress, deadline=60)
            assert cut == 2
            assert result.attempts > 1
            assert [entry.version for entry in await handler.versions("cut")] == [1]
            assert (await handler.versions("cut"))[0].element_count == 3_000


async def test_sending_takes_little_memory() -> None:
    """A hundred thousand elements are made, sent and forgotten portion by portion."""

    def many() -> Iterator[dict[str, Any]]:
        for number in range(100_000):
            yield {"kind": "entity", "element": {"name": f"E{number}", "description": "x" * 50}}

    tracemalloc.start()
    try:
        size = 0
        async for chunk in _chunks(Upload(source=many, header={"name": "many"})):
            size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 3_000_000


def test_the_synchronous_handler_uploads_too(service: ServiceProcess) -> None:
    """The same method for code without an event loop."""
    with SyncDomainSchemaHandler(service.base_url, service.admin_key) as handler:
        assert handler.upload_schema("sync", DOCUMENT).version == 1
