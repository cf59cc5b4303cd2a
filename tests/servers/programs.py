"""What the servers of a test run have in common: the account they run as, and a port that answers."""

import os
import pwd
import socket
from pathlib import Path


def as_account(name: str, folder: Path) -> list[str]:
    """Return what a command begins with to run as an account, whose the folder then is; nothing if we are not root."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam(name)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return ["runuser", "-u", name, "--"]


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
