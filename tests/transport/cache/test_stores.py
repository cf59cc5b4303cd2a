"""One contract for every store: whole records or none, bounded in bytes, and no error whatever lies in the file."""

import asyncio
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.transport.cache.origin import Clock, Origin, Reply

from schemawire.transport import CacheConfig, Client
from schemawire.transport.stores import CacheStore, MemoryStore, Record, SqliteStore, open_store

KINDS = ("memory", "sqlite", "fronted")


def make(kind: str, folder: Path, max_bytes: int = 100_000) -> CacheStore:
    path = None if kind == "memory" else folder / "cache.db"
    return open_store(path, max_bytes, 5.0 if kind == "fronted" else 0.0)


def record(variant: str = "", body: bytes = b"body") -> Record:
    return Record(variant=variant, head=(200, "http://a/", "é\udce9", 1.5, ("x", None), (("N", "v"),)), body=body)


def plain(value: object) -> object:
    """Tuples and lists alike: a file keeps no tuples."""
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_put_is_found_until_it_is_dropped(kind: str, tmp_path: Path) -> None:
    """Variants of a resource are kept beside each other, the last written first, and dropped one by one or together."""
    store = make(kind, tmp_path)
    assert await store.put("r", record("a", b"1"))
    assert await store.put("r", record("b", b"2"))
    assert await store.put("r", record("a", b"3"))
    assert await store.put("s", record())
    assert [(each.variant, each.body) for each in await store.find("r")] == [("a", b"3"), ("b", b"2")]
    assert plain((await store.find("s"))[0].head) == plain(record().head)
    assert await store.drop("r", "a") == 1
    assert await store.drop("r", "a") == 0
    assert [each.variant for each in await store.find("r")] == ["b"]
    assert await store.drop("r") == 1
    assert not await store.find("r")
    assert store.statistics().entries == 1
    await store.clear()
    assert (store.statistics().entries, store.statistics().size_bytes) == (0, 0)
    await store.aclose()
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_resources_with_a_common_beginning_are_dropped_together(kind: str, tmp_path: Path) -> None:
    """The beginning is taken literally: no wildcard, no sibling."""
    store = make(kind, tmp_path)
    for name in ("a/1", "a/2", "a", "ab/1", "%/1", "b"):
        await store.put(name, record())
    await store.put("a/1", record("other"))
    assert await store.drop_below("a/") == 3
    assert await store.drop_below("%") == 1
    assert store.statistics().entries == 3
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_least_recently_used_goes_first(kind: str, tmp_path: Path) -> None:
    """A record that was found lately outlives one that was not."""
    size = record(body=b"x" * 1000).size_bytes + 1
    store = make(kind, tmp_path, max_bytes=3 * size)
    for name in "abc":
        await store.put(name, record(body=b"x" * 1000))
    await store.find("a")
    await store.put("d", record(body=b"x" * 1000))
    found = [name for name in "abcd" if await store.find(name)]
    assert found == ["a", "c", "d"]
    assert store.statistics().evicted == 1
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_record_larger_than_the_store_is_not_kept(kind: str, tmp_path: Path) -> None:
    """It evicts nothing but its own older version."""
    store = make(kind, tmp_path, max_bytes=2000)
    await store.put("a", record())
    await store.put("b", record())
    assert not await store.put("b", record(body=b"x" * 3000))
    assert await store.find("a")
    assert not await store.find("b")
    await store.aclose()


Steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "find", "drop"]), st.sampled_from("abcde"), st.sampled_from("xy"), st.integers(0, 900)
    ),
    max_size=40,
)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=Steps)
@settings(max_examples=25, deadline=None)
def test_the_bound_holds_and_the_newest_wins(kind: str, steps: list[tuple[str, str, str, int]]) -> None:
    """After every step the bytes are within the bound, and whatever is found is the last that was put."""

    async def run(folder: Path) -> None:
        store, model = make(kind, folder, max_bytes=3000), dict[tuple[str, str], bytes]()
        for step, resource, variant, size in steps:
            body = bytes([size % 251]) * size
            if step == "put" and await store.put(resource, record(variant, body)):
                model[resource, variant] = body
            elif step == "drop":
                await store.drop(resource, variant)
                model.pop((resource, variant), None)
            for each in await store.find(resource):
                assert model[resource, each.variant] == each.body
            found = [(len(name), each) for name in "abcde" for each in await store.find(name)]
            total = sum(length + each.size_bytes for length, each in found)
            assert total == store.statistics().size_bytes <= 3000
            assert len(found) == store.statistics().entries
        await store.aclose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def test_a_file_outlives_its_process(tmp_path: Path) -> None:
    """What was stored is found by the next store on the same file, which only its owner may read."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, max_bytes=100_000)
    await store.put("r", record())
    await store.aclose()
    assert not await store.find("r")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = SqliteStore(path, max_bytes=100_000)
    assert (await again.find("r"))[0].body == b"body"
    await again.aclose()


async def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    """Several processes may share a file."""
    one, two = (SqliteStore(tmp_path / "cache.db", max_bytes=100_000) for _ in range(2))
    await one.put("r", record())
    assert await two.find("r")
    await two.drop("r")
    assert not await one.find("r")
    await one.aclose()
    await two.aclose()


@pytest.mark.parametrize("at", [0, 50, 90, 100, 2000, 5000, -1])
async def test_a_corrupted_file_is_a_miss_and_then_works_again(at: int, tmp_path: Path) -> None:
    """Whatever was damaged, finding raises nothing and returns nothing wrong, and storing goes on."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, max_bytes=1_000_000)
    for number in range(20):
        await store.put(f"r{number}", record(body=bytes([number]) * 500))
    await store.aclose()
    content = bytearray(path.read_bytes())
    start = at if at >= 0 else len(content) - 600
    content[start : start + 500] = b"\xa5" * 500
    path.write_bytes(content)
    again = SqliteStore(path, max_bytes=1_000_000)
    for number in range(20):
        for found in await again.find(f"r{number}"):
            assert found.body == bytes([number]) * 500
    await again.put("new", record())
    kept = await again.find("new")
    if at > 100:
        assert kept, "a file that still names us as its owner is replaced"
    await again.aclose()


@pytest.mark.parametrize("cut", [1, 99, 4096, 9000])
async def test_a_truncated_file_is_a_miss(cut: int, tmp_path: Path) -> None:
    """Also one of which only a part is left."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, max_bytes=1_000_000)
    for number in range(20):
        await store.put(f"r{number}", record(body=bytes([number]) * 500))
    await store.aclose()
    path.write_bytes(path.read_bytes()[:cut])
    again = SqliteStore(path, max_bytes=1_000_000)
    for number in range(20):
        for found in await again.find(f"r{number}"):
            assert found.body == bytes([number]) * 500
    await again.aclose()


async def test_an_altered_record_is_a_miss(tmp_path: Path) -> None:
    """A record carries a digest over its place and its content, so neither can be exchanged."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, max_bytes=1_000_000)
    await store.put("mine", record(body=b"mine"))
    await store.put("yours", record(body=b"yours"))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE record SET content = (SELECT content FROM record WHERE resource = 'yours')")
    other.close()
    assert not await store.find("mine")
    assert await store.find("yours")
    assert store.statistics().errors == 1
    await store.aclose()


async def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Neither a database nor any other file that is not ours is written to; nothing is stored."""
    database, text = tmp_path / "theirs.db", tmp_path / "notes.txt"
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE record (precious TEXT)")
        other.execute("INSERT INTO record VALUES ('kept')")
    other.close()
    text.write_bytes(b"notes that somebody wrote\n" * 100)
    for path in (database, text):
        before = path.read_bytes()
        store = SqliteStore(path, max_bytes=1000_000)
        assert not await store.put("r", record())
        assert not await store.find("r")
        assert store.statistics().errors == 2
        await store.aclose()
        assert path.read_bytes() == before


async def test_a_missing_folder_is_a_miss(tmp_path: Path) -> None:
    """A place that cannot be opened stores nothing and fails nothing."""
    store = SqliteStore(tmp_path / "no" / "cache.db", max_bytes=1000)
    assert not await store.put("r", record())
    assert not await store.find("r")
    await store.aclose()


async def test_a_cancelled_write_is_whole_or_absent(tmp_path: Path) -> None:
    """Cancelling whoever stores or drops leaves complete records, and a drop that was asked for is done."""
    store = SqliteStore(tmp_path / "cache.db", max_bytes=10_000_000)
    body = b"x" * 200_000
    for turn in range(20):
        task = asyncio.create_task(store.put("r", record(body=body)))
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [each.body for each in await store.find("r")] in ([], [body])
    await store.put("r", record(body=body))
    dropping = asyncio.create_task(store.drop("r"))
    await asyncio.sleep(0)
    dropping.cancel()
    await asyncio.gather(dropping, return_exceptions=True)
    assert not await store.find("r")
    await store.aclose()


async def test_a_client_keeps_its_responses_in_a_file(tmp_path: Path) -> None:
    """A second client on the same file answers without asking, for the same service and credentials only."""
    clock, path = Clock(), tmp_path / "cache.db"
    reply = Reply(headers=[("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("Vary", "Foo")])
    async with Origin(reply) as origin, Origin(reply) as other:
        options = CacheConfig(path=path, clock=clock)
        for expected in ("fwd=uri-miss", "hit"):
            async with Client(origin.url, cache=options, headers={"X-API-Key": "k"}) as client:
                response = await client.request("GET", "/r", headers={"Foo": "1"})
                assert expected in response.headers["cache-status"]
                assert response.body == b"one"
        async with Client(origin.url, cache=options, headers={"X-API-Key": "other"}) as client:
            assert "fwd=" in (await client.request("GET", "/r", headers={"Foo": "1"})).headers["cache-status"]
        async with Client(other.url, cache=options, headers={"X-API-Key": "k"}) as client:
            assert "fwd=" in (await client.request("GET", "/r", headers={"Foo": "1"})).headers["cache-status"]
        assert b"X-API-Key" not in path.read_bytes()


def test_a_store_in_memory_is_the_default() -> None:
    """Without a path nothing is written to disk."""
    assert isinstance(open_store(None, 10), MemoryStore)


async def test_memory_in_front_answers_for_a_moment(tmp_path: Path) -> None:
    """What another process writes is noticed once the moment is over, what is written here at once."""
    path = tmp_path / "cache.db"
    here, there = open_store(path, 100_000, 0.2), SqliteStore(path, max_bytes=100_000)

    async def bodies() -> list[bytes]:
        return [each.body for each in await here.find("r")]

    assert await bodies() == []
    await there.put("r", record(body=b"1"))
    assert await bodies() == []
    await asyncio.sleep(0.25)
    assert await bodies() == [b"1"]
    await there.drop("r")
    assert await bodies() == [b"1"]
    await here.put("r", record("v", b"2"))
    assert await bodies() == [b"2"]
    await there.put("r", record("v", b"3"))
    assert await bodies() == [b"2"]
    assert await here.drop_below("r") == 1
    assert await bodies() == []
    await here.aclose()
    await there.aclose()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "drop", "drop_below", "find"]), st.sampled_from("ab"), st.sampled_from("xy")),
        max_size=25,
    ),
    room=st.sampled_from([1_000, 4_000, 100_000]),
)
def test_memory_in_front_changes_nothing_but_the_speed(steps: list[tuple[str, str, str]], room: int) -> None:
    """Whatever is asked in whatever order, the answers are those of the store behind it alone."""

    async def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            plain_store = open_store(Path(folder) / "plain.db", room)
            fronted = open_store(Path(folder) / "fronted.db", room, 60.0)
            for number, (what, resource, variant) in enumerate(steps):
                found = []
                for store in (plain_store, fronted):
                    match what:
                        case "put":
                            found.append(await store.put(resource, record(variant, b"%d" % number * 300)))
                        case "drop":
                            found.append(bool(await store.drop(resource, variant)))
                        case "drop_below":
                            found.append(bool(await store.drop_below(resource)))
                        case _:
                            found.append(bool([each.body for each in await store.find(resource)]))
                assert found[0] == found[1]
                one, other = [[each.body for each in await store.find(resource)] for store in (plain_store, fronted)]
                assert one == other
            await plain_store.aclose()
            await fronted.aclose()

    asyncio.run(both())
