"""An application says how many sessions it has, and its drain waits for that: real processes behind a real gateway."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import haddock
from cli_site import until

COMPOSE = """
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"] }
x-haddock:
  ready: /health
  session: { idle: 1s, ignore: [/health], count: { http: /sessions, pointer: /active, every: 100ms } }
  release: { ramp: [100%], settle: 0s }
"""
SERVER = """
import http.server, os, pathlib, sys
said = pathlib.Path(sys.argv[1])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = said.read_text().split(" ", 1) if self.path == "/sessions" else ("200", "")
        self.send_response(int(status))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def test_an_instance_goes_when_gateway_and_application_say_so(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    said = tmp_path / "said"
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)

    def say(body: object, status: int = 200) -> None:
        written = tmp_path / "being-written"
        written.write_text(f"{status} {body if isinstance(body, str) else json.dumps(body)}")
        written.replace(said)

    say({"active": 2})
    server = [sys.executable, str(tmp_path / "server.py"), str(said)]
    haddock.Process(tmp_path / "state" / "process", images={"shop:v1": server, "shop:v2": server})
    with haddock.Gateway(state=tmp_path / "gateway", listen="127.0.0.1:0") as gateway:
        address = f"http://{gateway.admin_address}"
        with haddock.connect(state=tmp_path / "state", gateway=address, runtime="process") as h:
            h.release(file, tag="v1").wait()
            urllib.request.urlopen(f"http://{gateway.listen_address}/", timeout=10).close()
            release = h.release(file, tag="v2")
            release.wait("settled")

            def old() -> haddock.InstanceStatus | None:
                status = h.status("shop")
                assert status is not None
                return next((it for it in status.instances if it.version == 1), None)

            def says(sessions: int | None, why: str | None = None) -> None:
                def seen() -> bool:
                    found = old()
                    assert found is not None and found.phase == "draining", "it has not said none"
                    application = found.application_sessions
                    # The gateway knows of no session any more.
                    idle = found.sessions == 0
                    return idle and application is not None and (application.sessions, application.unknown) == (sessions, why)

                until(f"{sessions}, {why}", seen)

            says(2)
            say({"active": 1})
            says(1)
            say({"active": 0}, status=500)
            says(None, "status 500")
            say("<html>sorry</html>")
            says(None, "the answer is no JSON")
            found = old()
            assert found is not None and json.loads(json.dumps(found.to_dict()))["application_sessions"]["sessions"] is None
            say({"active": 0})
            release.wait("gone")
            assert old() is None
