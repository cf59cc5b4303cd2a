"""Real time-series stores as child processes on free loopback ports, their data kept over restarts."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped, which fails in CI."""
    found = shutil.which(name)
    if found is None:
        package = "prometheus" if name == "promtool" else name
        pytest.skip(f"needs {name} (Debian package {package})")
    return found


class Store:
    """One store that can be stopped and started again."""

    def __init__(self, command: list[str], port: int, *, ready: str = "/-/ready") -> None:
        self._command = command
        self._ready = ready
        self.program = command[0]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}"
        self._port = port

    def start(self) -> None:
        """Start it and wait until its port answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                self.get(self._ready)
                return
            except OSError:
                assert self._process.poll() is None, f"{self._command[0]} ended with {self._process.returncode}"
                time.sleep(0.02)
        raise AssertionError(f"{self._command[0]} does not answer")

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    def get(self, path: str) -> bytes:
        """Return the body of a reply."""
        with urlopen(self.url + path, timeout=5) as reply:
            body: bytes = reply.read()
        return body

    def value(self, promql: str, at: float) -> float:
        """Return the sum of what an instant query finds, 0 if it finds nothing."""
        answer = json.loads(self.get(f"/api/v1/query?{urlencode({'query': promql, 'time': at})}"))
        return sum(float(each["value"][1]) for each in answer["data"]["result"])


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def victoria_metrics(folder: Path) -> Store:
    """Return a VictoriaMetrics that is not started yet."""
    port = free_port()
    options = [f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s"]
    return Store(
        [program("victoria-metrics"), *options, "-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=200MB"], port
    )


def prometheus(folder: Path) -> Store:
    """Return a Prometheus that is not started yet."""
    port = free_port()
    folder.mkdir()
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    options += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]
    return Store([program("prometheus"), *options], port)


def influx(folder: Path) -> Store:
    """Return an InfluxDB 1 that is not started yet; its databases are made with `POST /query`."""
    port, other = free_port(), free_port()
    folder.mkdir()
    (folder / "influxdb.conf").write_text(
        f"""reporting-disabled = true
bind-address = "127.0.0.1:{other}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
"""
    )
    return Store([program("influxd"), "run", "-config", str(folder / "influxdb.conf")], port, ready="/ping")


def influx_says(store: Store, statement: str, database: str = "") -> list[dict[str, Any]]:
    """Run a statement of InfluxQL and return its series."""
    body = urlencode({"q": statement, "db": database, "epoch": "ms"}).encode()
    with urlopen(Request(f"{store.url}/query", data=body), timeout=5) as reply:
        [result] = json.load(reply)["results"]
    found: list[dict[str, Any]] = result.get("series", [])
    return found


@contextmanager
def running(store: Store) -> Iterator[Store]:
    """Run a store for a while."""
    store.start()
    try:
        yield store
    finally:
        store.stop()
