"""What aiohttp's errors mean to us; knows no request."""

import aiohttp
from aiohttp.http import HttpProcessingError

from schemawire.errors import AttemptTimeout, BadReply, ConnectFailed, ConnectionLost, SchemawireError

TRANSLATED = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError)
"""What aiohttp raises when a request fails; everything else is a mistake in our own code or in the caller's."""


def translated(error: BaseException, url: str) -> SchemawireError:
    """Return our error for one of aiohttp's; only those raised before a connection existed count as unsent."""
    cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ConnectFailed(f"No connection to {url} in time ({cause})")
        case aiohttp.ClientConnectorError() | aiohttp.ServerFingerprintMismatch() | aiohttp.ClientHttpProxyError():
            return ConnectFailed(f"No connection to {url} ({cause})")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ConnectFailed(f"{url} is not an address that this wire can reach ({cause})")
        case TimeoutError():
            return AttemptTimeout(f"{url} was silent for longer than the read timeout ({cause})")
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return BadReply(f"{url} did not answer in HTTP ({cause})")
        case _:
            return ConnectionLost(f"The connection to {url} broke before the reply was complete ({cause})")
