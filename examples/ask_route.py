#!/usr/bin/env python3
"""A reverse proxy that asks Haddock's gateway where each request goes: `python examples/ask_route.py shop 8000`.

It asks at `HADDOCK_GATEWAY`, by default http://127.0.0.1:8081."""

import contextlib, http.client, json, os, sys, time  # noqa: E401
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ADMIN = urlsplit(os.environ.get("HADDOCK_GATEWAY", "http://127.0.0.1:8081")).netloc
OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "cookie", "set-cookie"}


def call(path: str, /, **body: object) -> tuple[int, dict]:
    gateway = http.client.HTTPConnection(ADMIN, timeout=310)  # a request may be held for 300 s
    gateway.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = gateway.getresponse()
    return answer.status, json.loads(answer.read())


def connect(address: str) -> http.client.HTTPConnection | None:
    instance = http.client.HTTPConnection(address, timeout=60)
    with contextlib.suppress(OSError):
        instance.connect()
    return instance if instance.sock else None


class Proxy(BaseHTTPRequestHandler):
    def carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        cookie = "; ".join(self.headers.get_all("Cookie", [])) or None
        status, route = call("/v1/route", service=sys.argv[1], path=self.path, cookie=cookie)
        while status == 200 and not (instance := connect(route["address"])):
            time.sleep(0.1)  # A new session goes elsewhere. One that was there waits until its instance is back or given up.
            status, route = call("/v1/route", service=sys.argv[1], instead_of=route["route"])
        if status != 200:
            return self.send_error(503)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
        try:
            instance.request(self.command, self.path, body, headers | ({"Cookie": route["cookie"]} if route["cookie"] else {}))
            answer = instance.getresponse()
            given, content = answer.headers.get_all("Set-Cookie", []), answer.read()
        except OSError:
            call("/v1/report", route=route["route"], became="lost")
            return self.send_error(502)
        told = call("/v1/report", route=route["route"], status=answer.status, set_cookie=given)[1]
        self.send_response(answer.status)
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in OWN]
        kept += [("Set-Cookie", value) for value in told.get("set_cookie", given) + route["set_cookie"]]
        for name, value in [*kept, ("Content-Length", str(len(content)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = carry


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Proxy)
print(f"clients connect to 127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
