"""What a command needs beyond the base install, and the words that say so; imports none of it."""

from importlib.util import find_spec

from schemawire.errors import ConfigurationInvalid

SERVER_PACKAGES = frozenset({"fastapi", "uvicorn", "sqlalchemy", "alembic", "starlette"})


def require_server() -> None:
    """Check that the server extra is installed, without loading it.

    Raises:
        ConfigurationInvalid: it is not.
    """
    for name in sorted(SERVER_PACKAGES):
        if find_spec(name) is None:
            raise server_missing(name)


def server_missing(package: str) -> ConfigurationInvalid:
    """Return the error that says what to install."""
    return ConfigurationInvalid(
        f"This command needs the server part of schemawire; {package!r} is not installed.",
        fix='Run: pip install "schemawire[server]"',
    )
