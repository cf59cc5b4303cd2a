"""The commands against a real service."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.cli.command_line import CommandLine

from schemawire.cli.exit_codes import ExitCode
from schemawire.testing.service_process import ServiceProcess

BOOK = {"operation": "create_entity", "data": {"name": "Book", "fields": [{"name": "title", "type": "string"}]}}
AUTHOR = {"operation": "create_entity", "data": {"name": "Author", "fields": [{"name": "name", "type": "string"}]}}
PAGES = {"operation": "create_field", "data": {"entity": "Book", "name": "pages", "type": "integer"}}
NONSENSE = {"operation": "delete_entity", "data": {"name": "Magazine"}}


def write(folder: Path, value: Any) -> str:
    """Write a JSON file and return its name."""
    path = folder / "operations.json"
    path.write_text(json.dumps(value), "utf-8")
    return path.name


def store(online: CommandLine, project: str, *operations: Any) -> dict[str, Any]:
    """Apply operations and return the report."""
    done = online("batch", write(online.folder, operations), "--project", project, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def error_of(stdout: str) -> dict[str, Any]:
    """Return the error in a --json output."""
    error: dict[str, Any] = json.loads(stdout)["error"]
    return error


def test_health_of_a_running_service(online: CommandLine) -> None:
    """Exit code 0, in words and as JSON."""
    done = online("health")
    assert done.returncode == 0
    assert "healthy" in done.stdout
    document = json.loads(online("health", "--json").stdout)
    assert document["isHealthy"] is True
    assert document["storeId"]
    assert document["responseTime"] >= 0


def test_health_of_nothing(cli: CommandLine) -> None:
    """Exit code 4 where nobody answers; still one JSON document."""
    done = cli("health", "--json")
    assert done.returncode == ExitCode.UNREACHABLE
    assert json.loads(done.stdout)["isHealthy"] is False


def test_health_of_something_else(cli: CommandLine) -> None:
    """Exit code 1 where something answers that is no healthy schemawire service."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *details: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            done = cli("health", "--url", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == ExitCode.NOT_SO


def test_words_are_sent_and_come_back_as_a_tree(online: CommandLine) -> None:
    """`analyze --send`, then `project show`: the same schema."""
    sent = online("analyze", "A library has books. Each book has a title.", "--project", "sent", "--send")
    assert sent.returncode == 0, sent.stderr
    assert "stored as sent version 1" in sent.stdout
    shown = online("project", "show", "sent")
    assert "Book" in shown.stdout
    assert "title" in shown.stdout


def test_sending_again_says_so_in_json(online: CommandLine) -> None:
    """The same words twice make no second version."""
    words = ("analyze", "A garden has beds.", "--project", "again", "--send", "--json")
    first, second = json.loads(online(*words).stdout), json.loads(online(*words).stdout)
    assert first["version"] == second["version"] == 1
    assert first["digest"] == second["digest"]


def test_a_batch_reports_every_operation(online: CommandLine) -> None:
    """One row per operation; the file may name the project itself."""
    report = store(online, "batched", BOOK, AUTHOR)
    assert [row["success"] for row in report["results"]] == [True, True]
    named = write(online.folder, {"projectId": "batched", "operations": [PAGES]})
    done = online("batch", named)
    assert done.returncode == 0, done.stderr
    assert "batched is at version 2" in done.stdout


def test_a_dry_run_stores_nothing(online: CommandLine) -> None:
    """The report is the same, the version is not."""
    store(online, "rehearsed", BOOK)
    done = online("batch", write(online.folder, [PAGES]), "--project", "rehearsed", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "nothing stored" in done.stdout
    assert json.loads(online("project", "show", "rehearsed", "--json").stdout)["version"] == 1


def test_all_or_none_is_rejected_as_a_whole(online: CommandLine) -> None:
    """Exit code 3, and nothing is stored."""
    store(online, "whole", BOOK)
    done = online("batch", write(online.folder, [PAGES, NONSENSE]), "--project", "whole", "--json")
    assert done.returncode == ExitCode.REJECTED
    assert error_of(done.stdout)["fix"]
    assert json.loads(online("project", "show", "whole", "--json").stdout)["version"] == 1


def test_one_by_one_applies_what_it_can(online: CommandLine) -> None:
    """Exit code 1, one refused row, the other stored."""
    store(online, "each", BOOK)
    done = online("batch", write(online.folder, [PAGES, NONSENSE]), "--project", "each", "--per-operation", "--json")
    assert done.returncode == ExitCode.NOT_SO
    assert [row["success"] for row in json.loads(done.stdout)["results"]] == [True, False]


def test_a_stale_version_is_rejected(online: CommandLine) -> None:
    """`--expected-version` keeps two writers apart."""
    store(online, "stale", BOOK)
    done = online("batch", write(online.folder, [PAGES]), "--project", "stale", "--expected-version", "7", "--json")
    assert done.returncode == ExitCode.REJECTED
    assert error_of(done.stdout)["code"] == "version_conflict"


def test_a_stream_ends_with_a_verified_summary(online: CommandLine) -> None:
    """One JSON line per element, then the count and the digest."""
    stored = store(online, "streamed", BOOK, AUTHOR)
    done = online("stream", "streamed", "--json")
    assert done.returncode == 0, done.stderr
    *elements, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(row["element"]["name"] for row in elements) == ["Author", "Book"]
    assert summary["elementCount"] == 2
    assert summary["digest"] == stored["digest"]
    assert "entity  Book  1 fields" in online("stream", "streamed").stdout


def test_an_export_is_the_stored_document(online: CommandLine) -> None:
    """What comes out can be read as a schema."""
    store(online, "exported", BOOK)
    done = online("export", "exported", "--format", "json")
    assert [entity["name"] for entity in json.loads(done.stdout)["entities"]] == ["Book"]


def test_history_difference_and_restoring(online: CommandLine) -> None:
    """Every write is a version; going back is a new one."""
    store(online, "past", BOOK)
    store(online, "past", PAGES)
    assert [row["version"] for row in json.loads(online("project", "history", "past", "--json").stdout)] == [2, 1]
    assert "pages" in online("project", "diff", "past", "1").stdout
    assert online("project", "restore", "past", "1").returncode == 0
    shown = json.loads(online("project", "show", "past", "--json").stdout)
    assert shown["version"] == 3
    assert [field["name"] for field in shown["data"]["entities"][0]["fields"]] == ["title"]
    assert "past" in online("project", "list").stdout


def test_deleting_asks_first(online: CommandLine) -> None:
    """Without --yes the question is asked, and anything but yes changes nothing."""
    store(online, "doomed", BOOK)
    assert online("project", "delete", "doomed", stdin="n\n").returncode == ExitCode.NOT_SO
    assert online("project", "show", "doomed").returncode == 0
    assert online("project", "delete", "doomed", "--yes").returncode == 0
    assert online("project", "show", "doomed").returncode == ExitCode.REJECTED


def test_an_asynchronous_operation_from_submission_to_result(online: CommandLine) -> None:
    """Submit prints an id; waiting for it ends with what became of it."""
    submitted = json.loads(
        online("operation", "submit", "later", "--description", "A zoo has animals.", "--json").stdout
    )
    waited = online("operation", "wait", submitted["operationId"], "--json")
    assert waited.returncode == 0, waited.stderr
    assert json.loads(waited.stdout)["state"] == "succeeded"
    assert "succeeded" in online("operation", "status", submitted["operationId"]).stdout
    assert online("project", "show", "later").returncode == 0


def test_metrics_count_requests(online: CommandLine) -> None:
    """As a table and as JSON."""
    assert json.loads(online("metrics", "--json").stdout)["service"]["totalRequests"] >= 0
    assert "service.totalRequests" in online("metrics").stdout


def test_explain_shows_where_each_value_comes_from_and_no_secret(online: CommandLine, service: ServiceProcess) -> None:
    """Argument, environment, preset and default are told apart; the key is not shown."""
    settings = {"BACKEND_MAX_RETRIES": "7"}
    done = online("explain", "--json", "--env", "production", settings=settings)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["settings"]}
    assert (rows["BACKEND_MAX_RETRIES"]["value"], rows["BACKEND_MAX_RETRIES"]["source"]) == ("7", "environment")
    assert rows["BACKEND_ENVIRONMENT"]["source"] == "argument"
    assert rows["BACKEND_TIMEOUT_READ"]["source"] == "preset production"
    assert rows["BACKEND_WIRE"]["source"] == "default"
    words = online("explain", settings=settings).stdout
    assert "retry" in words
    assert service.admin_key not in done.stdout + words


def test_explain_knows_the_settings_of_the_service(cli: CommandLine) -> None:
    """`--service` shows what `serve` would use; passwords and keys are not shown."""
    settings = {"SCHEMAWIRE_ADMIN_KEY": "s" * 40, "SCHEMAWIRE_PORT": "9000", "SCHEMAWIRE_PROT": "1"}
    done = cli("explain", "--service", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "9000" in done.stdout
    assert "hidden" in done.stdout
    assert "s" * 40 not in done.stdout + done.stderr
    assert "Did you mean SCHEMAWIRE_PORT?" in done.stderr


def test_a_wrong_key_is_rejected(online: CommandLine) -> None:
    """Exit code 3, with what to do."""
    done = online("metrics", "--key", "wrong", "--json")
    assert done.returncode == ExitCode.REJECTED
    assert error_of(done.stdout)["code"] == "unauthenticated"


def test_an_unknown_project_is_rejected(online: CommandLine) -> None:
    """Exit code 3, one panel, nothing on standard output."""
    done = online("project", "show", "nowhere")
    assert done.returncode == ExitCode.REJECTED
    assert done.stdout == ""
    assert "not_found" in done.stderr


def test_hostile_text_in_the_store_is_shown_and_not_obeyed(online: CommandLine) -> None:
    """Descriptions and values that carry escape sequences or markup come out as text."""
    shade = {"operation": "create_enum", "data": {"name": "Shade", "values": ["\x1b]0;owned\x07", "[red]x[/red]"]}}
    store(online, "hostile", BOOK, shade)
    for command in (("project", "show", "hostile"), ("stream", "hostile"), ("export", "hostile")):
        done = online(*command)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
    assert "[red]x[/red]" in online("project", "show", "hostile").stdout


def test_a_setting_out_of_range_is_a_matter_of_configuration(online: CommandLine) -> None:
    """Exit code 5 and the name of the setting."""
    done = online("health", settings={"BACKEND_MAX_RETRIES": "many"})
    assert done.returncode == ExitCode.CONFIGURATION
    assert "BACKEND_MAX_RETRIES" in done.stderr


def test_an_unwise_setting_is_named(online: CommandLine) -> None:
    """`config validate` has exit code 1 where something must be corrected, 0 otherwise."""
    assert online("config", "validate").returncode == 0
    done = online("config", "validate", "--env", "produktion", "--json")
    assert done.returncode == ExitCode.NOT_SO
    assert json.loads(done.stdout)["valid"] is False


def test_an_unreachable_backend_has_its_own_code(cli: CommandLine) -> None:
    """Exit code 4, and the error says whether to try again."""
    done = cli("project", "list", "--json", settings={"BACKEND_MAX_RETRIES": "0", "BACKEND_TIMEOUT_TOTAL": "3"})
    assert done.returncode == ExitCode.UNREACHABLE
    assert error_of(done.stdout)["retryable"] is True
