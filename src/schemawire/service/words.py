"""Words to a draft, for those who ask the service; knows nothing of HTTP servers, and stores nothing."""

from schemawire.analysis import Analyser
from schemawire.errors import SchemaInvalid
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer, encode


async def analyze_words(analyser: Analyser, project_id: str, description: str) -> Answer:
    """Return the draft of a description, with the analyser's warnings.

    Raises:
        RequestRefused: nothing in it could be understood.
    """
    try:
        draft = await analyser.analyze(description)
    except SchemaInvalid as error:
        raise RequestRefused("nothing_recognised", error.message, fix=error.fix) from error
    record = {"schema": draft.schema.to_document(), "tier": draft.tier, "warnings": list(draft.warnings)}
    return Answer(
        message=f"{len(draft.schema.entities)} entities found; nothing was stored",
        payload=encode(record),
        project_id=project_id,
    )
