"""The service's settings: which source wins, what is refused, and what is explained."""

import os
from pathlib import Path

import pytest

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.service import ServiceSettings


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or file of this machine reaches a test."""
    for name in [name for name in os.environ if name.startswith("SCHEMAWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)


def sources(settings: ServiceSettings) -> dict[str, str]:
    return {each.name: each.source for each in settings.explain()}


def test_defaults_are_those_that_are_documented(tmp_path: Path) -> None:
    """Without any source the service listens on the loopback and keeps a file in the user's data folder."""
    settings = ServiceSettings()
    assert settings.database_url == f"sqlite:///{tmp_path}/share/schemawire/schemas.db"
    assert (settings.host, settings.port, settings.admin_key) == ("127.0.0.1", 8084, None)
    assert set(sources(settings).values()) == {"default"}
    assert settings.issues() == []


def test_a_relative_data_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base directory specification tells to ignore a relative path; the home folder takes its place."""
    monkeypatch.setenv("XDG_DATA_HOME", "share")
    monkeypatch.setenv("HOME", "/home/someone")
    assert ServiceSettings().database_url == "sqlite:////home/someone/.local/share/schemawire/schemas.db"


def test_each_source_wins_over_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Argument > environment > .env > schemawire.toml > default, each value with its origin."""
    (tmp_path / "schemawire.toml").write_text('[service]\nport = 1\nhost = "a"\noperation_lease = 5\n')
    (tmp_path / ".env").write_text("SCHEMAWIRE_PORT=2\nSCHEMAWIRE_HOST=b\nSCHEMAWIRE_DATABASE_READERS=2\n")
    monkeypatch.setenv("SCHEMAWIRE_PORT", "3")
    monkeypatch.setenv("SCHEMAWIRE_HOST", "c")
    settings = ServiceSettings.load(host="127.0.0.1", port=None)
    found = sources(settings)
    assert (settings.host, found["SCHEMAWIRE_HOST"]) == ("127.0.0.1", "argument")
    assert (settings.port, found["SCHEMAWIRE_PORT"]) == (3, "environment")
    assert (settings.database_readers, found["SCHEMAWIRE_DATABASE_READERS"]) == (2, ".env")
    assert (settings.operation_lease, found["SCHEMAWIRE_OPERATION_LEASE"]) == (5.0, "schemawire.toml")
    assert found["SCHEMAWIRE_DATABASE_URL"] == "default"


def test_a_copy_keeps_every_other_value_and_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing one value does not read the environment again."""
    monkeypatch.setenv("SCHEMAWIRE_PORT", "4000")
    settings = ServiceSettings()
    monkeypatch.setenv("SCHEMAWIRE_PORT", "5000")
    copy = settings.replace(admin_key="k" * 32)
    assert (copy.port, copy.admin_key) == (4000, "k" * 32)
    assert sources(copy)["SCHEMAWIRE_PORT"] == "environment"
    assert sources(copy)["SCHEMAWIRE_ADMIN_KEY"] == "argument"
    assert sources(copy)["SCHEMAWIRE_HOST"] == "default"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "eighty"),
        ("DATABASE_URL", "schemas.db"),
        ("DATABASE_URL", "sqlite:///"),
        ("OPERATION_CONCURRENCY", "0"),
        ("OPERATION_LEASE", "-1"),
        ("OPERATION_LEASE", "nan"),
        ("MAX_WAITING_WRITES", "1.5"),
    ],
)
def test_bad_values_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value out of range is refused with the variable and the value in the message."""
    monkeypatch.setenv(f"SCHEMAWIRE_{name}", value)
    with pytest.raises(ConfigurationInvalid, match=f"SCHEMAWIRE_{name}='{value}'"):
        ServiceSettings()


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to start the service once per mistake."""
    monkeypatch.setenv("SCHEMAWIRE_PORT", "x")
    monkeypatch.setenv("SCHEMAWIRE_OPERATION_LEASE", "x")
    with pytest.raises(ConfigurationInvalid, match=r"PORT.*OPERATION_LEASE"):
        ServiceSettings()


def test_an_unknown_argument_is_refused() -> None:
    """A misspelt argument would otherwise silently have no effect."""
    with pytest.raises(ConfigurationInvalid, match="prot is no setting"):
        ServiceSettings.load(prot=1)


@pytest.mark.parametrize("key", ["with space", "ключ", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    """The admin key must fit into an Authorization header, and never appears in a message."""
    with pytest.raises(ConfigurationInvalid, match="ADMIN_KEY") as caught:
        ServiceSettings(admin_key=key)
    assert key not in str(caught.value)


def test_secrets_are_never_shown() -> None:
    """Neither the admin key nor the password of a database appears where settings are explained."""
    settings = ServiceSettings(admin_key="s3cret" * 6, database_url="postgresql://me:passw0rd@db/schemas")
    shown = repr(settings.explain())
    assert "s3cret" not in shown + repr(settings)
    assert "passw0rd" not in shown + repr(settings)
    assert "postgresql://me:…@db/schemas" in shown


def test_unwise_settings_are_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guessable key, an open address and a misspelt variable are warnings with a fix."""
    monkeypatch.setenv("SCHEMAWIRE_DATABSE_URL", "sqlite:///x.db")
    found = {issue.name: issue for issue in ServiceSettings(admin_key="short", host="0.0.0.0").issues()}
    assert found.keys() == {"SCHEMAWIRE_ADMIN_KEY", "SCHEMAWIRE_HOST", "SCHEMAWIRE_DATABSE_URL (environment)"}
    assert "SCHEMAWIRE_DATABASE_URL" in found["SCHEMAWIRE_DATABSE_URL (environment)"].fix
