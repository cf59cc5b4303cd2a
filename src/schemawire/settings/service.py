"""The service's settings: `SCHEMAWIRE_*` from the environment, `.env`, `schemawire.toml`, or their default.

Plain values; knows nothing of the service that is made from them.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from schemawire.settings.findings import ConfigurationIssue, ExplainedSetting
from schemawire.settings.language_model import PREFIX, TABLE, LanguageModelFields
from schemawire.settings.layered import OURS

DEFAULT = "default"
SHORTEST_KEY = 16
"""Characters below which an admin key can be guessed."""

CompatibilityMode = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]  # fmt: skip
_SECRETS = frozenset({"admin_key", "webhook_secrets", "llm_api_key"})
_ADDRESSES = frozenset({"broker_url", "database_url", "metrics_store", "otlp_endpoint"})
"""Values that may hold a password."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def data_folder() -> Path:
    """Return the user's data folder for schemawire; it need not exist.

    *Source:* XDG Base Directory Specification: a relative XDG_DATA_HOME is to be ignored.
    """
    root = os.environ.get("XDG_DATA_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".local" / "share") / "schemawire"


def default_database_url() -> str:
    """Return the address of the SQLite file in the user's data folder."""
    return f"sqlite:///{data_folder() / 'schemas.db'}"


class ServiceSettings(LanguageModelFields):
    """Everything about the service that can be set from outside: the field `port` is the variable SCHEMAWIRE_PORT.

    Precedence: argument, environment, `.env`, the table `[service]` of `schemawire.toml`, default.

    Raises:
        ConfigurationInvalid: values have the wrong type or are out of range; all of them are named.
    """

    database_url: str = Field(default_factory=default_database_url, repr=False, min_length=1, max_length=8192)
    """`sqlite:///PATH`, where a fourth slash starts an absolute path, or `postgresql://USER:PASSWORD@HOST/DATABASE`."""
    host: str = Field("127.0.0.1", min_length=1, max_length=255)
    port: int = Field(8084, ge=0, le=65_535)
    """0 for any free port."""
    admin_key: str | None = Field(None, repr=False, max_length=8192)
    """An admin key that is valid from the start."""
    database_readers: int = Field(4, ge=1, le=64)
    """Reads of a SQLite file at once."""
    database_connections: int = Field(10, ge=2, le=200)
    """Connections of this process to PostgreSQL; half of them read, half write."""
    database_timeout: float = Field(30.0, ge=0.1, le=3_600)
    """Seconds that a statement may take on PostgreSQL."""
    max_waiting_writes: int = Field(1_000, ge=1, le=1_000_000)
    """Writes that wait for the database; further ones are refused at once."""
    operation_concurrency: int = Field(4, ge=1, le=1_000)
    """Asynchronous operations carried out at once."""
    operation_lease: float = Field(30.0, gt=0, le=86_400)
    """Seconds of silence after which another worker takes an operation over."""
    operation_poll_interval: float | None = Field(None, gt=0, le=3_600)
    """Seconds between two looks for operations at most; 1, or 5 beside a broker, if not given."""
    run_operations: bool = True
    """Whether the service carries operations out itself, and does not leave them to `schemawire worker`."""
    broker_url: str = Field("", repr=False, max_length=8192)
    """The broker that announces operations: nats://, amqp:// or redis://; empty: the database alone."""
    intake_queue: str = Field("", max_length=200, pattern=r"^[A-Za-z0-9._-]*$")
    """The broker's queue from which other systems' operations are taken in; empty: none is."""
    webhook_secrets: str = Field("", repr=False, max_length=8192)
    """What webhooks are signed with, with commas: whsec_ and 24 to 64 random bytes in base64; the newest first."""
    webhook_hosts: str = Field("", max_length=8192)
    """Where webhooks may go, with commas: hooks.example.org, *.example.org, http://127.0.0.1:9000; empty: nowhere."""
    webhook_private: bool = False
    """Whether webhooks may go to loopback and private addresses."""
    compatibility: CompatibilityMode = "NONE"
    """What the next version of a project may break, where the project has not chosen by itself."""
    rate_limit: float = Field(0.0, ge=0, le=1_000_000)
    """Requests per second that one key may send in the long run; 0 sets no limit."""
    rate_burst: int = Field(100, ge=1, le=1_000_000)
    """Requests that one key may send at once after a pause."""
    max_concurrency: int = Field(256, ge=0, le=1_000_000)
    """Requests worked on at once; further ones wait by priority. 0 sets no limit."""
    max_queue_delay: float = Field(1.0, gt=0, le=60)
    """Seconds that a request waits for its turn before it is refused with 503 and Retry-After."""
    audit_retention: float = Field(365 * 86_400.0, gt=0, le=100 * 366 * 86_400.0)
    """Seconds for which a line of the audit log is kept."""
    cors_origins: str = Field("", max_length=8192)
    """Origins whose web pages may call, separated by commas; empty: none."""
    tls_certificate: str = Field("", max_length=4096)
    """The file of the certificate chain (PEM); with it the service speaks HTTPS alone."""
    tls_key: str = Field("", max_length=4096)
    """The file of its private key (PEM)."""
    tls_client_ca: str = Field("", max_length=4096)
    """The file of the authorities (PEM) whose client certificates are asked for; empty: none is."""
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    metrics_store: str = Field("auto", repr=False, max_length=8192)
    """Where figures are kept over time: `auto` (a file beside a SQLite database, else in the user's data folder),
    `off`, `sqlite:///PATH`, `prometheus+http://…`, `victoriametrics+http://…` or `influx+http://HOST/DATABASE`."""
    metrics_interval: float = Field(1.0, ge=0.1, le=3600)
    """Seconds between two readings of all figures."""
    metrics_retention: float = Field(400 * 86_400.0, ge=3600, le=100 * 366 * 86_400.0)
    """Seconds for which a file keeps hourly points; outside stores have their own."""
    metrics_max_bytes: int = Field(128 << 20, ge=1 << 20, le=1 << 40)
    """The size of that file, or of what waits on disk for an outside store."""
    metrics_availability_target: float = Field(0.999, gt=0, lt=1)
    """The share of requests that should end without a 5xx."""
    metrics_latency_target: float = Field(0.99, gt=0, lt=1)
    """The share of requests that should be quick."""
    metrics_latency_threshold: float = Field(0.5, gt=0, le=3600)
    """Seconds above which a request is slow."""
    otlp_endpoint: str = Field("", repr=False, max_length=8192)
    """The base URL of an OpenTelemetry collector that gets a span of each request; empty: none is made."""
    otlp_metrics: bool = False
    """Whether the collector gets the figures of requests too."""
    otlp_sample_ratio: float = Field(1.0, ge=0, le=1)
    """The share of the traces begun here that is recorded; a caller's own decision wins."""

    @classmethod
    def _given(cls, name: str, value: object) -> str:
        return "the given value" if name in _SECRETS else repr(_without_password(str(value)))

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not scheme or not rest.strip("/"):
            raise ValueError("not the address of a database: write sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        return value

    @field_validator("admin_key")
    @classmethod
    def _check_admin_key(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError("a key that no HTTP header can carry: use printable ASCII without spaces")
        return value

    def replace(self, **arguments: Any) -> Self:
        """Return a copy with `arguments` put over it, checked like the settings themselves.

        Raises:
            ConfigurationInvalid: a value has the wrong type or is out of range.
        """
        fixed = {name: getattr(self, name) for name in type(self).model_fields if name not in {*arguments, *OURS}}
        origins = {name: self.origins.get(name, DEFAULT) for name in fixed}
        return type(self)(**{**fixed, **arguments, "origins": origins})

    def explain(self) -> list[ExplainedSetting]:
        """Return every setting with its value and where it came from, secrets hidden."""
        return [
            ExplainedSetting(name=_variable(name), value=self._shown(name), source=self.origins.get(name, DEFAULT))
            for name in type(self).model_fields
            if name not in OURS
        ]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in _SECRETS:
            return "set (hidden)" if value else "not set"
        return _without_password(str(value)) if name in _ADDRESSES else str(value)

    def issues(self) -> list[ConfigurationIssue]:
        """Return what is wrong or unwise about the settings taken together; empty when all is well."""
        found = []
        if self.admin_key is not None and len(self.admin_key) < SHORTEST_KEY:
            message = f"The admin key has fewer than {SHORTEST_KEY} characters and can be guessed."
            found.append(_issue("admin_key", message, "Use 32 random ones."))
        if bool(self.tls_certificate) != bool(self.tls_key):
            message = "A certificate and its private key belong together; only one of the two is set."
            found.append(_issue("tls_key", message, "Set SCHEMAWIRE_TLS_CERTIFICATE and SCHEMAWIRE_TLS_KEY."))
        if self.host not in _LOOPBACK and not self.tls_certificate:
            message = f"The service listens on {self.host} without TLS, so keys travel unencrypted."
            found.append(
                _issue(
                    "host",
                    message,
                    "Set SCHEMAWIRE_TLS_CERTIFICATE and _KEY, or put a proxy that speaks TLS in front of it.",
                )
            )
        return found + [_name_issue(unknown) for unknown in self.unknown]


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return url if not at or ":" not in credentials else f"{scheme}{separator}{credentials.split(':')[0]}:…@{place}"


def _issue(name: str, message: str, fix: str) -> ConfigurationIssue:
    return ConfigurationIssue(level="warning", name=_variable(name), message=message, fix=fix)


def _name_issue(unknown: str) -> ConfigurationIssue:
    known = [_variable(name) for name in ServiceSettings.model_fields if name not in OURS]
    plain = unknown.split(" ")[0].upper().replace(".", "_").replace(f"{TABLE.upper()}_", PREFIX)
    near = get_close_matches(plain, known, n=1)
    fix = f"Did you mean {near[0]}?" if near else "Remove it."
    message = "There is no such setting, so it has no effect."
    return ConfigurationIssue(level="warning", name=unknown, message=message, fix=fix)
