"""The ops script of the examples: unmodified against the sim and against real processes, killed and run again."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Iterator

import cli_docker
import pytest
from cli_site import Site, site_in

import haddock

SCRIPT = Path(__file__).parents[2] / "examples" / "ops_release.py"
# Stands in for the demo application: takes `PORT`, answers everything, and leaves its pid behind for the test's end.
SERVER = """
import http.server, os
open(os.path.join(os.environ["TMPDIR"], f"{os.getpid()}.pid"), "w").close()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""

ways = pytest.mark.parametrize("way", [[], ["--async"]], ids=["sync", "async"])


def run(way: list[str], tag: str, **named: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **named}
    command = [sys.executable, str(SCRIPT), tag, *way]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_it_is_short_and_imports_the_public_surface_only() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 40
    imported = {name.name for it in ast.walk(ast.parse(text)) if isinstance(it, ast.Import) for name in it.names}
    imported |= {str(it.module) for it in ast.walk(ast.parse(text)) if isinstance(it, ast.ImportFrom)}
    assert imported == {"asyncio", "sys", "pathlib", "haddock"}
    used = {it.attr for it in ast.walk(ast.parse(text)) if isinstance(it, ast.Attribute) and ast.unparse(it.value) == "haddock"}
    assert used <= set(haddock.__all__)


@ways
def test_it_runs_against_the_sim(way: list[str]) -> None:
    said, _ = run(way, "v2", HADDOCK_RUNTIME="sim").communicate(timeout=30)
    lines = said.splitlines()
    assert "asked for: release" in lines[0]
    assert any("the release of version 1 begins (web: haddock-demo:v2)" in line for line in lines)
    assert lines[-1].split()[1:3] == ["settled", "100%"]


@pytest.fixture(params=["process", "docker"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A state directory, a gateway, and an engine that has two versions of the demo application."""
    pids = tmp_path / "pids"
    pids.mkdir()
    if request.param == "docker":
        cli_docker.required()
        cli_docker.images()
    variables = {"HADDOCK_RUNTIME": request.param, "TMPDIR": str(pids), "EVERY": "500ms", "IDLE_SECONDS": "1"}
    with (
        site_in(tmp_path, **variables) as site,
        haddock.Gateway(state=tmp_path / "gateway", listen=f"127.0.0.1:{site.listen}", admin=f"127.0.0.1:{site.admin}"),
    ):
        images = {f"haddock-demo:{tag}": [sys.executable, "-c", SERVER] for tag in ["c1", "c2"]}
        haddock.Process(site.state / "process", images=images)
        yield site
        cli_docker.clean(site)
    for pid in pids.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(pid.stem), signal.SIGKILL)


@ways
def test_killed_and_run_again_it_goes_on(way: list[str], site: Site) -> None:
    script = [sys.executable, str(SCRIPT)]
    first = site.beside([*script, "c1", *way])
    first.says("version 1 has settled")
    assert first.ends() == 0
    second = site.beside([*script, "c2", *way])
    second.says("is to get 50%")
    second.send(signal.SIGKILL)
    second.ends()
    again = site.beside([*script, "c2", *way])
    again.says("of version 1 is gone")
    assert again.ends() == 0, again.text
    assert "version 2 has settled" in again.text
    assert again.text.count("the release of version 2 begins") == 1, "told from its begin on, and begun once"
    directory, gateway = site.env["HADDOCK_STATE"], site.env["HADDOCK_GATEWAY"]
    with haddock.connect(runtime="process", state=directory, gateway=gateway) as h:
        status = h.status("demo")
        assert status is not None and status.known_good == 2
        assert [it.version for it in status.instances] == [2]
