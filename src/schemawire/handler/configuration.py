"""Settings turned into the handler's client, and judged; the only place that decides which value wins."""

from schemawire.events import Listener
from schemawire.protocol.headers import STORE_ID
from schemawire.protocol.paths import HEALTH_LIVE
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.settings.client import ClientSettings
from schemawire.transport import Client, OneStoreConfig, PoolConfig, TimeoutConfig, Wire


def resolve_settings(
    settings: ClientSettings | None, *, base_url: str | None, api_key: str | None, environment: str | None
) -> ClientSettings:
    """Return the settings with the arguments that were given put over them.

    Raises:
        ConfigurationInvalid: a value has the wrong type or is out of range.
    """
    given = {"backend_service_url": base_url, "backend_api_key": api_key, "backend_environment": environment}
    arguments = {name: value for name, value in given.items() if value is not None}
    if settings is None:
        return ClientSettings.load(**arguments)
    return settings.replace(**arguments) if arguments else settings


def build_client(
    settings: ClientSettings,
    *,
    retry: RetryConfig | None,
    breaker: CircuitBreakerConfig | None,
    timeout: TimeoutConfig | None,
    pool: PoolConfig | None,
    wire: str | Wire | None,
    listener: Listener | None,
) -> Client:
    """Return a client as the settings say, options that are given winning over them.

    Raises:
        ConfigurationInvalid: the options contradict each other.
    """
    options = {"retry": retry, "breaker": breaker, "timeout": timeout, "pool": pool}
    given = {name for name, value in options.items() if value is not None}
    return Client(
        settings.endpoints,
        timeout=timeout or settings.timeout_config(),
        pool=pool or settings.pool_config(),
        retry=retry or settings.retry_config(),
        breaker=breaker or settings.circuit_breaker_config(),
        headers=settings.headers(),
        wire=wire or settings.backend_wire,
        tls=settings.tls_config(),
        listener=listener,
        one_store=OneStoreConfig(header=STORE_ID, path=HEALTH_LIVE),
        name="handler",
        origins=settings.client_origins(given=given),
    )


def configuration_issues(settings: ClientSettings) -> tuple[list[str], list[str]]:
    """Return what must be corrected in the settings, and what is merely unwise."""
    found = settings.issues()
    errors = [str(issue) for issue in found if issue.level == "error"]
    return errors, [str(issue) for issue in found if issue.level != "error"]
