"""The example of a locator for an nginx that one has: the suite, and a release behind it."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import haddock
from cli_site import ROOT, free_port, until
from doc_pages import blocks
from haddock import _native
from haddock._bridge import wait
from haddock.testing import LocatorHarness, locator_suite
from proxies import program

EXAMPLE = ROOT / "examples" / "nginx_map"
sys.path.insert(0, str(EXAMPLE))
from nginx_map import Kept, NginxMap, map_of  # noqa: E402


class Nginx:
    """nginx with the example's configuration, for another service, port and directory."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder, self.port, self.pid = folder, free_port(), folder / "nginx.pid"
        text = (EXAMPLE / "nginx.conf").read_text()
        text = text.replace("haddock_shop", f"haddock_{service}").replace("shop.log", f"{service}.log")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace("/var/lib/haddock/nginx", str(folder / "map"))
        temporary = "".join(
            f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = text.replace("http {\n", f"http {{\n{temporary}    access_log off;\n")
        self.config = folder / "nginx.conf"
        self.config.write_text(f"pid {self.pid};\nerror_log {folder}/error.log;\nworker_processes 2;\n{text}")
        self.process: subprocess.Popen[bytes] | None = None
        self.command = [program("nginx"), "-c", str(self.config), "-e", f"{folder}/error.log"]

    def start(self) -> None:
        self.process = subprocess.Popen([*self.command, "-g", "daemon off;"], start_new_session=True)
        until("nginx runs", lambda: self.pid.exists() and self.pid.read_text())

    def kill(self) -> None:
        """Ends all of its processes without warning."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            group = self.process.pid
            self.process.wait()
            until("nginx has ended", lambda: not any(running_in(group)))
        self.process = None
        self.pid.unlink(missing_ok=True)

    def locator(self, service: str, slack: float) -> NginxMap:
        return NginxMap(self.folder / "map", self.pid, [service], reload=[*self.command, "-s", "reload"], slack=slack)


def running_in(group: int) -> Iterator[str]:
    """The processes of a group. Those that have ended and were not waited for do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of) == group and state != "Z":
                yield stat.parent.name


class Instance:
    """Answers with its name; on `/hold` only when it is let go."""

    def __init__(self, name: str) -> None:
        held = self.held = threading.Semaphore(0)
        let_go = self.let_go = threading.Semaphore(0)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/hold":
                    held.release()
                    let_go.acquire(timeout=60)
                self.send_response(500 if self.path == "/fail" else 200)
                self.send_header("X-Instance", name)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Browser:
    """What a client keeps: cookies, until their `Max-Age` has passed."""

    @staticmethod
    def keep(cookies: dict[str, str], headers: Message) -> None:
        for line in headers.get_all("Set-Cookie") or []:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            age = next((float(it[8:]) for it in attributes if it.startswith("Max-Age=")), float("inf"))
            cookies.update({name: value, f"{name} until": str(time.monotonic() + age)})

    @staticmethod
    def sent(cookies: dict[str, str]) -> str:
        now = time.monotonic()
        fresh = [it for it in cookies if not it.endswith(" until") and float(cookies[f"{it} until"]) > now]
        return "; ".join(f"{name}={cookies[name]}" for name in fresh)


def get(port: int, path: str, cookies: dict[str, str]) -> tuple[int, str | None, bytes]:
    """One request on a connection of its own: the status, who served it, and what was said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        cookie = Browser.sent(cookies)
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        said = answer.read()
        Browser.keep(cookies, answer.headers)
        return answer.status, answer.getheader("X-Instance"), said
    finally:
        connection.close()


class Stage(LocatorHarness):
    """nginx, its locator, instances and clients."""

    # A cookie counts whole seconds. The rest is for machines that are slow to write to their disks.
    idle, late, slack = 5.0, 1.2, 0.9

    def __init__(self, folder: Path) -> None:
        self.nginx = Nginx(folder, self.service)
        self.instances: dict[str, Instance] = {}
        self.mapping = self.nginx.locator(self.service, self.slack)
        self.nginx.start()

    def locator(self) -> haddock.ServiceLocator:
        return self.mapping

    def start(self, instance: str) -> str:
        if instance not in self.instances:
            self.instances[instance] = Instance(instance)
        return "127.0.0.1:{}".format(self.instances[instance].server.server_address[1])

    def ask(self, cookies: dict[str, str], what: str) -> str | None:
        path = {"page": "/", "failure": "/fail", "probe": "/probe"}[what]
        return get(self.nginx.port, path, cookies)[1]

    def begin(self, cookies: dict[str, str]) -> tuple[str, Callable[[], object]] | None:
        if not cookies and self.ask(cookies, "page") is None:  # the answer brings the cookie
            return None
        served: list[str | None] = []
        request = threading.Thread(target=lambda: served.append(get(self.nginx.port, "/hold", dict(cookies))[1]))
        request.start()
        name = until("an instance has it", lambda: next((n for n, it in self.instances.items() if it.held.acquire(blocking=False)), None))

        def finish() -> None:
            self.instances[name].let_go.release()
            request.join(60)
            assert served == [name]

        return name, finish

    def let_pass(self, seconds: float) -> None:
        time.sleep(seconds)

    def restart(self) -> bool:
        self.mapping.only_process.close()
        self.nginx.kill()
        self.mapping = self.nginx.locator(self.service, self.slack)
        self.nginx.start()
        return True

    def close(self) -> None:
        self.nginx.kill()
        for instance in self.instances.values():
            instance.server.shutdown()
            instance.server.server_close()


@pytest.fixture(autouse=True)
def stages(tmp_path: Path) -> Iterator[None]:
    """Each case has an nginx of its own, which ends with it."""
    made: list[Stage] = []
    global new_stage

    def new_stage() -> Stage:
        made.append(Stage(tmp_path))
        return made[-1]

    yield
    for stage in made:
        stage.close()


def new_stage() -> Stage:
    raise NotImplementedError


test_the_contract = locator_suite(lambda: new_stage())


def test_the_page_shows_the_configuration() -> None:
    page = ROOT / "docs" / "your-own-locator.md"
    config, shown = [block.text for block in blocks(page) if block.language == "nginx"]
    assert config == (EXAMPLE / "nginx.conf").read_text()
    routes: dict[str, list[str | float]] = {"shop-1-8d43024f": ["172.17.0.2:8080", 0.9], "shop-2-8d43024f": ["172.17.0.3:8080", 0.1]}
    assert shown == map_of("shop", Kept(idle=1800, routes=routes))


def test_the_page_names_what_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    """The cases that are left out print a line each. The others fail at once here: nothing but the locator answers."""
    page = (ROOT / "docs" / "your-own-locator.md").read_text()
    listed = re.findall(r"^LEFT OUT: .*$", page, re.MULTILINE)
    stage = new_stage()

    def only_the_locator(method: str, arguments: list[str]) -> Any:
        assert method == "locator", "a case that is run"
        return stage._call(method, arguments)

    for case in _native.locator_cases():
        with suppress(AssertionError):
            wait(_native.locator_case(case, only_the_locator, stage.service, stage.idle, stage.late))
    said = re.findall(r"^LEFT OUT: .*$", capfd.readouterr().err, re.MULTILINE)
    assert said == listed and len(said) > 10


COMPOSE = """\
name: shop
services:
  web: { image: "demo:${TAG}", expose: ["8080"] }
x-haddock:
  entry: web:8080
  session: { idle: 3s }
  ready: { within: 60s }
  release: { ramp: [50%, 100%], every: 1s, settle: 1s }
"""


class User(threading.Thread):
    """Asks again and again, and knows how often. An instance that counts otherwise has lost its session."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.over = port, threading.Event()
        self.cookies: dict[str, str] = {}
        self.answers: list[str] = []
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.05):
            status, _, said = get(self.port, "/", self.cookies)
            answer = json.loads(said) if status == 200 else {"version": f"status {status}", "count": 0}
            self.answers.append("{version} {count}".format(**answer))

    def version(self) -> str:
        """The one version that it was on, with nothing forgotten."""
        [version] = {answer.split()[0] for answer in self.answers}
        assert self.answers == [f"{version} {n}" for n in range(1, len(self.answers) + 1)]
        return version


def test_a_release_loses_no_session(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    nginx = Nginx(tmp_path, "shop")
    locator = nginx.locator("shop", slack=1.0)
    nginx.start()
    app = [sys.executable, str(Path(__file__).with_name("toy_app.py"))]
    images = {f"demo:{tag}": [*app, tag] for tag in ("v1", "v2")}
    runtime = haddock.Process(tmp_path / "process", images=images)
    users: list[User] = []
    try:
        with haddock.Controller(runtime=runtime, locator=locator, journal=tmp_path / "journal.db") as controller:
            controller.release(tmp_path / "compose.yaml", tag="v1").wait("settled", timeout=60)
            users += [User(nginx.port) for _ in range(5)]
            until("they have begun", lambda: all(len(user.answers) > 3 for user in users))
            release = controller.release(tmp_path / "compose.yaml", tag="v2")
            release.wait("settled", timeout=60)
            late = [User(nginx.port) for _ in range(5)]
            users += late
            until("they have begun", lambda: all(len(user.answers) > 3 for user in late))
            status = controller.status("shop")
            assert status is not None and [it.version for it in status.instances] == [1, 2], "version 1 keeps its sessions"
            for user in users:
                user.over.set()
                user.join()
            assert [user.version() for user in users] == ["v1"] * 5 + ["v2"] * 5
            release.wait("gone", timeout=60)
            gone = [event for event in controller.history("shop") if event.kind == "instance_retiring"]
            assert [event.data["sessions_lost"] for event in gone] == [0]
            controller.retire("shop", timeout=60)
    finally:
        for user in users:
            user.over.set()
        nginx.kill()
