"""The client's settings: `BACKEND_*` from the environment, `.env`, `schemawire.toml`, a preset, or their default.

Turns them into the options of the transport and resilience rooms; knows no handler.
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, Self, cast
from urllib.parse import urlsplit

from pydantic import Field

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.settings.findings import ConfigurationIssue, ExplainedSetting
from schemawire.settings.keyfile import read_key
from schemawire.settings.layered import LayeredSettings
from schemawire.settings.sources import Layer, env_file_layer, environment_layer, merge, toml_layer
from schemawire.transport import PoolConfig, TimeoutConfig, TlsConfig
from schemawire.transport.discovery import checked_addresses

PREFIX = "BACKEND_"
CLIENT_NAME = "conversational-ai-engine"
DEFAULT = "default"
_SECRETS = frozenset({"backend_api_key"})
_BELONGS_TO = {"backend_environment": "preset", "backend_service_url": "key file"}
"""Which origin of values goes with the value of which setting."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_OPTIONS = {
    "backend_timeout_connect": "timeout.connect",
    "backend_timeout_read": "timeout.read",
    "backend_timeout_attempt": "timeout.attempt",
    "backend_timeout_total": "timeout.total",
    "backend_max_connections": "pool.max_connections",
    "backend_max_queue": "pool.max_queue",
    "backend_queue_timeout": "pool.queue_timeout",
    "backend_keepalive_expiry": "pool.keepalive_expiry",
    "backend_max_retries": "retry.max_retries",
    "backend_backoff_factor": "retry.backoff_factor",
    "backend_circuit_breaker_failure_threshold": "breaker.failure_threshold",
    "backend_circuit_breaker_recovery_timeout": "breaker.recovery_timeout",
}
"""Which option of a client each setting becomes."""

PRESETS: dict[str, dict[str, Any]] = {
    "development": {
        "backend_timeout_connect": 5.0,
        "backend_timeout_read": 30.0,
        "backend_max_connections": 20,
        "backend_max_retries": 2,
    },
    "test": {
        "backend_timeout_connect": 2.0,
        "backend_timeout_read": 10.0,
        "backend_timeout_total": 20.0,
        "backend_max_connections": 10,
        "backend_max_retries": 1,
    },
    "staging": {
        "backend_timeout_connect": 10.0,
        "backend_timeout_read": 45.0,
        "backend_max_connections": 50,
        "backend_max_retries": 3,
    },
    "production": {
        "backend_timeout_connect": 10.0,
        "backend_timeout_read": 60.0,
        "backend_timeout_total": 120.0,
        "backend_max_connections": 100,
        "backend_max_retries": 3,
    },
}
"""What each environment changes; a value from a stronger source wins over it."""


class ClientSettings(LayeredSettings):
    """Everything about the client that can be set from outside; the field names in capitals are the variables.

    Precedence: argument, environment, `.env`, the table `[backend]` of `schemawire.toml` (names without `backend_`),
    the preset of `BACKEND_ENVIRONMENT`, the key that `schemawire dev` keeps for this address, default.

    Raises:
        ConfigurationInvalid: values have the wrong type or are out of range; all of them are named.
    """

    backend_service_url: str = Field("http://localhost:8084", min_length=1, max_length=8192)
    """One base URL, or several separated by commas."""
    backend_api_key: str = Field("", repr=False, max_length=8192)
    backend_environment: str = Field("", max_length=64)
    """Chooses the preset, and is sent as `X-Environment`; empty: neither."""
    backend_timeout_connect: float = Field(10.0, gt=0, le=86_400)
    backend_timeout_read: float = Field(30.0, gt=0, le=86_400)
    backend_timeout_attempt: float | None = Field(None, gt=0, le=86_400)
    backend_timeout_total: float = Field(60.0, gt=0, le=86_400)
    backend_max_connections: int = Field(100, ge=1, le=100_000)
    backend_max_queue: int = Field(10_000, ge=0, le=1_000_000)
    backend_queue_timeout: float = Field(30.0, ge=0, le=86_400)
    backend_keepalive_expiry: float = Field(30.0, ge=0, le=86_400)
    backend_max_retries: int = Field(3, ge=0, le=100)
    backend_backoff_factor: float = Field(2.0, ge=0, le=10)
    backend_circuit_breaker_failure_threshold: int = Field(5, ge=1, le=10_000)
    backend_circuit_breaker_recovery_timeout: float = Field(30.0, gt=0, le=300)
    backend_wire: str = Field("aiohttp", max_length=64)
    backend_tls_verify: bool = True
    backend_tls_ca_file: str | None = None
    backend_tls_certificate_file: str | None = None
    backend_tls_key_file: str | None = None

    @classmethod
    def _layers(cls, given: Layer, fields: frozenset[str]) -> list[Layer]:
        layers = [
            given,
            environment_layer(PREFIX, fields),
            env_file_layer(PREFIX, fields),
            toml_layer("backend", fields),
        ]
        layers.append(_preset_layer(merge(layers).values))
        layers.append(_key_layer(merge(layers).values))
        return layers

    @classmethod
    def _given(cls, name: str, value: object) -> str:
        return "the given value" if name in _SECRETS else repr(value)

    def replace(self, **arguments: Any) -> Self:
        """Return a copy with `arguments` put over it, checked like the settings themselves.

        Raises:
            ConfigurationInvalid: a value has the wrong type or is out of range.
        """
        # A preset belongs to its environment, and a kept key to its address: neither may follow the settings elsewhere.
        stale = tuple(label for name, label in _BELONGS_TO.items() if name in arguments)
        labels = {
            name: label
            for name, label in self.origins.items()
            if name not in arguments and not (stale and label.startswith(stale))
        }
        fixed = {name: getattr(self, name) for name in labels}
        return type(self)(**{**fixed, **arguments, "origins": labels})

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The base URLs, or the one address of a discovery. Raises `ConfigurationInvalid` where one is malformed."""
        return checked_addresses(self.backend_service_url)

    def timeout_config(self) -> TimeoutConfig:
        """Return the time limits."""
        return TimeoutConfig(
            connect=self.backend_timeout_connect,
            read=self.backend_timeout_read,
            attempt=self.backend_timeout_attempt,
            total=self.backend_timeout_total,
        )

    def pool_config(self) -> PoolConfig:
        """Return the limits of the pool and its queue."""
        return PoolConfig(
            max_connections=self.backend_max_connections,
            max_queue=self.backend_max_queue,
            queue_timeout=self.backend_queue_timeout,
            keepalive_expiry=self.backend_keepalive_expiry,
        )

    def retry_config(self) -> RetryConfig:
        """Return the options of retries."""
        return RetryConfig(max_retries=self.backend_max_retries, backoff_factor=self.backend_backoff_factor)

    def circuit_breaker_config(self) -> CircuitBreakerConfig:
        """Return the options of the circuit breaker."""
        return CircuitBreakerConfig(
            failure_threshold=self.backend_circuit_breaker_failure_threshold,
            recovery_timeout=self.backend_circuit_breaker_recovery_timeout,
        )

    def tls_config(self) -> TlsConfig:
        """Return whom to trust on `https`, and who we are."""
        return TlsConfig(
            verify=self.backend_tls_verify,
            ca_file=self.backend_tls_ca_file,
            certificate_file=self.backend_tls_certificate_file,
            key_file=self.backend_tls_key_file,
        )

    def client_origins(self, *, given: Collection[str] = ()) -> dict[str, str]:
        """Return where the options of a client came from, by `policy.option`, for `Client(origins=…)`.

        Args:
            given: policies whose options were not taken from here.
        """
        return {
            option: f"{name.upper()} from {self.origins[name]}"
            for name, option in _OPTIONS.items()
            if name in self.origins and option.partition(".")[0] not in given
        }

    def headers(self) -> dict[str, str]:
        """Return the headers of every request: the key, the environment and the client's name."""
        found = {"X-Client": CLIENT_NAME}
        if self.backend_environment:
            found["X-Environment"] = self.backend_environment
        if self.backend_api_key:
            found["Authorization"] = f"Bearer {self.backend_api_key}"
        return found

    def explain(self) -> list[ExplainedSetting]:
        """Return every setting with its value and where it came from, secrets hidden."""
        names = [name for name in type(self).model_fields if name.startswith(PREFIX.lower())]
        return [
            ExplainedSetting(name=name.upper(), value=self._shown(name), source=self.origins.get(name, DEFAULT))
            for name in names
        ]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in _SECRETS:
            return "set (hidden)" if value else "not set"
        return "not set" if value in (None, "") else str(value)

    def issues(self) -> list[ConfigurationIssue]:
        """Return what is wrong or unwise about the settings taken together; empty when all is well."""
        return [*_address_issues(self), *_environment_issues(self), *_time_issues(self), *_name_issues(self)]


def get_preset(environment: str) -> dict[str, dict[str, Any]]:
    """Return the preset of `environment` in the form that older code knows: `timeout`, `limits`, `retry_config`.

    Raises:
        ConfigurationInvalid: there is no such environment.
    """
    preset = PRESETS.get(environment)
    if preset is None:
        raise ConfigurationInvalid(f"there is no environment {environment!r}", fix=f"Use one of {', '.join(PRESETS)}.")
    return {
        "timeout": {"read": preset["backend_timeout_read"], "connect": preset["backend_timeout_connect"]},
        "limits": {"max_connections": preset["backend_max_connections"]},
        "retry_config": {"max_retries": preset["backend_max_retries"]},
    }


def _preset_layer(values: dict[str, Any]) -> Layer:
    environment = str(values.get("backend_environment", ""))
    return Layer(label=f"preset {environment}", values=PRESETS.get(environment, {}))


def _key_layer(values: dict[str, Any]) -> Layer:
    url = str(values.get("backend_service_url", ClientSettings.model_fields["backend_service_url"].default))
    found = None if "backend_api_key" in values else read_key(url)
    if found is None:
        return Layer(label="key file")
    key, path = found
    return Layer(label=f"key file {path}", values={"backend_api_key": key})


def _issue(level: str, name: str, message: str, fix: str) -> ConfigurationIssue:
    return ConfigurationIssue(level=level, name=name.upper(), message=message, fix=fix)


def _address_issues(settings: ClientSettings) -> list[ConfigurationIssue]:
    name = "backend_service_url"
    try:
        addresses = settings.endpoints
    except ConfigurationInvalid as error:
        return [_issue("error", name, f"{error.message}.", error.fix)]
    risky = [address for address in addresses if settings.backend_api_key and not _is_private(address)]
    return [
        _issue("warning", name, f"The API key travels unencrypted to {address}.", "Use https.") for address in risky
    ]


def _is_private(address: str) -> bool:
    parts = urlsplit(address)
    # The schemes of a registry speak of the way to it; those of the DNS speak of the endpoints.
    scheme = parts.scheme.removeprefix("dns+").removeprefix("srv+")
    return scheme != "http" or parts.hostname in _LOOPBACK


def _environment_issues(settings: ClientSettings) -> list[ConfigurationIssue]:
    environment = settings.backend_environment
    found = []
    if environment and environment not in PRESETS:
        near = get_close_matches(environment, PRESETS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(PRESETS)}."
        found.append(_issue("error", "backend_environment", f"{environment!r} is no known environment.", hint))
    if environment == "production" and not settings.backend_api_key:
        found.append(_issue("error", "backend_api_key", "No key is set in production.", "Set BACKEND_API_KEY."))
    if environment == "production" and not settings.backend_tls_verify:
        message = "Certificates are not checked in production."
        found.append(_issue("error", "backend_tls_verify", message, "Name the authority in BACKEND_TLS_CA_FILE."))
    return found


def _time_issues(settings: ClientSettings) -> list[ConfigurationIssue]:
    total = settings.backend_timeout_total
    limits = {"connect": "warning", "read": "warning", "attempt": "error"}
    found = []
    for kind, level in limits.items():
        value = cast(float | None, getattr(settings, f"backend_timeout_{kind}"))
        if value is not None and value > total:
            message = f"{value:g} s is longer than the {total:g} s of the whole call, so it can never take effect."
            found.append(_issue(level, f"backend_timeout_{kind}", message, "Lower it, or raise BACKEND_TIMEOUT_TOTAL."))
    return found


def _name_issues(settings: ClientSettings) -> list[ConfigurationIssue]:
    known = [name.upper() for name in type(settings).model_fields]
    found = []
    for unknown in settings.unknown:
        near = get_close_matches(unknown.split(" ")[0].upper().replace(".", "_"), known, n=1)
        fix = f"Did you mean {near[0]}?" if near else "Remove it."
        message = "There is no such setting, so it has no effect."
        found.append(ConfigurationIssue(level="warning", name=unknown, message=message, fix=fix))
    return found
