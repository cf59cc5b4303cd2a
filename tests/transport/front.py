"""nginx and haproxy from the system's packages, as proxies in front of the services of a test."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.transport.discovery.programs import program, running
from tests.transport.servers import free_port

_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_shutdown_timeout 5s;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream back {{ {upstream} }}
  server {{
    listen 127.0.0.1:{port};
    {options}
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""

_HAPROXY = """
global
  maxconn 500
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server {server_timeout}
  timeout queue 1s
  option redispatch
  retries 1
listen front
  bind 127.0.0.1:{port}
  balance roundrobin
  {options}
{servers}
"""


class Nginx:
    """nginx in front of some services; `options` are directives of its server, `upstream` those of its upstream."""

    def __init__(self, folder: Path, backends: Sequence[str], *, options: str = "", upstream: str = "") -> None:
        self._program = program("nginx", "nginx")
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = options
        self._upstream = upstream
        self._write(backends)
        self._process: int | None = None

    def _write(self, backends: Sequence[str]) -> None:
        servers = " ".join(f"server {_place(url)} max_fails=0;" for url in backends)
        text = _NGINX.format(
            user="user root;" if _is_root() else "",
            folder=self._folder,
            port=self.port,
            upstream=f"{servers} {self._upstream}",
            options=self._options,
        )
        (self._folder / "nginx.conf").write_text(text)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        command = [self._program, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        async with running(command, self.port) as process:
            self._process = process.pid
            try:
                yield
            finally:
                # Killed outright, the master would leave its worker behind.
                process.send_signal(signal.SIGTERM)
                await process.wait()

    def reload(self, backends: Sequence[str]) -> None:
        """Take up other services: nginx starts new workers and lets the old ones finish what they have."""
        assert self._process is not None
        self._write(backends)
        os.kill(self._process, signal.SIGHUP)


class Haproxy:
    """haproxy in front of some services, whose health it checks ten times a second."""

    def __init__(self, folder: Path, backends: Sequence[str], *, options: str = "", server_timeout: str = "5s") -> None:
        self._program = program("haproxy", "haproxy")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        servers = "\n".join(
            f"  server s{index} {_place(url)} check inter 100ms fall 1 rise 1" for index, url in enumerate(backends)
        )
        self._config = folder / "haproxy.cfg"
        self._config.write_text(
            _HAPROXY.format(port=self.port, options=options, server_timeout=server_timeout, servers=servers)
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with running([self._program, "-db", "-q", "-f", str(self._config)], self.port):
            yield


def _place(url: str) -> str:
    return url.removeprefix("http://")


def _is_root() -> bool:
    return os.geteuid() == 0
