"""The conversation about a schema over real sockets, on both engines: proposed, asked, applied, undone, once each."""

import asyncio
from typing import Any

import pytest
from tests.service.caller import Answer, Caller, new_project

from schemawire.schema import parse_schema, schema_digest

BLOG: dict[str, Any] = {
    "name": "blog",
    "entities": [
        {"name": "Post", "fields": [{"name": "title", "type": "string"}, {"name": "body", "type": "text"}]},
        {"name": "Comment", "fields": [{"name": "body", "type": "text"}]},
    ],
    "relationships": [{"name": "hasComments", "source": "Post", "target": "Comment"}],
}


class Talking:
    """One conversation about one project."""

    def __init__(self, call: Caller, project: str, session: str = "s-1") -> None:
        self.call, self.project, self.session = call, project, session

    async def say(self, sentence: str, **more: Any) -> Answer:
        headers = more.pop("headers", {})
        body = {"sentence": sentence, "sessionId": self.session, **more}
        return await self.call("POST", f"{self.project}/refine", json=body, headers=headers)

    async def told(self, sentence: str, **more: Any) -> dict[str, Any]:
        reply = await self.say(sentence, **more)
        assert reply.status == 200, reply.body
        data: dict[str, Any] = reply.json()["data"]
        return data

    async def version(self) -> int:
        version: int = (await self.call("GET", self.project)).json()["version"]
        return version

    async def fields(self, entity: str = "Post") -> list[str]:
        document = (await self.call("GET", self.project)).json()["data"]
        found = next(row for row in document["entities"] if row["name"] == entity)
        return [field["name"] for field in found["fields"]]


@pytest.fixture
async def talk(call: Caller) -> Talking:
    """A conversation about a new project that holds a small blog."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    return Talking(call, project)


async def test_a_change_is_proposed_then_applied(talk: Talking) -> None:
    """The proposal holds operations, an explanation and a diff and stores nothing; "yes" makes one version of it."""
    proposed = await talk.told("add a rating from 1 to 5 to posts")
    assert (proposed["kind"], proposed["applied"]) == ("change", False)
    assert proposed["operations"][0]["operation"] == "create_field"
    assert [change["path"] for change in proposed["changes"]] == ["Post.rating"]
    assert await talk.version() == 1
    applied = await talk.told("yes")
    assert (applied["kind"], applied["applied"]) == ("change", True)
    assert await talk.version() == 2
    assert await talk.fields() == ["title", "body", "rating"]
    again = await talk.told("yes")
    assert (again["applied"], again["explanation"]) == (False, "There is nothing to apply: say what to change first.")
    assert await talk.version() == 2


async def test_apply_stores_at_once_with_the_sentence_as_message(talk: Talking) -> None:
    """With `apply` the version is there with the reply; it names the conversation and what was said."""
    assert (await talk.told("make title required", apply=True))["applied"]
    newest = (await talk.call("GET", f"{talk.project}/versions")).json()["data"]["versions"][0]
    assert (newest["message"], newest["sessionId"]) == ("make title required", "s-1")


async def test_a_question_is_answered_by_number(talk: Talking) -> None:
    """The service remembers what it asked in this conversation, and in no other one."""
    asked = await talk.told("remove body")
    assert (asked["kind"], asked["choices"]) == ("question", ["Post.body", "Comment.body"])
    elsewhere = Talking(talk.call, talk.project, "s-2")
    assert (await elsewhere.told("2"))["kind"] == "question"
    assert (await talk.told("2", apply=True))["applied"]
    assert await talk.fields("Comment") == []


async def test_undo_goes_back_step_by_step(talk: Talking) -> None:
    """Each undo takes one change back as a version of its own; at the first version there is nothing left."""
    await talk.told("add a subtitle to posts", apply=True)
    await talk.told("add a slug to posts", apply=True)
    undone = await talk.told("undo that")
    assert (undone["applied"], undone["explanation"]) == (True, "Version 3 is undone.")
    assert [change["code"] for change in undone["changes"]] == ["field_removed"]
    assert await talk.fields() == ["title", "body", "subtitle"]
    assert (await talk.told("undo"))["applied"]
    assert await talk.fields() == ["title", "body"]
    assert await talk.version() == 5
    reply = await talk.call("POST", f"{talk.project}/undo", json={})
    assert (reply.status, reply.code) == (409, "conflict")


async def test_undo_drops_a_proposal_first(talk: Talking) -> None:
    """What was only proposed is dropped, and nothing stored is touched."""
    await talk.told("add a subtitle to posts")
    assert not (await talk.told("undo that"))["applied"]
    assert not (await talk.told("yes"))["applied"]
    assert await talk.version() == 1


async def test_undo_leaves_others_changes_alone(talk: Talking) -> None:
    """Within a conversation only its own last change is taken back."""
    await talk.told("add a subtitle to posts", apply=True)
    await Talking(talk.call, talk.project, "s-2").told("add a slug to posts", apply=True)
    assert (await talk.say("undo that")).status == 409
    reply = await talk.call("POST", f"{talk.project}/undo", json={"sessionId": "s-2"})
    assert reply.json()["data"] == {"undone": 3, "restored": 2, "version": 4}


async def test_a_repeated_undo_is_done_once(talk: Talking) -> None:
    """The same request with the same key gets the same reply and undoes nothing more."""
    await talk.told("add a subtitle to posts", apply=True)
    await talk.told("add a slug to posts", apply=True)
    headers = {"Idempotency-Key": new_project()}
    first = await talk.call("POST", f"{talk.project}/undo", json={}, headers=headers)
    second = await talk.call("POST", f"{talk.project}/undo", json={}, headers=headers)
    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert await talk.version() == 4


async def test_a_repeated_sentence_is_done_once(talk: Talking) -> None:
    """A turn whose reply got lost is repeated with its key and applied once."""
    headers = {"Idempotency-Key": new_project()}
    first = await talk.say("add a slug to posts", apply=True, headers=headers)
    second = await talk.say("add a slug to posts", apply=True, headers=headers)
    assert first.body == second.body
    assert await talk.version() == 2


async def test_parallel_turns_make_one_version_each_or_are_refused(talk: Talking) -> None:
    """Two changes understood on the same version never overwrite one another."""
    words = ("alpha", "beta", "gamma", "delta")
    replies = await asyncio.gather(
        *(Talking(talk.call, talk.project, f"s-{w}").say(f"add a {w} to posts", apply=True) for w in words)
    )
    done = [word for word, reply in zip(words, replies, strict=True) if reply.status == 200]
    assert {reply.status for reply in replies} <= {200, 412}
    assert done
    assert sorted(await talk.fields()) == sorted(["title", "body", *done])


async def test_a_proposal_for_an_older_version_is_refused_if_it_no_longer_fits(talk: Talking) -> None:
    """What was proposed is carried out on the newest version or refused; it is never half applied."""
    await talk.told("rename title to headline")
    await Talking(talk.call, talk.project, "s-2").told("remove title", apply=True)
    reply = await talk.say("yes")
    assert (reply.status, reply.code) == (422, "operation_invalid")
    assert await talk.fields() == ["body"]


async def test_expected_version_is_honoured(talk: Talking) -> None:
    """A stale expectation is 412 and stores neither version nor turn."""
    reply = await talk.say("add a slug to posts", apply=True, expectedVersion=7)
    assert (reply.status, reply.code) == (412, "version_conflict")
    assert await talk.version() == 1


async def test_a_conversation_may_begin_with_nothing(call: Caller) -> None:
    """A project that is not there yet comes into being with the first applied change."""
    talk = Talking(call, new_project())
    assert (await talk.told("a blog has posts. each post has a title", apply=True))["applied"]
    assert await talk.version() == 1
    assert "title" in await talk.fields()


async def test_why_and_nonsense_change_nothing(talk: Talking) -> None:
    """Questions are answered, and what is not understood says what could be said."""
    assert (await talk.told("show Post"))["explanation"].startswith("Post: title (string)")
    assert "I do not understand" in (await talk.told("frobnicate the wibble"))["explanation"]
    assert await talk.version() == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [({"sentence": "", "sessionId": "s"}, 400), ({"sentence": "x" * 3000, "sessionId": "s"}, 400),
     ({"sentence": "yes"}, 400), ({"sentence": "yes", "sessionId": ""}, 400), ({"sentence": 3, "sessionId": "s"}, 400),
     ({"sentence": "?!", "sessionId": "s"}, 422), ({"sentence": "yes", "sessionId": "s", "more": 1}, 400)],
)  # fmt: skip
async def test_bad_turns_are_refused(talk: Talking, body: dict[str, Any], status: int) -> None:
    """Each gets a clear refusal."""
    reply = await talk.call("POST", f"{talk.project}/refine", json=body)
    assert reply.status == status
    assert reply.code


async def test_what_was_applied_is_what_was_shown(talk: Talking) -> None:
    """The stored schema is exactly the one that the proposed operations give."""
    await talk.told("posts can be tagged; make title unique; split body of comments into text and author name")
    await talk.told("apply")
    document = (await talk.call("GET", talk.project)).json()
    assert document["digest"] == schema_digest(parse_schema(document["data"]))
    assert await talk.fields("Comment") == ["text", "author_name"]


async def test_analysis_follows_its_options_and_explains(call: Caller) -> None:
    """Keys, timestamps, case and enums by option; each element with its sentence and rule when asked."""
    body = {
        "description": "A post has a working title and a status (draft or published). Users write posts.",
        "options": {"fieldCase": "camel", "keys": False, "timestamps": False, "enums": False},
        "explain": True,
    }
    data = (await call("POST", f"{new_project()}/analyze", json=body)).json()["data"]
    post = next(row for row in data["schema"]["entities"] if row["name"] == "Post")
    assert [field["name"] for field in post["fields"]] == ["workingTitle", "status"]
    assert data["schema"]["enums"] == []
    assert post["rules"][0]["expression"] == "status in ('draft', 'published')"
    told = {row["path"]: row for row in data["explanations"]}
    assert told["writes"]["sentence"] == "Users write posts."
    assert told["Post.workingTitle"]["rule"] == "has"
    literal = {"description": body["description"], "options": {"literal": True}}
    data = (await call("POST", f"{new_project()}/analyze", json=literal)).json()["data"]
    assert all(field["name"] != "id" for row in data["schema"]["entities"] for field in row["fields"])


async def test_turns_of_one_conversation_at_once_are_kept_apart(call: Caller) -> None:
    """Two first sentences at the same moment are both kept or one is told to come again; none fails otherwise."""
    talk = Talking(call, new_project())
    replies = await asyncio.gather(*(talk.say(f"show thing{number}") for number in range(6)))
    assert {reply.status for reply in replies} <= {200, 409}
    assert any(reply.status == 200 for reply in replies)
    assert (await talk.say("show everything")).status == 200


async def test_a_conversation_is_read_back_page_by_page(talk: Talking) -> None:
    """Turns come in order, each once whatever the page, with what they stored and who said them."""
    said = ["add a rating from 1 to 5 to posts", "yes", "remove body", "1", "no"]
    for sentence in said:
        await talk.told(sentence)
    await Talking(talk.call, talk.project, "s-2").told("make title unique")
    for limit in (1, 2, 5, 100):
        turns: list[dict[str, Any]] = []
        after = 0
        while after is not None:
            query = f"sessionId={talk.session}&after={after}&limit={limit}"
            page = (await talk.call("GET", f"{talk.project}/refine?{query}")).json()["data"]
            turns, after = [*turns, *page["turns"]], page["next"]
        assert [turn["said"] for turn in turns] == said
        assert [turn["number"] for turn in turns] == [1, 2, 3, 4, 5]
    assert [turn["kind"] for turn in turns] == ["change", "change", "question", "change", "discard"]
    assert [turn["version"] for turn in turns] == [None, 2, None, None, None]
    assert turns[0]["explanation"].startswith("Add rating")
    assert all(turn["createdBy"] and turn["createdAt"].endswith("Z") for turn in turns)


async def test_a_conversation_before_its_project_can_be_read(call: Caller) -> None:
    """What was proposed for a project that is not there yet is kept, and found."""
    talk = Talking(call, new_project())
    await talk.told("add invoices")
    page = (await call("GET", f"{talk.project}/refine?sessionId=s-1")).json()["data"]
    assert [turn["said"] for turn in page["turns"]] == ["add invoices"]


async def test_what_cannot_be_read_back_is_a_problem(talk: Talking) -> None:
    """A session in which nothing was said, a deleted project, no session at all, and an odd page."""
    await talk.told("make title unique")
    path = f"{talk.project}/refine"
    assert (await talk.call("GET", f"{path}?sessionId=s-9")).code == "not_found"
    for query in ("", "?sessionId=", "?sessionId=s-1&after=x", "?sessionId=s-1&limit=0", "?sessionId=s-1&before=1"):
        assert (await talk.call("GET", path + query)).code == "invalid_request", query
    assert (await talk.call("GET", f"{path}?sessionId=s-1", anonymous=True)).status == 401
    await talk.call("DELETE", talk.project)
    assert (await talk.call("GET", f"{path}?sessionId=s-1")).code == "not_found"
