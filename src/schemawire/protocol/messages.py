"""The bodies of requests and replies, as both ends see them; knows neither client nor server.

Requests refuse unknown keys; replies may grow, so their readers ignore what they don't know.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from schemawire.protocol.paths import check_project_id

MAX_BATCH_OPERATIONS = 10_000
MAX_BODY_BYTES = 16 * 1024 * 1024


def _check_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("a NUL character, which no store can hold")
    return value


ProjectId = Annotated[StrictStr, AfterValidator(check_project_id)]
SessionId = Annotated[StrictStr, Field(max_length=200), AfterValidator(_check_text)]
Note = Annotated[StrictStr, Field(max_length=2_000), AfterValidator(_check_text)]
Version = Annotated[StrictInt, Field(ge=0, le=2**53 - 1)]
OperationState = Literal["queued", "running", "succeeded", "failed", "cancelled", "parked"]


class RequestBody(BaseModel):
    """What every request body shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ReplyBody(BaseModel):
    """What every reply body shares."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """Return the body as JSON."""
        return self.model_dump_json(by_alias=True).encode()


class BatchRequest(RequestBody):
    """Operations on one project, applied as a whole (`atomic`) or one by one."""

    project_id: ProjectId
    session_id: SessionId | None = None
    operations: Annotated[tuple[dict[str, Any], ...], Field(max_length=MAX_BATCH_OPERATIONS)]
    atomic: StrictBool = True
    expected_version: Version | None = None
    dry_run: StrictBool = False
    message: Note | None = None


class CreateRequest(RequestBody):
    """A new project with its schema; also the body that the older client sent."""

    project_id: ProjectId
    domain_schema: dict[str, Any]
    session_id: SessionId | None = None
    domain_description: Annotated[StrictStr, Field(max_length=1_000_000)] | None = None
    message: Note | None = None


class AnalysisChoices(RequestBody):
    """What is added to what the words say, and how fields are named; `literal` switches all additions off."""

    field_case: Literal["snake", "camel"] = "snake"
    keys: StrictBool = True
    timestamps: StrictBool = True
    join_entities: StrictBool = True
    foreign_keys: StrictBool = True
    enums: StrictBool = True
    infer: StrictBool = True
    literal: StrictBool = False


class SubmitRequest(RequestBody):
    """Asynchronous work: a batch, or words to analyse and merge."""

    operations: Annotated[tuple[dict[str, Any], ...], Field(max_length=MAX_BATCH_OPERATIONS)] | None = None
    description: Annotated[StrictStr, Field(min_length=1, max_length=1_000_000)] | None = None
    options: AnalysisChoices | None = None
    """Of the analysis of a description."""
    session_id: SessionId | None = None
    atomic: StrictBool = True
    expected_version: Version | None = None
    message: Note | None = None
    webhook: Annotated[StrictStr, Field(min_length=1, max_length=2_000)] | None = None
    """The URL that is told when the work has ended."""


class AnalyzeRequest(RequestBody):
    """Words to turn into a draft."""

    description: Annotated[StrictStr, Field(min_length=1, max_length=1_000_000)]
    session_id: SessionId | None = None
    options: AnalysisChoices | None = None
    explain: StrictBool = False
    """Say for each element which sentence it came from, and which rule made it."""


class RefineRequest(RequestBody):
    """One sentence of the conversation about a schema."""

    sentence: Annotated[StrictStr, Field(min_length=1, max_length=2_000)]
    session_id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    apply: StrictBool = False
    """Store what the sentence proposes at once; otherwise a later "yes" does."""
    expected_version: Version | None = None


class UndoRequest(RequestBody):
    """Take the last change back, or the last one of a conversation."""

    session_id: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    """Only if the newest version is of this conversation."""
    expected_version: Version | None = None
    message: Note | None = None


class RestoreRequest(RequestBody):
    """The version to make the newest again."""

    version: Annotated[StrictInt, Field(ge=1, le=2**53 - 1)]
    session_id: SessionId | None = None
    message: Note | None = None


class Reply(ReplyBody):
    """A success: what happened, to which project, and what it is now."""

    success: bool
    message: str
    project_id: str | None = None
    version: int | None = None
    digest: str | None = None
    data: Any = None


class OperationResult(ReplyBody):
    """What became of one operation of a batch, in the order of the request."""

    index: int
    operation: str
    success: bool
    changed: bool = False
    kind: str | None = None
    key: str | None = None
    version: int | None = None
    error: dict[str, Any] | None = None
    """A problem document where `success` is false."""


class OperationStatus(ReplyBody):
    """Where an asynchronous operation stands."""

    operation_id: str
    project_id: str
    state: OperationState
    kind: str
    progress: float = 0.0
    """From 0 to 1."""
    attempts: int = 0
    created_at: str
    updated_at: str
    finished_at: str | None = None
    result: Any = None
    error: dict[str, Any] | None = None
    """A problem document where the operation failed."""

    @property
    def is_finished(self) -> bool:
        """Tell whether the state will not change any more."""
        return self.state in ("succeeded", "failed", "cancelled", "parked")


class VersionRecord(ReplyBody):
    """One version of a project's schema."""

    version: int
    digest: str
    parent: str | None = None
    created_at: str
    created_by: str | None = None
    session_id: str | None = None
    message: str | None = None
    element_count: int = 0


class ProjectRecord(ReplyBody):
    """One project in a list."""

    project_id: str
    version: int
    digest: str
    name: str
    updated_at: str
    element_count: int = 0
    deleted_at: str | None = None


class ProjectPage(ReplyBody):
    """Projects in the order of their ids; `next` continues the list."""

    projects: tuple[ProjectRecord, ...] = ()
    next: str | None = None


class RefineRecord(ReplyBody):
    """What a sentence came to: changes, a question with choices, or an answer."""

    session_id: str
    kind: Literal["change", "question", "answer", "undo", "discard"]
    explanation: str
    applied: bool = False
    """Whether a new version was stored."""
    operations: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    """The differences that the operations make, as `diff` lists them."""
    choices: tuple[str, ...] = ()
    """Answer with a number from 1."""
    tier: str = "patterns"
    usage: dict[str, Any] | None = None
    """What a language model took."""


class TurnRecord(ReplyBody):
    """One turn of a conversation: what was said, and what came of it."""

    number: int
    """From 1, rising."""
    said: str
    kind: str
    """As `RefineRecord` has it."""
    explanation: str
    version: int | None = None
    """The version that the turn stored, if it stored one."""
    created_at: str
    created_by: str


class ConversationPage(ReplyBody):
    """Turns of one conversation, oldest first; `next` continues the list."""

    session_id: str
    turns: tuple[TurnRecord, ...] = ()
    next: int | None = None


class Dependency(ReplyBody):
    """The state of something that the service needs."""

    name: str
    healthy: bool
    detail: str = ""
    response_time: float | None = None
    """Seconds."""


class HealthReply(ReplyBody):
    """The reply of the health endpoints."""

    status: Literal["healthy", "degraded", "unhealthy", "draining"]
    version: str
    store_id: str
    uptime: float
    """Seconds."""
    dependencies: tuple[Dependency, ...] = ()


class StreamHeader(ReplyBody):
    """The first line of a stream: which schema and version follows."""

    type: Literal["header"] = "header"
    project_id: str
    version: int
    digest: str
    header: dict[str, Any]
    """The schema's own header: formatVersion, name, description."""
    element_count: int
    after: str | None = None
    """The cursor that the stream resumes after, if it does."""


class StreamElement(ReplyBody):
    """One line of a stream: an element and the cursor behind it."""

    type: Literal["element"] = "element"
    kind: Literal["entity", "enum", "relationship", "rule"]
    cursor: str
    element: dict[str, Any]


class StreamTrailer(ReplyBody):
    """The last line of a stream that is complete."""

    type: Literal["trailer"] = "trailer"
    element_count: int
    """The number of elements in this reply (after a resume: the ones behind the cursor)."""
    digest: str
    """The digest of the whole schema, as in the header."""
    stream_digest: str
    """SHA-256 (hex) over the element lines of this reply exactly as sent, line ends included."""


class StreamError(ReplyBody):
    """The last line of a stream that broke on the server's side."""

    type: Literal["error"] = "error"
    problem: dict[str, Any]


class UploadHeader(RequestBody):
    """The first line of a schema that is sent as a stream; the header of a stream that was read will do."""

    type: Literal["header"]
    header: dict[str, Any]
    """The schema's own header: formatVersion, name, description."""
    project_id: StrictStr | None = None
    """Where the stream was read; what counts is the path."""
    version: StrictInt | None = None
    digest: StrictStr | None = None
    """The digest of the whole schema; held against what arrives."""
    element_count: StrictInt | None = None
    after: None = None
    """A stream that begins in the middle is refused."""
    session_id: SessionId | None = None
    message: Note | None = None


class UploadTrailer(RequestBody):
    """The last line of a schema that is sent as a stream: what must have arrived."""

    type: Literal["trailer"]
    element_count: StrictInt
    stream_digest: StrictStr
    """SHA-256 (hex) over the element lines exactly as sent, line ends included."""
    digest: StrictStr | None = None
    """The digest of the whole schema, if the sender knows it."""


class BatchHeader(RequestBody):
    """The first line of a batch that is sent as lines; each line behind it is one operation."""

    type: Literal["header"]
    project_id: ProjectId
    session_id: SessionId | None = None
    atomic: StrictBool = True
    expected_version: Version | None = None
    dry_run: StrictBool = False
    message: Note | None = None


class BatchTrailer(ReplyBody):
    """The last line of the reply to a batch of lines: without it, nothing is known to be stored."""

    type: Literal["trailer"] = "trailer"
    project_id: str
    version: int | None = None
    digest: str | None = None
    operation_count: int
    applied: int
    replayed: bool = False
    """Whether the batch was done by an earlier request with the same key, whose results were sent then."""


class ChangeSummary(ReplyBody):
    """Which elements a version wrote, as `kind:key`; `more` says how many further ones there are."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    more: int = 0


class ChangeEvent(ReplyBody):
    """One event of a project's change feed."""

    type: Literal["start", "version", "deleted"]
    """`start` says where the feed begins; `deleted` that the project is gone (a restore brings `version` again)."""
    project_id: str
    version: int
    digest: str
    parent: str | None = None
    created_at: str | None = None
    created_by: str | None = None
    session_id: str | None = None
    message: str | None = None
    element_count: int = 0
    changes: ChangeSummary | None = None
    """Null where the version replaced everything, or the schema is too large to tell quickly."""
