"""The key that `schemawire dev` leaves for programs of the same user on the same machine; knows no handler."""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST = 4096


def config_folder() -> Path:
    """Return the user's configuration folder for schemawire; it need not exist.

    *Source:* XDG Base Directory Specification.
    """
    root = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".config") / "schemawire"


def key_file(host: str, port: int) -> Path:
    """Return where the key for exactly this host and port lies; the names of the loopback are one host."""
    name = "localhost" if host in _LOOPBACK else host.replace(":", "_")
    return config_folder() / "keys" / f"{name}-{port}.json"


def write_key(host: str, port: int, key: str) -> Path:
    """Keep `key` for programs of this user that talk to `host` and `port`, readable by the owner alone.

    Returns:
        The file.

    Raises:
        OSError: the folder or file cannot be written.
    """
    path = key_file(host, port)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    # Created with its final permissions: a file made readable first could be opened in between.
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"key": key}, file)
    fresh.replace(path)
    return path


def remove_key(host: str, port: int) -> None:
    """Forget the key for `host` and `port`, if there is one."""
    with suppress(FileNotFoundError):
        key_file(host, port).unlink()


def read_key(url: str) -> tuple[str, Path] | None:
    """Return the key kept for the host and port of `url` and its file, or `None` without a trustworthy one.

    A file that belongs to somebody else, is a link, or can be read by others is passed over.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        return None
    path = key_file(parts.hostname, port)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, encoding="utf-8") as file:
            if not _is_ours_alone(os.fstat(file.fileno())):
                return None
            key = json.loads(file.read(_LARGEST))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (key, path) if isinstance(key, str) and key else None


def _is_ours_alone(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
