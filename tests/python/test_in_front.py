"""The gateway in front of, behind and beside real proxies, with the very configurations of `docs/in-front.md`."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cli_site import ROOT, Running, Site, free_port, site_in, until
from doc_pages import blocks
from haddock._caller import Caller
from haddock._cli import _intermediary
from proxies import program
from test_cli_tls import certificate

PAGE = ROOT / "docs" / "in-front.md"
CLIENT = "127.0.0.5"
"""The address of clients: another than that of the proxy."""


def block(*words: str) -> str:
    """The text of the page's block with this mark."""
    [found] = [it.text for it in blocks(PAGE) if it.words == words]
    return found


class Place:
    """A gateway with two versions of an application, half of the new sessions each, and a proxy."""

    def __init__(self, site: Site) -> None:
        self.site, self.folder = site, site.directory
        self.port, self.old = free_port(), free_port()
        self.pem, key = certificate(self.folder, "shop.example", 9)
        (self.folder / "shop.both.pem").write_text(Path(self.pem).read_text() + Path(key).read_text())
        self.places = {
            "/etc/ssl/shop.pem": self.pem,
            "/etc/ssl/shop.key": key,
            "/etc/ssl/shop.both.pem": str(self.folder / "shop.both.pem"),
            "/etc/traefik": str(self.folder),
            "127.0.0.1:8080": f"127.0.0.1:{site.listen}",
            "127.0.0.1:8443": f"127.0.0.1:{site.listen}",
            "127.0.0.1:9000": f"127.0.0.1:{self.old}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            '":443"': f'"127.0.0.1:{self.port}"',
            "bind :443": f"bind 127.0.0.1:{self.port}",
        }
        self.https = True
        self.proxy: Running | None = None

    def here(self, text: str, **more: str) -> str:
        """With the ports and files of this test."""
        for old, new in {**self.places, **more}.items():
            text = text.replace(old, new)
        return text

    def app(self, version: str, port: int) -> str:
        """Starts the application, and answers with its address."""
        self.site.beside([sys.executable, str(ROOT / "tests/python/toy_app.py"), version], PORT=str(port))
        until(f"{version} answers", lambda: connects(port))
        return f"127.0.0.1:{port}"

    def gateway(self, *options: str) -> None:
        """Starts it with these options, and gives it a table."""
        self.site.start("serve", "gateway", *options).says("gateway: clients at")

    def route(self, *addresses: str) -> None:
        """Gives each address the same share."""
        routes = {f"shop-{n}": {"address": address, "share": 5_000} for n, address in enumerate(addresses, 1)}
        table = {"service": "shop", "number": {"epoch": 1, "revision": 1}, "session": {"idle": 60_000, "ignore": []}, "routes": routes}
        url = f"http://127.0.0.1:{self.site.admin}/v1/services/shop/apply"
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(table).encode(), {"Content-Type": "application/json"})).close()

    def of_the_page(self, words: str) -> None:
        """Starts the gateway as the page says, with two versions behind it."""
        _, _, *options = shlex.split(self.here(block(words)))
        self.gateway(*options)
        self.route(self.app("v1", free_port()), self.app("v2", free_port()))

    def start(self, name: str, config: str, *words: str) -> None:
        """Starts a proxy with this configuration."""
        file = self.folder / f"{name}.yml"
        file.write_text(config)
        self.proxy = self.site.beside([program(name), *(it.replace("FILE", str(file)) for it in words)])
        until(f"{name} takes connections", lambda: self.listens())

    def listens(self) -> bool:
        assert self.proxy is not None
        assert self.proxy.process.poll() is None, self.proxy.text
        return connects(self.port)

    def nginx(self, http: str = "", stream: str = "") -> None:
        """Starts nginx with this `http` and, beside it, this text."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind}; " for kind in kinds)
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        begin = f"load_module {module};\n" if stream and module.exists() else ""
        config = f"{begin}pid {self.folder}/nginx.pid;\nevents {{}}\nhttp {{ access_log off; {temporary}\n{http}}}\n{stream}"
        self.start("nginx", config, "-e", f"{self.folder}/error.log", "-c", "FILE", "-g", "daemon off;")

    def haproxy(self, config: str) -> None:
        """Starts HAProxy, with a master that can reload."""
        sockets = f"global\n    stats socket {self.folder}/sock mode 600 level admin expose-fd listeners\n"
        self.start("haproxy", sockets + config, "-W", "-f", "FILE")

    def traefik(self, dynamic: str) -> None:
        """Starts Traefik. It asks nobody whether there is a newer one."""
        (self.folder / "shop.yaml").write_text(dynamic)
        quiet = "global: { checkNewVersion: false, sendAnonymousUsage: false }\n"
        self.start("traefik", quiet + self.here(block("http", "traefik", "static")), "--configFile=FILE")

    # ---- clients

    def connect(self) -> socket.socket:
        """A connection of a client to the proxy."""
        plain = socket.create_connection(("127.0.0.1", self.port), 20, (CLIENT, 0))
        if not self.https:
            return plain
        return ssl.create_default_context(cafile=self.pem).wrap_socket(plain, server_hostname="shop.example")

    def get(self, cookies: dict[str, str], path: str = "/", **headers: str) -> dict[str, Any]:
        """A request of a client with these cookies, which it updates."""
        connection = http.client.HTTPConnection("shop.example")
        connection.sock = self.connect()
        with closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
            connection.request("GET", path, headers=sent)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = line.partition(";")[0].partition("=")
                cookies[name] = value
            body = answer.read()
            assert answer.status == 200, (answer.status, body)
            return dict(json.loads(body))

    def websocket(self, cookies: dict[str, str]) -> socket.socket:
        """An upgraded connection of a session."""
        stream = self.connect()
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        lines = ["GET / HTTP/1.1", "Host: shop.example", "Connection: Upgrade", "Upgrade: websocket", f"Cookie: {cookie}"]
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        stream.sendall("\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = stream.recv(1)
            assert piece, head
            head += piece
        assert b" 101 " in head.splitlines()[0], head
        return stream

    # ---- what has to hold

    def is_sound(self) -> list[dict[str, str]]:
        """Sessions stay, instances learn who the client is and nothing that it made up, and WebSockets go through."""
        clients: list[dict[str, str]] = [{} for _ in range(12)]
        first = [self.get(cookies) for cookies in clients]
        assert {it["version"] for it in first} == {"v1", "v2"}, "both have sessions"
        for count in (2, 3):
            for cookies, was in zip(clients, first):
                now = self.get(cookies)
                assert (now["version"], now["session"], now["count"]) == (was["version"], was["session"], count)
        told = self.get(clients[0], X_Forwarded_For="192.0.2.6", Forwarded="for=192.0.2.6")["headers"]
        assert told["x-forwarded-for"].split(", ")[0] == CLIENT, told
        assert told["x-forwarded-proto"] == ("https" if self.https else "http"), told
        assert told["host"] == "shop.example" and CLIENT in told["forwarded"] and "192.0.2.6" not in str(told), told
        with self.websocket(clients[0]) as stream:
            echoes(stream)
        return clients

    def is_found_sound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`haddock check --url` has nothing to say of the proxy."""
        look_up = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more: look_up("127.0.0.1" if host == "shop.example" else host, *more))
        monkeypatch.setenv("SSL_CERT_FILE", self.pem)
        connect = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda to, timeout, *_: connect(to, timeout, (CLIENT, 0)))
        url, admin = f"https://shop.example:{self.port}/", f"http://127.0.0.1:{self.site.admin}"
        found = list(_intermediary.look(url, admin, Caller()))
        assert [it.state for it in found] == ["ok"], found

    def survives(self, reload: Callable[[], object]) -> None:
        """A reload of the proxy: WebSockets and sessions go on."""
        cookies: dict[str, str] = {}
        was = self.get(cookies)
        with self.websocket(cookies) as stream:
            reload()
            echoes(stream)
            assert self.get(cookies)["session"] == was["session"]
            echoes(stream)

    def signal(self, number: signal.Signals) -> None:
        assert self.proxy is not None
        self.proxy.send(number)


def echoes(stream: socket.socket) -> None:
    stream.sendall(b"hello")
    said = b""
    while len(said) < 5:
        piece = stream.recv(5)
        assert piece, "it was cut"
        said += piece
    assert said == b"hello"


def connects(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with site_in(tmp_path, HADDOCK_RUNTIME="process") as site:
        yield Place(site)


def workers(place: Place) -> set[str]:
    """The processes that the proxy's own process has started."""
    assert place.proxy is not None
    master = place.proxy.process.pid
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


def reloaded(place: Place, number: signal.Signals) -> None:
    """A worker of its own for the new configuration, beside the one of before."""
    before = workers(place)
    place.signal(number)
    until("another worker", lambda: workers(place) - before)


def test_nginx_in_front_by_http(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("http")
    place.nginx(place.here(block("http", "nginx")))
    place.is_sound()
    place.is_found_sound(monkeypatch)
    place.survives(lambda: reloaded(place, signal.SIGHUP))


def test_haproxy_in_front_by_http(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("http")
    place.haproxy(place.here(block("http", "haproxy")))
    place.is_sound()
    place.is_found_sound(monkeypatch)
    place.survives(lambda: reloaded(place, signal.SIGUSR2))


def test_traefik_in_front_by_http(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("http")
    place.traefik(place.here(block("http", "traefik", "dynamic")))
    until("it has read its file", lambda: sound_so_far(place))
    place.is_sound()
    place.is_found_sound(monkeypatch)
    file = place.folder / "shop.yaml"

    def change() -> None:
        file.write_text(file.read_text().replace("Host(`shop.example`)", "Host(`shop.example`) && PathPrefix(`/`)"))

    place.survives(change)


def sound_so_far(place: Place) -> bool:
    with suppress(OSError, AssertionError):
        place.get({})
        return True
    return False


def test_haproxy_in_front_by_tcp(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("tcp")
    place.haproxy(place.here(block("tcp", "haproxy")))
    place.is_sound()
    place.is_found_sound(monkeypatch)
    place.survives(lambda: reloaded(place, signal.SIGUSR2))


def test_nginx_in_front_by_tcp(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("tcp")
    place.nginx(stream=place.here(block("tcp", "nginx")))
    place.is_sound()
    place.is_found_sound(monkeypatch)
    place.survives(lambda: reloaded(place, signal.SIGHUP))


def test_traefik_in_front_by_tcp(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.of_the_page("tcp")
    place.traefik(place.here(block("tcp", "traefik", "dynamic")))
    until("it has read its file", lambda: sound_so_far(place))
    place.is_sound()
    place.is_found_sound(monkeypatch)


def lies(place: Place) -> str:
    """What an instance reads first of the client's addresses, if the client makes one up."""
    return str(place.get({}, X_Forwarded_For="192.0.2.6")["headers"]["x-forwarded-for"].split(", ")[0])


def test_nginx_that_adds_to_the_header_lets_clients_lie(place: Place) -> None:
    place.of_the_page("http")
    good = place.here(block("http", "nginx"))
    place.nginx(good.replace("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"))
    assert lies(place) == "192.0.2.6"


def test_haproxy_that_adds_to_the_header_lets_clients_lie(place: Place) -> None:
    place.of_the_page("http")
    place.haproxy(place.here(block("http", "haproxy")).replace("http-request set-header X-Forwarded-For %[src]", "option forwardfor"))
    assert lies(place) == "192.0.2.6"


def test_the_header_of_a_proxy_that_is_not_trusted_is_no_request(place: Place) -> None:
    place.gateway()
    place.route(place.app("v1", free_port()))
    with socket.create_connection(("127.0.0.1", place.site.listen), 20) as stream:
        stream.sendall(b"PROXY TCP4 192.0.2.6 127.0.0.1 50000 80\r\nGET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert stream.recv(100).startswith(b"HTTP/1.1 400 ")


def test_nginx_beside(place: Place) -> None:
    place.of_the_page("http")
    place.app("old", place.old)
    place.nginx(place.here(block("beside", "nginx")))
    cookies: dict[str, str] = {}
    first, old = place.get(cookies, "/shop/"), place.get(dict(cookies))
    assert first["version"] in ("v1", "v2") and old["version"] == "old"
    assert place.get(cookies, "/shop/cart")["count"] == 2
    assert first["headers"]["x-forwarded-for"].split(", ")[0] == CLIENT


def test_the_compose_file_of_a_proxy_behind(place: Place) -> None:
    (place.folder / "compose.yaml").write_text(block("behind", "compose"))
    assert "shop-proxy:v1" in place.site.ok("config", "--tag", "v1")


def test_nginx_behind(place: Place) -> None:
    """Two instances, each with an nginx of its own."""
    place.https = False
    addresses = []
    place.gateway()
    gateway = place.site.listen
    for version in ("v1", "v2"):
        place.port = free_port()
        place.places["listen 80;"] = f"listen 127.0.0.1:{place.port};"
        place.folder = place.site.directory / version
        place.folder.mkdir()
        place.nginx(place.here(block("behind", "nginx"), **{"http://app:8080": f"http://{place.app(version, free_port())}"}))
        addresses.append(f"127.0.0.1:{place.port}")
    place.route(*addresses)
    place.port = gateway
    place.is_sound()
