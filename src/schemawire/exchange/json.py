"""The domain-schema document itself as text; knows nothing of other formats."""

import json

from schemawire.schema import DomainSchema


def export_json(schema: DomainSchema) -> str:
    """Return the schema as an indented JSON document that reads back as the same schema.

    >>> export_json(DomainSchema(name="blog")).splitlines()[1]
    '  "formatVersion": "1",'
    """
    return json.dumps(schema.to_document(), ensure_ascii=False, indent=2) + "\n"
