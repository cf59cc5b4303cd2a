"""The client's settings: which source wins, what is refused, and what is explained."""

import os
from pathlib import Path

import pytest

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.client import ClientSettings, get_preset
from schemawire.settings.keyfile import key_file, read_key, remove_key, write_key
from schemawire.transport import Client


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable, file or key of this machine reaches a test."""
    for name in [name for name in os.environ if name.startswith("BACKEND_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources(settings: ClientSettings) -> dict[str, str]:
    return {each.name: each.source for each in settings.explain()}


def test_defaults_are_those_that_are_documented() -> None:
    """Without any source the documented defaults hold."""
    settings = ClientSettings.load()
    assert settings.backend_service_url == "http://localhost:8084"
    assert (settings.backend_timeout_connect, settings.backend_timeout_read) == (10.0, 30.0)
    assert (settings.backend_timeout_total, settings.backend_max_connections) == (60.0, 100)
    assert (settings.backend_max_retries, settings.backend_circuit_breaker_failure_threshold) == (3, 5)
    assert set(sources(settings).values()) == {"default"}
    assert settings.issues() == []


def test_each_source_wins_over_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Argument > environment > .env > schemawire.toml > preset > default, each value with its origin."""
    (tmp_path / "schemawire.toml").write_text(
        "[backend]\nmax_retries = 1\ntimeout_read = 11\ntimeout_total = 21\nmax_connections = 31\n"
    )
    (tmp_path / ".env").write_text("BACKEND_TIMEOUT_READ=12\nBACKEND_TIMEOUT_TOTAL=22\nBACKEND_MAX_CONNECTIONS=32\n")
    monkeypatch.setenv("BACKEND_TIMEOUT_TOTAL", "23")
    monkeypatch.setenv("BACKEND_MAX_CONNECTIONS", "33")
    monkeypatch.setenv("BACKEND_ENVIRONMENT", "development")
    settings = ClientSettings.load(backend_max_connections=34)
    found = sources(settings)
    assert (settings.backend_max_connections, found["BACKEND_MAX_CONNECTIONS"]) == (34, "argument")
    assert (settings.backend_timeout_total, found["BACKEND_TIMEOUT_TOTAL"]) == (23.0, "environment")
    assert (settings.backend_timeout_read, found["BACKEND_TIMEOUT_READ"]) == (12.0, ".env")
    assert (settings.backend_max_retries, found["BACKEND_MAX_RETRIES"]) == (1, "schemawire.toml")
    assert (settings.backend_timeout_connect, found["BACKEND_TIMEOUT_CONNECT"]) == (5.0, "preset development")
    assert found["BACKEND_KEEPALIVE_EXPIRY"] == "default"


@pytest.mark.parametrize(
    ("environment", "read", "connect", "connections", "retries"),
    [("development", 30.0, 5.0, 20, 2), ("production", 60.0, 10.0, 100, 3)],
)
def test_presets_are_those_that_older_code_knows(
    environment: str, read: float, connect: float, connections: int, retries: int
) -> None:
    """The two presets of the older handler hold, in its form and in the settings."""
    assert get_preset(environment) == {
        "timeout": {"read": read, "connect": connect},
        "limits": {"max_connections": connections},
        "retry_config": {"max_retries": retries},
    }
    settings = ClientSettings.load(backend_environment=environment)
    assert settings.timeout_config().read == read
    assert settings.pool_config().max_connections == connections
    assert settings.retry_config().max_retries == retries


def test_unknown_environment_has_no_preset() -> None:
    """A name that is no environment is refused where a preset is asked for, and is an issue in the settings."""
    with pytest.raises(ConfigurationInvalid, match="'prod'"):
        get_preset("prod")
    [issue] = ClientSettings.load(backend_environment="prodution").issues()
    assert (issue.level, issue.name) == ("error", "BACKEND_ENVIRONMENT")
    assert "production" in issue.fix


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error lists all that is wrong, with the variable's name and what was given."""
    monkeypatch.setenv("BACKEND_TIMEOUT_READ", "soon")
    monkeypatch.setenv("BACKEND_CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0")
    with pytest.raises(ConfigurationInvalid) as caught:
        ClientSettings.load()
    assert "BACKEND_TIMEOUT_READ='soon'" in str(caught.value)
    assert "BACKEND_CIRCUIT_BREAKER_FAILURE_THRESHOLD='0'" in str(caught.value)


def test_a_bad_key_is_not_shown() -> None:
    """A secret never reaches a message, however wrong it is."""
    with pytest.raises(ConfigurationInvalid) as caught:
        ClientSettings.load(backend_api_key="hidden" * 2000)
    assert "hidden" not in str(caught.value)


def test_secrets_stay_out_of_sight() -> None:
    """Neither the repr nor the explanation shows the key, but the header carries it."""
    settings = ClientSettings.load(backend_api_key="s3cret")
    assert "s3cret" not in repr(settings) + str(settings) + repr(settings.explain())
    assert settings.headers()["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("values", "name", "level"),
    [
        ({"backend_service_url": "localhost:8084"}, "BACKEND_SERVICE_URL", "error"),
        ({"backend_service_url": "http://a,ftp://b"}, "BACKEND_SERVICE_URL", "error"),
        ({"backend_service_url": "http://far:1", "backend_api_key": "k"}, "BACKEND_SERVICE_URL", "warning"),
        ({"backend_environment": "production"}, "BACKEND_API_KEY", "error"),
        ({"backend_timeout_attempt": 90.0}, "BACKEND_TIMEOUT_ATTEMPT", "error"),
        ({"backend_timeout_read": 90.0}, "BACKEND_TIMEOUT_READ", "warning"),
    ],
)
def test_contradictions_are_issues(values: dict[str, object], name: str, level: str) -> None:
    """What is possible one by one but wrong together is found, with its level and a fix."""
    [issue] = ClientSettings.load(**values).issues()
    assert (issue.name, issue.level) == (name, level)
    assert issue.fix


def test_a_key_to_the_own_machine_may_travel_in_the_clear() -> None:
    """Plain http with a key is no issue on the loopback."""
    assert ClientSettings.load(backend_service_url="http://127.0.0.1:1", backend_api_key="k").issues() == []


def test_misspelt_names_are_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name with the prefix that is no setting is a warning with the nearest name."""
    monkeypatch.setenv("BACKEND_TIMEOUT_CONECT", "3")
    (tmp_path / "schemawire.toml").write_text("[backend]\nmax_retrys = 1\n")
    issues = {issue.name: issue.fix for issue in ClientSettings.load().issues()}
    assert "BACKEND_TIMEOUT_CONNECT" in issues["BACKEND_TIMEOUT_CONECT (environment)"]
    assert "BACKEND_MAX_RETRIES" in issues["backend.max_retrys (schemawire.toml)"]


@pytest.mark.parametrize("content", ["[backend\n", "backend = 3\n", "\xff"])
def test_a_broken_file_is_refused(content: str, tmp_path: Path) -> None:
    """A file that cannot be read is an error that names it, not silence."""
    (tmp_path / "schemawire.toml").write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationInvalid, match=r"schemawire\.toml"):
        ClientSettings.load()


def test_kept_key_is_found_for_exactly_its_address() -> None:
    """The key that `dev` keeps is used for its host and port alone, and only while no key is set."""
    write_key("127.0.0.1", 8084, "kept")
    assert ClientSettings.load().backend_api_key == "kept"
    assert ClientSettings.load(backend_service_url="http://localhost:9").backend_api_key == ""
    assert ClientSettings.load(backend_service_url="http://elsewhere:8084").backend_api_key == ""
    assert ClientSettings.load(backend_api_key="own").backend_api_key == "own"
    assert sources(ClientSettings.load())["BACKEND_API_KEY"].startswith("key file")
    remove_key("localhost", 8084)
    assert ClientSettings.load().backend_api_key == ""


def test_kept_key_does_not_follow_to_another_address() -> None:
    """Settings that are turned to another address leave the kept key behind; a key of the user's own goes along."""
    write_key("127.0.0.1", 8084, "kept")
    settings = ClientSettings.load()
    assert settings.replace(backend_service_url="http://elsewhere:1").backend_api_key == ""
    assert settings.replace(backend_max_retries=1).backend_api_key == "kept"
    own = ClientSettings.load(backend_api_key="own")
    assert own.replace(backend_service_url="http://elsewhere:1").backend_api_key == "own"


def test_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It is written so that only its owner can read it, and one that others can read, or a link, is not believed."""
    path = write_key("localhost", 8084, "kept")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key("http://127.0.0.1:8084") == ("kept", path)
    path.chmod(0o640)
    assert read_key("http://127.0.0.1:8084") is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert read_key("http://127.0.0.1:8084") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": 3}', "\xff", '{"key": ""}'])
def test_broken_key_file_counts_as_none(content: str) -> None:
    """A damaged file is no reason to fail; there is simply no key."""
    path = key_file("localhost", 8084)
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    assert ClientSettings.load().backend_api_key == ""


def test_replace_follows_the_environment_to_its_preset() -> None:
    """A preset belongs to its environment; what was set by hand stays."""
    settings = ClientSettings.load(backend_environment="development", backend_max_retries=9)
    moved = settings.replace(backend_environment="production", backend_api_key="k")
    assert (moved.backend_timeout_read, moved.backend_max_retries) == (60.0, 9)


def test_the_older_name_gives_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`settings.backend_service_url` of older code is loaded when it is first asked for."""
    import schemawire.settings

    monkeypatch.setenv("BACKEND_SERVICE_URL", "http://older:1")
    monkeypatch.delitem(vars(schemawire.settings), "settings", raising=False)
    assert schemawire.settings.settings.backend_service_url == "http://older:1"
    monkeypatch.delitem(vars(schemawire.settings), "settings")


def test_client_says_which_setting_each_option_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain()` of a client names the variable and its source, but not for options that were given beside them."""
    monkeypatch.setenv("BACKEND_MAX_RETRIES", "7")
    monkeypatch.setenv("BACKEND_TIMEOUT_READ", "12")
    settings = ClientSettings.load(backend_environment="production")
    origins = settings.client_origins(given={"timeout"})
    assert origins == {
        "retry.max_retries": "BACKEND_MAX_RETRIES from environment",
        "pool.max_connections": "BACKEND_MAX_CONNECTIONS from preset production",
    }
    text = Client(settings.endpoints, retry=settings.retry_config(), origins=origins).explain()
    assert "retry.max_retries = 7  (BACKEND_MAX_RETRIES from environment)" in text
