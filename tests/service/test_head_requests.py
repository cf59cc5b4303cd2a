"""HEAD: the head that GET would have, and nothing behind it."""

import pytest
from tests.service.caller import BLOG, Caller, new_project

VARYING = {"Date", "X-Request-ID"}


@pytest.mark.parametrize("suffix", ["", "/stream", "/versions", "/versions/1", "/export/json-schema"])
async def test_head_answers_as_get_without_a_body(call: Caller, suffix: str) -> None:
    """Status and headers are those of GET; a length that GET states is stated too."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    whole, head = await call("GET", project + suffix), await call("HEAD", project + suffix)
    assert (head.status, head.body) == (whole.status, b"")
    if "Transfer-Encoding" not in whole.headers:
        assert head.headers["Content-Length"] == str(len(whole.body))
    names = set(whole.headers) - VARYING - {"Transfer-Encoding"}
    assert {name: head.headers[name] for name in names} == {name: whole.headers[name] for name in names}


async def test_head_compares_entity_tags(call: Caller) -> None:
    """A caller may ask whether its copy is still good without reading another one."""
    project = new_project()
    tag = (await call("PUT", project, json=BLOG)).headers["ETag"]
    assert (await call("HEAD", project, headers={"If-None-Match": tag})).status == 304
    assert (await call("HEAD", project, headers={"If-None-Match": '"other"'})).status == 200


async def test_head_of_nothing_is_refused_without_a_body(call: Caller) -> None:
    """A refusal keeps its status; its words would be a body."""
    for path, status in ((new_project(), 404), ("/nothing", 404), ("batch", 400), ("/api/keys/x", 405)):
        reply = await call("HEAD", path)
        assert (reply.status, reply.body) == (status, b""), path
    assert (await call("HEAD", "/health", anonymous=True)).status == 200
    assert (await call("HEAD", new_project(), anonymous=True)).status == 401
