"""The service's own TLS: its certificate, whom it asks for one, and the oldest version that it speaks."""

import ssl

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.service import ServiceSettings

_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tls_context(settings: ServiceSettings) -> ssl.SSLContext | None:
    """Return how connections are encrypted, or `None` where the settings name no certificate.

    Raises:
        ConfigurationInvalid: a file is missing or is not what it should be, or the two halves do not belong together.
    """
    if not settings.tls_certificate and not settings.tls_key:
        if settings.tls_client_ca:
            raise _wrong("SCHEMAWIRE_TLS_CLIENT_CA is set without a certificate of the service")
        return None
    if not (settings.tls_certificate and settings.tls_key):
        raise _wrong("only one of SCHEMAWIRE_TLS_CERTIFICATE and SCHEMAWIRE_TLS_KEY is set")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MINIMUM[settings.tls_minimum]
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=_no_password)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise _wrong(f"the TLS files cannot be used: {error.strerror or error}") from error
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal for the password of an encrypted key, and wait.
    raise _wrong("the private key is encrypted")


def _wrong(reason: str) -> ConfigurationInvalid:
    fix = "Name readable PEM files that belong together, the key without a password."
    return ConfigurationInvalid(reason, fix=fix)
