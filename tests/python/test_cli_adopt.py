"""A plain server that runs already, with people in it, becomes part of a service."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli_docker
from cli_load import Load, assert_clean
from cli_site import Site, free_port, until
from test_cli_serve import COMPOSE

pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place with a plain server that runs already."""
    with cli_docker.place(tmp_path, COMPOSE) as site:
        yield site


def answers(url: str) -> bool:
    """Whether a GET is answered well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def test_adopt_then_release(site: Site) -> None:
    port = free_port()
    plain = site.beside(
        [str(cli_docker.program("demo-app"))],
        ADDRESS="127.0.0.1", PORT=str(port), VERSION="old", SESSION_IDLE_SECONDS="4",
    )  # fmt: skip
    healthy = f"http://127.0.0.1:{port}/health"
    until("the plain server", lambda: answers(healthy))
    # A session that began before there was any gateway: the application's own cookie is all that it has.
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]

    site.start("serve").says("controller: ")
    assert f"would adopt 127.0.0.1:{port}" in site.ok("adopt", "demo", "--address", f"127.0.0.1:{port}", "--dry-run")
    assert "is an instance of `demo`" in site.ok("adopt", "demo", "--address", f"127.0.0.1:{port}")
    until("the gateway routes to it", lambda: site.run("check").stdout.count("1 with new sessions"))
    said, gateway_cookie = site.get(cookie=cookie)
    assert (said["version"], said["count"]) == ("old", 2), "the session of before goes on"
    load = Load(site, rate=100, stay=1.0, idle=4)

    release = site.lines("release", "--tag", "c1", "--wait", "gone")
    assert release[-1]["kind"] == "done"
    assert_clean(load.stop())
    assert plain.process.poll() is None, "it is not ours to stop"
    assert answers(healthy)
    assert [one["external"] for one in site.json("ps")["instances"]] == [False]
    kinds = [event["kind"] for event in site.lines("history")]
    assert "external_released" in kinds, "that it is drained is told"
