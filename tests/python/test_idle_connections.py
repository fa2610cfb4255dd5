"""Ten thousand connections that are kept open and idle, in a gateway of its own."""

from __future__ import annotations

import http.server
import json
import os
import resource
import socket
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli_site import HADDOCK, Running, clean_environment, free_port

CONNECTIONS = 9_990
"""As many as a gateway takes by default, but for a few."""
MOST_MIB = 200


class Instance(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet.
    wbufsize = 4096

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def instance() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Instance)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def resident_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\nhi"):
        part = connection.recv(4096)
        assert part, answer
        answer += part
    return answer


def test_ten_thousand_idle_connections_take_little_memory(instance: int, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 200:
        what = f"this machine allows a process {hard} files only"
        warnings.warn(f"SKIPPED: {what}", stacklevel=1)
        pytest.skip(what)
    port, admin = free_port(), free_port()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options = ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", "--state", str(tmp_path)]
    gateway = Running([str(HADDOCK), "serve", "gateway", *options], tmp_path, clean_environment())
    try:
        gateway.says("gateway: clients at")
        table = {
            "service": "shop",
            "number": {"epoch": 1, "revision": 1},
            "session": {"idle": 1_800_000},
            "routes": {"shop-1": {"address": f"127.0.0.1:{instance}", "share": 10_000}},
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/v1/services/shop/apply",
            json.dumps(table).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=20).close()
        with ExitStack() as open_connections:
            connections: list[socket.socket] = []
            before = resident_mib(gateway.process.pid)
            for _ in range(CONNECTIONS):
                connection = socket.create_connection(("127.0.0.1", port), 60)
                connections.append(open_connections.enter_context(connection))
                assert ask(connection).startswith(b"HTTP/1.1 200")
            used = resident_mib(gateway.process.pid) - before
            assert len(os.listdir(f"/proc/{gateway.process.pid}/fd")) >= CONNECTIONS
            assert used <= MOST_MIB, f"{CONNECTIONS} connections: {used:.0f} MiB"
            # All of them are still good.
            assert all(ask(connection).startswith(b"HTTP/1.1 200") for connection in connections[::100])
    finally:
        gateway.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
