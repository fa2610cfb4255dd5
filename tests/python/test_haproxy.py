"""A service behind an HAProxy, from the command and from Python."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import haddock
from cli_site import HADDOCK, Running, clean_environment, free_port, run, until
from proxies import program

COMPOSE = """\
name: shop
services:
  web:
    image: "demo:${TAG}"
    expose: ["8080"]
x-haddock:
  entry: web:8080
  session: { idle: 30m, cookie: SID, cookie_mode: learn }
  ready: { within: 60s }
  release: { ramp: [100%], settle: 1s, drain: { evict_after: 2s } }
"""
APP = """\
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        if "Cookie" not in self.headers:
            self.send_header("Set-Cookie", "SID=" + os.urandom(8).hex())
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
CONFIG = """\
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:{port}
    default_backend shop_servers
backend shop_servers
    balance roundrobin
"""


class Haproxy:
    """An HAProxy with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = program("haproxy")
        self.port = free_port()
        self.socket = directory / "sock"
        self.backend = "shop_servers"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, more: str = "") -> None:
        self.stop()
        config = self.directory / "haproxy.cfg"
        config.write_text(CONFIG.format(socket=self.socket, port=self.port).replace("shop_servers", self.backend) + more)
        self.process = subprocess.Popen([self.program, "-db", "-f", config], stderr=subprocess.DEVNULL)
        until("HAProxy serves", lambda: self.get() is not None)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.code)
        except OSError:
            return None


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Haproxy]:
    proxy = Haproxy(tmp_path)
    yield proxy
    proxy.stop()


def lines(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [each for each in found if each["name"] == "haproxy"]


def test_check_shows_the_lines_and_a_service_is_released_behind_it(proxy: Haproxy, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "app.py").write_text(APP)
    state = tmp_path / "state"
    (state / "process").mkdir(parents=True, mode=0o700)
    images = {f"demo:{tag}": [sys.executable, str(tmp_path / "app.py"), tag] for tag in ("v1", "v2")}
    (state / "process" / "images.json").write_text(json.dumps(images))
    front = f"{proxy.socket},shop=shop_servers"
    env = clean_environment(HADDOCK_STATE=str(state), HADDOCK_RUNTIME="process", HADDOCK_HAPROXY=front)
    proxy.start()
    checked = run("check", "--json", cwd=tmp_path, env=env)
    (finding,) = lines(json.loads(checked.stdout)["findings"])
    assert finding["state"] == "problem" and "has no stick table" in finding["says"]
    advised = finding["fix"].split("balance roundrobin\n")[1]
    assert "req.cook(SID)" in advised and "gateway" not in checked.stdout
    proxy.start(advised)
    checked = run("check", "--json", cwd=tmp_path, env=env)
    (finding,) = lines(json.loads(checked.stdout)["findings"])
    assert finding["state"] == "warning" and "503 for a moment" in finding["says"]
    serve = Running([str(HADDOCK), "serve"], tmp_path, env)
    try:
        serve.says("controller: acts")
        for tag in ("v1", "v2"):
            released = run("release", "--tag", tag, cwd=tmp_path, env=env)
            assert released.returncode == 0, released.stdout + released.stderr
            assert proxy.get() == tag
        # HAProxy has no server after a restart.
        proxy.start(advised)
        until("the servers are back", lambda: proxy.get() == "v2")
    finally:
        serve.close()
        with haddock.connect(state=state, runtime="process", haproxy=front) as h:
            h.retire("shop", timeout=60)


def test_several_locators_have_names() -> None:
    time = haddock.VirtualTime()
    both = {name: haddock.SimLocator(time=time) for name in ("east", "west")}
    with haddock.Controller(runtime=haddock.Sim(time=time), locator=both, time=time) as h:
        assert [found.name for found in h.check()] == ["engine", "east", "west", "journal"]
    with pytest.raises(haddock.InvalidValueError, match="needs a locator"):
        haddock.Controller(runtime=haddock.Sim(), locator={})


def test_a_group_of_locators_is_named_in_one_option(proxy: Haproxy, tmp_path: Path) -> None:
    """Two gateways and an HAProxy, each with every table; with one of them gone, nobody is judged by the others alone."""
    proxy.backend = "shop"
    proxy.start()
    key = tmp_path / "key"
    gateways = [
        haddock.Gateway(state=tmp_path / f"gateway-{n}", listen="127.0.0.1:0", key_file=key, services={"shop": ()})
        for n in (1, 2)
    ]
    places = ",".join([*(f"gateway=http://{gateway.admin_address}" for gateway in gateways), f"haproxy={proxy.socket}"])
    state = tmp_path / "state"
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (state / "process").mkdir(parents=True, mode=0o700)
    (state / "process" / "images.json").write_text(json.dumps({"demo:v1": [sys.executable, str(tmp_path / "app.py"), "v1"]}))
    env = clean_environment(HADDOCK_STATE=str(state), HADDOCK_RUNTIME="process", HADDOCK_LOCATOR=places)
    checked = json.loads(run("check", "--json", cwd=tmp_path, env=env).stdout)["findings"]
    (finding,) = lines(checked)
    proxy.start(finding["fix"].split("balance roundrobin\n")[1])
    released = run("release", "--tag", "v1", cwd=tmp_path, env=env)
    assert released.returncode == 0, released.stdout + released.stderr
    try:
        assert proxy.get() == "v1"
        for gateway in gateways:
            with urllib.request.urlopen(f"http://{gateway.listen_address}/", timeout=10) as answer:
                assert answer.read() == b"v1"
        status = json.loads(run("status", "--json", cwd=tmp_path, env=env).stdout)
        assert [each["share_in_force"] for each in status["instances"]] == [1.0]
        gateways[1].shutdown(0)
        status = json.loads(run("status", "--json", cwd=tmp_path, env=env).stdout)
        assert [each["sessions"] for each in status["instances"]] == [None], "one that cannot be reached is unknown"
    finally:
        gateways[1] = haddock.Gateway(
            state=tmp_path / "gateway-2", listen="127.0.0.1:0", admin=str(gateways[1].admin_address), key_file=key, services={"shop": ()}
        )
        with haddock.connect(state=state, runtime="process", locators=places) as h:
            h.retire("shop", timeout=60)
        for gateway in gateways:
            gateway.shutdown(0)


@pytest.mark.parametrize("group", ["gateway", "gateway=", "nginx=/run/x", "gateway=http://a:1,,", "gateway=http://a:1,gateway=http://a:1"])
def test_a_group_that_is_none_is_refused(tmp_path: Path, group: str) -> None:
    with pytest.raises(haddock.InvalidValueError, match="is no locator|is named twice"):
        haddock.connect(state=tmp_path, runtime="process", locators=group)


def test_a_socket_or_a_backend_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(haddock.InvalidValueError, match="is not the socket of an HAProxy"):
        haddock.Haproxy("http://127.0.0.1:9999", state=tmp_path)
    with pytest.raises(haddock.InvalidValueError, match="is not the name of a backend"):
        haddock.Haproxy("/run/x", state=tmp_path, backends={"shop": "a b"})
    with pytest.raises(haddock.InvalidValueError, match="no backend of a service"):
        haddock.connect(state=tmp_path, runtime="process", haproxy="/run/x,shop")
    with pytest.raises(haddock.LocatorUnavailableError):
        haddock.Haproxy(str(tmp_path / "nothing"), state=tmp_path).check("shop")
