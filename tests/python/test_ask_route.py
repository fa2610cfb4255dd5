"""`examples/ask_route.py`: a proxy that asks the gateway. Sessions stay, and a release drains and ends through it."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import haddock
from cli_site import ROOT, Running, clean_environment, until

EXAMPLE = ROOT / "examples/ask_route.py"

COMPOSE = """
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"] }
x-haddock:
  ready: /health
  session: { idle: 3s, ignore: [/health] %s }
  release: { ramp: [100%%], every: 1s, settle: 1s }
"""
SERVER = """
import http.server, itertools, os, sys
numbers = itertools.count(1)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        cookie = self.headers.get("Cookie") or ""
        self.send_response(200)
        if sys.argv[2:] and "APP=" not in cookie and self.path != "/health":
            self.send_header("Set-Cookie", f"APP={sys.argv[1]}{next(numbers)}; Path=/")
        text = f"{sys.argv[1]} {cookie}".encode()
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 60


@dataclass
class Asked:
    """A service whose clients come through the example."""

    h: haddock.Controller
    gateway: haddock.Gateway
    file: Path
    port: int
    application: bool

    def versions(self) -> set[int]:
        """The versions that have instances."""
        return {instance.version for instance in self.h.status("shop").instances}

    def get(self, cookie: str | None = None) -> tuple[str, str | None]:
        """The version that answers, and the client's cookie."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", "/cart", headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, text
            given = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or []]
            version, _, seen = text.partition(" ")
            if self.application and cookie:
                assert seen.startswith("APP=v"), "the instance sees its own value"
            else:
                assert seen == "", "the instance does not see the gateway's cookie"
            return version, "; ".join(given) or cookie


@pytest.fixture(params=["", ", cookie: APP"], ids=["gateway's cookie", "application's cookie"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    (tmp_path / "server.py").write_text(SERVER)
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE % request.param)
    words = [sys.executable, str(tmp_path / "server.py")]
    own = ["own"] if request.param else []
    haddock.Process(
        tmp_path / "state" / "process", images={"shop:v1": [*words, "v1", *own], "shop:v2": [*words, "v2", *own]}
    )
    with haddock.Gateway(state=tmp_path / "gateway", listen="127.0.0.1:0") as gateway:
        admin = f"http://{gateway.admin_address}"
        with haddock.connect(state=tmp_path / "state", gateway=admin, runtime="process", by="ann") as h:
            h.release(file, tag="v1").wait()
            proxy = Running([sys.executable, str(EXAMPLE), "shop", "0"], tmp_path, clean_environment(HADDOCK_GATEWAY=admin))
            try:
                port = int(proxy.says("clients connect to").rpartition(":")[2])
                yield Asked(h, gateway, file, port, bool(request.param))
            finally:
                proxy.close()


def test_sessions_stay_and_a_release_drains_and_ends(asked: Asked) -> None:
    version, cookie = asked.get()
    assert version == "v1" and cookie
    release = asked.h.release(asked.file, tag="v2")
    release.wait("settled")
    assert asked.get()[0] == "v2", "a new session"
    for _ in range(5):
        assert asked.get(cookie)[0] == "v1", "a session that was there"
    # The old version waits for its last session, and ends with it.
    assert asked.versions() == {1, 2}
    release.wait("gone")
    assert asked.versions() == {2}
    until("a session that has expired begins anew", lambda: asked.get(cookie)[0] == "v2")
