"""A service is taken away: it drains, is forgotten, and its name can be used again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import haddock
from cli_site import Site, until
from haddock.testing import World


def test_it_drains_and_is_forgotten(do: Any, sim: World, compose: Path) -> None:
    controller = sim.controller
    controller.release(compose, tag="v1").wait()
    session = sim.open_session("shop")
    plan = do(controller, "retire", "shop", dry_run=True)
    assert plan.steps == [
        "give no new sessions to `shop`: whoever has none is turned away",
        "let version 1 keep the sessions that it has, and remove it when the last has expired",
        "forget `shop`: its name can be used again, and its history stays",
    ]
    assert do(controller, "retire", "shop", wait=False, by="ops") is None
    do(sim, "advance", "50m")
    status = do(controller, "status", "shop")
    assert (status.retiring, [it.phase for it in status.instances]) == ("ops", ["draining"])
    assert session.request() == "shop-1-sim", "the session goes on"
    with pytest.raises(haddock.NotFoundError):
        sim.open_session("shop")
    with pytest.raises(haddock.BusyError, match="`shop` is being retired, as `ops` asked"):
        do(controller, "release", compose, tag="v2").wait()
    assert do(controller, "retire", "shop") is None, "again, and until it is gone"
    assert (do(controller, "status", "shop"), do(controller, "services")) == (None, [])
    history = do(controller, "history", "shop")
    assert history[-1].kind == "service_retired", "the history stays"
    assert any("`ops` retires the service" in event.message for event in history)
    for dry_run in (True, False):
        with pytest.raises(haddock.NothingToDoError, match="nothing of `shop`"):
            do(controller, "retire", "shop", dry_run=dry_run)
    with pytest.raises(haddock.NothingToDoError, match="nothing of `never`"):
        do(controller, "retire", "never", dry_run=True)
    assert do(controller, "release", compose, tag="v1").wait().version == 2
    assert sim.open_session("shop").version == 2


def test_it_waits_for_no_longer_than_is_said_and_goes_on(do: Any, sim: World, compose: Path) -> None:
    sim.controller.release(compose, tag="v1").wait()
    session = sim.open_session("shop")
    with session.connected():
        with pytest.raises(haddock.TimedOutError):
            do(sim.controller, "retire", "shop", timeout="2h")
        assert do(sim.controller, "status", "shop").retiring
        assert "serve again" in do(sim.controller, "abort", "shop", dry_run=True).steps[0]
    sim.advance("2h")
    assert do(sim.controller, "status", "shop") is None


def test_it_is_refused_while_a_release_goes_on_and_an_abort_brings_it_back(do: Any, sim: World, compose: Path) -> None:
    sim.controller.release(compose, tag="v1").wait()
    second = sim.controller.release(compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    for dry_run in (True, False):
        with pytest.raises(haddock.BusyError, match="the release of version 2 is ramping"):
            do(sim.controller, "retire", "shop", dry_run=dry_run)
    second.wait("gone")
    with sim.open_session("shop").connected():
        do(sim.controller, "retire", "shop", wait=False)
        do(sim, "advance", "1m")
        do(sim.controller, "abort", "shop")
        do(sim, "advance", "1m")
        assert do(sim.controller, "status", "shop").retiring is None
        assert sim.open_session("shop").version == 2, "it serves again"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with cli_docker.place(tmp_path, COMPOSE) as site:
        yield site


COMPOSE = """\
name: demo
services:
  store:
    image: haddock-demo:c1
    environment: { VERSION: store }
    expose: ["8080"]
    stop_grace_period: 2s
  web:
    image: "haddock-demo:${TAG}"
    environment: { STORE: "store:8080", SESSION_IDLE_SECONDS: "8" }
    links: [store]
    expose: ["8080"]
    stop_grace_period: 2s
x-haddock:
  entry: "web:8080"
  ready: /health
  session: { idle: 8s, ignore: [/health] }
  release: { ramp: [100%], settle: 1s }
"""


@pytest.mark.docker
def test_the_command_goes_on_with_what_a_killed_one_has_begun(site: Site) -> None:
    serving = site.start("serve")
    serving.says("controller: ")
    site.ok("release", "--tag", "c1")
    assert "let version 1 keep the sessions" in site.ok("retire", "demo", "--dry-run")
    assert site.json("retire", "demo", "--dry-run")["steps"]
    assert site.run("retire").returncode == 2, "which one has to be said"
    serving.close()
    gateway = site.start("serve", "gateway")
    until("the gateway", lambda: "1 with new sessions" in site.run("check").stdout)
    _, cookie = site.get()
    killed = site.start("retire", "demo")
    killed.says("drains")
    killed.send(signal.SIGKILL)
    assert killed.ends() == -9
    said, _ = site.get(cookie=cookie)
    assert said["version"] == "c1", "the session goes on"
    assert "retired     by tester@here" in site.ok("status", "demo")
    done = site.lines("retire", "demo")
    assert done[-1] == {"kind": "done", "service": "demo", "verb": "retire", "gone": True}
    assert site.run("status", "demo").returncode == 6 and site.lines("history", "demo")[-1]["kind"] == "service_retired"
    assert site.ok("down", "--name", "demo-shared") == "it is down\n", "nothing shares it any more"
    assert cli_docker.containers(site) == []
    assert site.run("retire", "demo").returncode == 6
    site.ok("release", "--tag", "c2")
    assert site.get()[0]["version"] == "c2", "its name can be used again"
    gateway.close()
