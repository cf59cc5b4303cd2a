"""Words to a draft, for those who ask the service; knows nothing of HTTP servers, and stores nothing."""

from typing import Any

from schemawire.analysis import Analyser, explain
from schemawire.errors import SchemaInvalid
from schemawire.protocol.messages import AnalyzeRequest
from schemawire.service.language import options_of, usage_document
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer, encode


async def analyze_words(analyser: Analyser, project_id: str, wanted: AnalyzeRequest) -> Answer:
    """Return the draft of a description, with the analyser's warnings, and why each element is there if asked for.

    Raises:
        RequestRefused: nothing in it could be understood.
    """
    try:
        draft = await analyser.analyze(wanted.description, options=options_of(wanted.options))
    except SchemaInvalid as error:
        raise RequestRefused("nothing_recognised", error.message, fix=error.fix) from error
    document, warnings = draft.schema.to_document(), list(draft.warnings)
    record: dict[str, Any] = {"schema": document, "tier": draft.tier, "warnings": warnings}
    if draft.usage is not None:
        record["usage"] = usage_document(draft.usage)
    if wanted.explain:
        record["explanations"] = [found.to_document() for found in explain(draft.schema, wanted.description)]
    return Answer(
        message=f"{len(draft.schema.entities)} entities found; nothing was stored",
        payload=encode(record),
        project_id=project_id,
    )
