"""No generated request, valid or not, gets an answer that the description does not promise."""

import http.client
import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.fuzz.fuzzing import find_program, fuzz

from schemawire.service.examples import BLOG
from schemawire.testing.service_process import ServiceProcess


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_generated_requests_find_nothing(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every check of schemathesis over every route, some thousand requests, on each engine."""
    program = find_program()
    if program is None:
        pytest.skip("needs schemathesis: run `make fuzz`")
    with ExitStack() as stack:
        environment = {}
        if engine == "postgres":
            databases = request.getfixturevalue("postgres_databases")
            environment["SCHEMAWIRE_DATABASE_URL"] = stack.enter_context(databases.fresh(migrated=False))
        service = stack.enter_context(ServiceProcess(tmp_path, environment=environment))
        _store_example(service)
        report = fuzz(service, program, tmp_path, examples=25, timeout=1_500)
        assert service.is_running
        written = service.log_path.read_text("utf-8", "replace")
    generated = re.search(r"(\d+) generated", report)
    assert generated is not None
    assert int(generated[1]) >= 3_000
    assert "request failed" not in written
    assert service.admin_key not in written


def _store_example(service: ServiceProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    headers = {**service.headers, "Content-Type": "application/json"}
    connection.request("PUT", "/api/domain-schema/blog", json.dumps(BLOG), headers)
    assert connection.getresponse().status == 201
    connection.close()
