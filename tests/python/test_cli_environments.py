"""`haddock up`, `port`, `ls`, `logs` and `down` on the engine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
from cli_site import Site, call, until

COMPOSE = """\
name: shop
services:
  store:
    image: haddock-demo:c1
    environment: { ADDRESS: 0.0.0.0, VERSION: store }
    expose: ["8080"]
    stop_grace_period: 2s
  web:
    image: "haddock-demo:${TAG:-c1}"
    environment: { ADDRESS: 0.0.0.0, VERSION: "${COPY:-none}", START_DELAY_MS: "${DELAY:-0}", PASSWORD: hunter2 }
    links: ["store:db"]
    ports: ["127.0.0.1::8080"]
    stop_grace_period: 2s
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place with a compose file, on the engine. The names of its environments are its own."""
    with cli_docker.place(tmp_path, COMPOSE, HADDOCK_BRANCH=f"Test/{tmp_path.name[-12:]}") as site:
        yield site


def name(site: Site, copy: str) -> str:
    return f"{site.directory.name}-{copy}".replace("_", "-").lower()


def get(address: str) -> dict[str, Any]:
    return dict(call(address, "/"))


def test_a_copy_is_up_when_the_command_ends_and_gone_when_it_is_down(site: Site) -> None:
    plan = site.json("up", "--dry-run")
    assert [(it["component"], it["change"]) for it in plan["changes"]] == [("store", "create"), ("web", "create")]
    assert cli_docker.containers(site) == []
    up = site.json("up")
    assert up["name"] == plan["name"] and up["name"].startswith("shop-test-")
    assert [it["name"] for it in up["components"]] == ["store", "web"]
    address = site.ok("port", "web", "8080").strip()
    assert address.startswith("127.0.0.1:") and get(address)["version"] == "none"
    assert get(site.json("port", "store", "8080")["address"])["version"] == "store"
    assert "hunter2" not in json.dumps(up) + site.ok("ls") + site.ok("ls", "--json")
    assert site.ok("up").splitlines()[0] == f"environment `{up['name']}` is up", "there was nothing to do"
    [listed] = site.json("ls")["environments"]
    assert (listed["name"], listed["by"], listed["components"]) == (up["name"], "tester@here", up["components"])
    assert site.ok("logs", "web", "--tail", "1") is not None
    for words in (("down", "--volumes"), ("keep", "--for", "1h")):
        assert up["name"] in site.ok(*words, "--dry-run")
        assert site.json(*words, "--dry-run")["name"] == up["name"]
    assert len(cli_docker.containers(site)) == 2, "nothing was done"
    assert site.ok("down") == "it is down\n"
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])
    assert site.ok("down") == "it was not there\n"


def test_copies_side_by_side_know_nothing_of_each_other(site: Site) -> None:
    for copy in ("one", "other"):
        site.env["COPY"] = copy
        site.ok("up", "--name", name(site, copy))
    told = {copy: get(site.ok("port", "--name", name(site, copy), "web", "8080").strip()) for copy in ("one", "other")}
    assert {copy: it["version"] for copy, it in told.items()} == {"one": "one", "other": "other"}
    site.ok("down", "--name", name(site, "one"))
    assert [it["name"] for it in site.json("ls")["environments"]] == [name(site, "other")]
    assert site.run("port", "--name", name(site, "one"), "web", "8080").returncode == 3


def test_replicas_are_reached_under_one_name(site: Site) -> None:
    (site.directory / "compose.yaml").write_text(COMPOSE.replace("    expose:", "    scale: 3\n    expose:").replace(
        'links: ["store:db"]', 'links: ["store:db"]\n    environment: { CALLS: "db:8080", ADDRESS: 0.0.0.0 }'
    ).replace('    environment: { ADDRESS: 0.0.0.0, VERSION: "${COPY:-none}", START_DELAY_MS: "${DELAY:-0}", PASSWORD: hunter2 }\n', ""))  # fmt: skip
    up = site.json("up")
    assert [it["name"] for it in up["components"]] == ["store", "store-2", "store-3", "web"]
    address = site.ok("port", "web", "8080").strip()

    def answered() -> str:
        return str(call(address, "/call")["calls"]["db"]["instance"])

    assert len({answered() for _ in range(60)}) > 1, "more than one of them answers"
    assert {it["change"] for it in site.json("up", "--dry-run")["changes"]} == {"keep"}
    site.ok("down")
    site.ok("up", "--only", "store")
    assert len(cli_docker.containers(site)) == 3
    assert site.json("diff") == {"differences": []}


def test_three_processes_at_once_make_one(site: Site) -> None:
    ups = [site.start("up", "--json", "--name", name(site, "pr")) for _ in range(3)]
    assert [up.ends() for up in ups] == [0, 0, 0], [up.text for up in ups]
    answers = [json.loads(up.lines[-1]) for up in ups]
    assert all(answer["components"] == answers[0]["components"] for answer in answers)
    changes = [{it["change"] for it in answer["changes"]} for answer in answers]
    assert changes.count({"create"}) == 1 and changes.count({"keep"}) == 2
    assert (len(cli_docker.containers(site)), len(cli_docker.listed(site, "network", "ls"))) == (2, 1)


def test_what_was_killed_is_finished_by_the_next(site: Site) -> None:
    site.env["DELAY"] = "60000"
    up = site.start("up", "--name", name(site, "pr"))

    def made() -> bool:
        assert up.process.poll() is None, up.text
        return len(cli_docker.containers(site)) == 2

    until("its containers", made)
    up.send(signal.SIGKILL)
    assert up.ends() == -9
    site.env["DELAY"] = "0"
    told = site.json("up", "--name", name(site, "pr"))
    assert all(it["state"] == "running" for it in told["components"])
    assert len(cli_docker.containers(site)) == 2
    down = site.start("down", "--name", name(site, "pr"))
    down.send(signal.SIGKILL)
    down.ends()
    site.ok("down", "--name", name(site, "pr"))
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])


def test_a_failure_is_told_and_leaves_nothing(site: Site) -> None:
    done = site.run("up", "--image", "web=127.0.0.1:1/shop:c1")
    assert done.returncode == 4 and "registry `127.0.0.1:1`" in done.stderr and "hint:" in done.stderr, done.stderr
    compose = site.directory / "compose.yaml"
    compose.write_text(COMPOSE.replace("ADDRESS: 0.0.0.0, VERSION: \"${COPY", "ADDRESS: nowhere, VERSION: \"${COPY"))
    done = site.run("up")
    assert done.returncode == 1 and "component `web` exited with code" in done.stderr, done.stderr
    assert "log:" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("up", "--name", "PR 42"), 3, "environment name `PR 42` contains `P`"),
        (("up", "--only", "wep"), 3, "there is no component `wep`"),
        (("port", "web", "8080"), 3, "there is no environment"),
        (("port", "web", "http"), 2, "`http` is not a valid integer range"),
        (("logs", "web", "--tail", "0"), 2, "`0` is neither a number of lines nor `all`"),
        (("down", "-f", "no-such.yaml"), 3, "there is no file `no-such.yaml`"),
    ],
)
def test_what_is_wrong_is_told(site: Site, words: tuple[str, ...], code: int, message: str) -> None:
    done = site.run(*words)
    assert done.returncode == code and message in done.stderr, f"{done.returncode}: {done.stderr}"
    assert "Traceback" not in done.stderr


def test_the_engine_s_other_things_are_left_alone(site: Site) -> None:
    theirs = f"{name(site, 'pr')}-web"
    run = ["docker", "run", "--detach", "--name", theirs, "haddock-demo:c1"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    try:
        done = site.run("up", "--name", name(site, "pr"))
        assert done.returncode == 1 and theirs in done.stderr, done.stderr
        site.ok("down", "--name", name(site, "pr"))
        there = ["docker", "inspect", "--format", "{{.State.Running}}", theirs]
        assert subprocess.run(there, capture_output=True, text=True, check=True).stdout.strip() == "true"
        assert cli_docker.containers(site) == []
    finally:
        subprocess.run(["docker", "rm", "--force", theirs], check=True, stdout=subprocess.DEVNULL)


def test_a_log_is_followed_until_its_container_ends(site: Site) -> None:
    copy = name(site, "pr")
    site.ok("up", "--name", copy)
    following = site.start("logs", "web", "--name", copy, "--follow")
    following.says("listens on")
    # The application writes nothing more: it is quiet, and then gone.
    assert following.process.poll() is None
    site.ok("down", "--name", copy)
    assert following.ends() == 0, following.text


def test_ports_are_told_in_the_form_that_is_wanted(site: Site) -> None:
    copy = name(site, "pr")
    site.ok("up", "--name", copy)
    address = site.ok("port", "--name", copy, "web", "8080").strip()
    host, _, port = address.rpartition(":")
    env = site.ok("port", "--name", copy, "--format", "env").splitlines()
    assert {f"WEB_8080={address}", f"WEB_8080_HOST={host}", f"WEB_8080_PORT={port}"} <= set(env)
    told = subprocess.run(["sh", "-c", 'eval "$1"; echo "$WEB_8080_PORT"', "sh", "\n".join(env)], capture_output=True, text=True)
    assert told.stdout.strip() == port, "a shell reads it"
    assert f"web.8080.port={port}" in site.ok("port", "--name", copy, "--format", "properties").splitlines()
    assert {"component": "web", "port": 8080, "address": address} in site.json("port", "--name", copy)["ports"]
    assert site.run("port", "--name", copy, "web").returncode == 2


def test_what_runs_is_drawn_and_compared_with_the_file(site: Site) -> None:
    copy = name(site, "pr")
    site.ok("up", "--name", copy)
    drawn = site.ok("show", "--name", copy).splitlines()
    assert drawn[1].startswith("web  running  8080 at 127.0.0.1:") and drawn[2].startswith("└─ store as db  running  8080 at ")
    assert site.ok("diff", "--name", copy) == "there is no difference\n"
    subprocess.run(["git", "init", "--quiet"], cwd=site.directory, check=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "add", "compose.yaml"], cwd=site.directory, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "before"], cwd=site.directory, check=True)
    file = site.directory / "compose.yaml"
    file.write_text(COMPOSE.replace("hunter2", "hunter3"))
    done = site.run("diff", "--name", copy, "--json")
    assert done.returncode == 1 and "hunter" not in done.stdout + done.stderr
    [found] = json.loads(done.stdout)["differences"]
    assert found == {"path": "services.web.environment.PASSWORD", "was": "***", "now": "***"}
    assert site.ok("diff", "--name", copy, "--file", "compose.yaml", "--commit", "HEAD") == "there is no difference\n"
    assert site.run("diff", "--name", copy, "--file", "compose.yaml", "--commit", "no-such").returncode == 3
    subprocess.run(["docker", "stop", "--time", "1", f"{copy}-web"], check=True, capture_output=True)
    live = {it["path"]: it for it in json.loads(site.run("diff", "--name", copy, "--json").stdout)["differences"]}
    found = live["live.web.state"]
    assert found["was"].startswith("ended with exit code") and found["now"] == "running", found


FIXTURE = """
import haddock.testing, urllib.request
shop = haddock.testing.environment_fixture("compose.yaml", name="NAME", connect={"state": "STATE"})

def test_it_answers(shop):
    assert urllib.request.urlopen(f"http://{shop.address('web', 8080)}/health").status == 200

def test_it_fails(shop):
    assert False
"""


def fixture(site: Site, text: str) -> str:
    """What pytest says of tests with a fixture."""
    test = site.directory / "test_shop.py"
    test.write_text(text.replace("STATE", str(site.state)))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", str(test)], cwd=site.directory, env=site.env,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_a_fixture_has_an_environment_and_its_logs_where_a_test_fails(site: Site) -> None:
    said = fixture(site, FIXTURE.replace("NAME", name(site, "fixture")))
    assert "1 failed, 1 passed" in said, said
    assert f"log of `web` of `{name(site, 'fixture')}`" in said and "listens on" in said
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])


def test_a_fixture_that_does_not_come_up_shows_its_own_logs(site: Site) -> None:
    (site.directory / "bad.yaml").write_text(COMPOSE.replace("ADDRESS: 0.0.0.0, VERSION: \"${COPY", "ADDRESS: nowhere, VERSION: \"${COPY"))
    bad = 'bad = haddock.testing.environment_fixture("bad.yaml", connect={"state": "STATE"})'
    said = fixture(site, f"{FIXTURE.replace('NAME', name(site, 'fixture'))}\n{bad}\n\ndef test_bad(shop, bad):\n    pass\n")
    assert "1 failed, 1 passed, 1 error" in said, said
    report = said[said.index("ERROR at setup of test_bad") : said.index("= FAILURES =")]
    assert "component `web` exited with code" in report and "ADDRESS" in report, report
    assert "log of `store` of `shop-test-" in report and "log of `web` of `shop-test-" in report, report
    assert f"of `{name(site, 'fixture')}`" not in report, "the other fixture's have nothing to do with it"
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])


def test_serve_ends_what_nobody_uses(site: Site) -> None:
    file = site.directory / "compose.yaml"
    file.write_text(f"{COMPOSE}x-haddock: {{ idle: {{ stop_after: 1s, remove_after: 4s }} }}\n")
    site.ok("up", "--name", name(site, "idle"))
    file.write_text(COMPOSE)
    site.ok("up", "--name", name(site, "kept"))
    serving = site.start("serve", "--monitor", "1s")
    serving.says(f"environment `{name(site, 'idle')}` is removed")
    assert [it["name"] for it in site.json("ls")["environments"]] == [name(site, "kept")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing_half_made(site: Site, number: signal.Signals) -> None:
    file = site.directory / "compose.yaml"
    file.write_text(COMPOSE.replace('expose: ["8080"]', 'expose: ["8080", "9"]').replace("stop_grace", "volumes: [/anon]\n    stop_grace", 1))
    copy = name(site, "signal")
    up = site.start("up", "--name", copy)
    up.says("store: waits for its ports to answer")
    up.send(number)
    assert up.ends(15) == 128 + number, up.text
    assert "interrupted" in up.text and "run the same command again to do the rest" in up.text
    left = [cli_docker.listed(site, *words) for words in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))]
    assert left == [[], [], []]
    file.write_text(COMPOSE)
    site.ok("up", "--name", copy)
    down = site.start("down", "--name", copy)
    down.says("stopping")
    down.send(number)
    assert down.ends(15) in (0, 128 + number), down.text
    site.ok("down", "--name", copy)
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])
