"""An application for tests, as a program: `python toy_app.py VERSION` listens on the port in `PORT`.

It keeps sessions in its memory, known by its cookie `SID`, and answers with what it knows of the request. A request that
asks for an upgrade gets one, and then each byte back.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import secrets
import sys
from http.cookies import SimpleCookie


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one piece: the second of two small ones would wait for 40 ms
    sessions: dict[str, int] = {}

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self.upgrade()
            return
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("SID")
        known = cookie is not None and cookie.value in self.sessions
        session = cookie.value if cookie is not None and known else secrets.token_hex(8)
        self.sessions[session] = self.sessions.get(session, 0) + 1
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = {"version": sys.argv[1], "session": session, "count": self.sessions[session], "headers": headers}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if not known:
            self.send_header("Set-Cookie", f"SID={session}; Path=/; HttpOnly")
        self.end_headers()
        self.wfile.write(body)

    def upgrade(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        if key := self.headers.get("Sec-WebSocket-Key"):
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.wfile.flush()
        while piece := self.rfile.read1(1024):
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
