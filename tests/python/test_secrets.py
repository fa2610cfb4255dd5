"""Values of variables are nowhere but where they have to be: a search for markers in all that is shown and kept."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import haddock
from cli_site import Site, name
from haddock.testing import World

PLACES = (
    "command entrypoint label check hostname extra domain url volume network buildarg hook receiver production secret"
).split()
"""Each has a variable of its own, whose value is its marker."""

PARTS = """\
    environment: { ROWS: /data/rows, LITERAL: mk-literal, URL: "postgres://me:${S_URL}@db/shop" }
    env_file: [secret.env]
    entrypoint: ["sh", "-c", "exec /haddock-demo-app", "${S_ENTRYPOINT}"]
    command: ["${S_COMMAND}"]
    labels: { token: "${S_LABEL}" }
    hostname: "${S_HOSTNAME}"
    domainname: "${S_DOMAIN}"
    extra_hosts: ["${S_EXTRA}:10.9.9.9"]
    healthcheck: { test: ["CMD", "sh", "-c", ": ${S_CHECK}"], interval: 1s }
    secrets: [token, other]
    build: { context: ., args: { PASSWORD: "${S_BUILDARG}" } }
    expose: ["8080"]
    stop_grace_period: 2s
"""

COMPOSE = f"""\
name: NAME
services:
  db:
    image: haddock-demo-shell:c1
    volumes: ["books:/data", "memory:/memory"]
{PARTS}
  web:
    image: "${{IMAGE}}:${{TAG}}"
    links: [db]
{PARTS}
networks: {{ default: {{ labels: {{ token: "${{S_NETWORK}}" }} }} }}
volumes:
  books: {{ labels: {{ token: "${{S_VOLUME}}" }} }}
  memory: {{ driver_opts: {{ type: tmpfs, device: "${{S_VOLUME}}", o: "size=1m" }} }}
secrets:
  token: {{ file: secret.txt }}
  other: {{ environment: S_SECRET }}
x-haddock:
  entry: web:8080
  ready: /health
  session: {{ idle: 2s, ignore: [/health] }}
  production: {{ variables: {{ web: {{ KEY: "${{S_PRODUCTION}}" }} }} }}
  release:
    ramp: [100%]
    every: 1s
    settle: 1s
    hooks: {{ serving: ["sh", "-c", ": ${{S_HOOK}}"] }}
  notify: ["cat > /dev/null # ${{S_RECEIVER}}", "http://me:${{S_RECEIVER}}@127.0.0.1:1/${{S_RECEIVER}}"]
"""


def variables() -> dict[str, str]:
    return {f"S_{place.upper()}": f"mk-{place}" for place in PLACES}


def prepared(directory: Path, service: str) -> None:
    (directory / "compose.yaml").write_text(COMPOSE.replace("NAME", service))
    (directory / "secret.env").write_text("FROM_FILE=mk-envfile\n")
    (directory / "secret.txt").write_text("mk-file\n")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place on the engine where each thing that may hold a secret holds one, and a registry has credentials."""
    cli_docker.required()
    image = cli_docker.image_with_shell().partition(":")[0]
    docker = tmp_path / "docker"
    docker.mkdir()
    auth = base64.b64encode(b"me:mk-registry").decode()
    (docker / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:1": {"auth": auth}}}))
    with cli_docker.place(
        tmp_path, HADDOCK_BRANCH=f"Test/{tmp_path.name[-12:]}", DOCKER_CONFIG=str(docker), IMAGE=image, RUST_LOG="trace",
        **variables(),
    ) as site:  # fmt: skip
        prepared(tmp_path, name(site, "secrets"))
        yield site


class Search:
    """Runs commands, and looks at all that they say."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.found: list[str] = []

    def __call__(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        done = self.site.run(*words)
        assert done.returncode in codes, f"haddock {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.look(f"haddock {' '.join(words)}", done.stdout + done.stderr)
        return done.stdout

    def both(self, *words: str, codes: tuple[int, ...] = (0,)) -> None:
        self(*words, codes=codes)
        self(*words, "--json", codes=codes)

    def look(self, what: str, text: str) -> None:
        lines = [line for line in text.splitlines() if "mk-" in line]
        self.found += [f"{what}: {line[:500]}" for line in lines[:5]]

    def end(self) -> None:
        assert not self.found, "\n".join(self.found)


@pytest.mark.docker
def test_no_command_shows_or_keeps_a_value(site: Site) -> None:
    search = Search(site)
    copy = name(site, "copy")
    search.both("config", "--tag", "c1")
    search.both("config", "--release", "--tag", "c1")
    for form in ("yaml", "json"):
        search("config", "--format", form, "--tag", "c1")
        assert "mk-command" in site.ok("config", "--format", form, "--values", "--tag", "c1")
    search.both("check", codes=(0, 1))
    up = ("up", "--name", copy, "--tag", "c1")
    search.both(*up, "--dry-run")
    search(*up, "-v")
    search.both(*up, "-vv")
    looked(search, site)
    changed = {key: f"{value}2" for key, value in variables().items()}
    site.env.update(changed)
    search.both("diff", "--name", copy, "--tag", "c1", codes=(1,))
    search.both(*up, "--dry-run")
    search(*up, "-v")
    search.both("diff", "--name", copy, "--tag", "c1")
    for words in (("show",), ("port",), ("keep", "--for", "1h"), ("history",), ("logs",)):
        search.both(*words, *(() if words[0] == "history" else ("--name", copy)), codes=(0, 2, 3, 6))
    search.both("history", "--name", copy, codes=(0, 6))
    for words in (("ls",), ("ps",), ("prune", "--idle", "--dry-run")):
        search.both(*words, codes=(0, 2, 3, 6))
    search("down", "--name", copy, "-v")
    search.end()


@pytest.mark.docker
def test_no_release_shows_or_keeps_a_value(site: Site) -> None:
    search = Search(site)
    serve = site.start("serve", "-vv")
    serve.says("gateway: clients at")
    search.both("release", "--tag", "c1", "--dry-run")
    search("release", "--tag", "c1", "-v", "--wait", "settled")
    site.env["S_COMMAND"] = "mk-other"
    search("release", "--tag", "c1", "-v", "--json", "--wait", "settled")
    search("rollback", "--dry-run")
    for words in (("status",), ("ps",), ("history",), ("check",)):
        search.both(*words, codes=(0, 1))
    with urllib.request.urlopen(f"http://127.0.0.1:{site.admin}/v1/services", timeout=10) as answer:
        search.look("the admin API", answer.read().decode())
    looked(search, site)
    search.look("serve", serve.text)
    search.end()


FAILS = {
    "a program that is not there": ('entrypoint: ["${S_X}"]', ()),
    "a program in a line": ("command: '${S_X} a'\n    entrypoint: []", ()),
    "a user": ('user: "${S_X}"', ()),
    "a folder of the host": ('volumes: [{ type: bind, source: "/nowhere/${S_X}", target: /a, bind: { create_host_path: false } }]', ()),
    "a sysctl": ('sysctls: { "net.${S_X}": "1" }', ()),
    "a logging driver's option": ('logging: { driver: json-file, options: { "a": "${S_X}", max-size: "${S_X}" } }', ()),
    "a host's address": ('extra_hosts: ["a:${S_X}"]', ()),
    "a device": ('devices: ["/dev/${S_X}:/dev/a"]', ()),
    "a variable that is required": ('command: ["${NOT_THERE:?set it, as ${S_X}}"]', ()),
    "a volume": ('volumes: ["broken:/a"]', ()),
    "an image": ("pull_policy: always", ("--image", "web=127.0.0.1:1/shop:1")),
    "a health check": ('healthcheck: { test: ["CMD", "${S_X}"], interval: 100ms, retries: 1 }', ()),
}


@pytest.mark.docker
@pytest.mark.parametrize("fails", FAILS)
def test_no_failure_shows_a_value(site: Site, fails: str) -> None:
    lines, words = FAILS[fails]
    site.env["S_X"] = "mk-failure"
    (site.directory / "compose.yaml").write_text(
        f'services:\n  web:\n    image: "haddock-demo:c1"\n    environment: {{ A: "${{S_X}}" }}\n    {lines}\n'
        'volumes: { broken: { driver_opts: { type: none, o: bind, device: "/nowhere/${S_X}" } } }\n'
    )
    search = Search(site)
    copy = name(site, "fails")
    search("up", "-vv", "--name", copy, *words, codes=(0, 1, 3, 4))
    search("up", "--json", "--keep-on-failure", "--name", copy, *words, codes=(0, 1, 3, 4))
    search.both("history", "--name", copy, codes=(0, 6))
    looked(search, site)
    search.end()


def looked(search: Search, site: Site) -> None:
    """What is on the engine and on disk."""
    for id in cli_docker.containers(site):
        [seen] = json.loads(subprocess.run(["docker", "inspect", id], capture_output=True, text=True, check=True).stdout)
        labels = {key: value for key, value in seen["Config"]["Labels"].items() if key != "token"}
        search.look("labels of a container", json.dumps(labels))
        search.look("a container's name", seen["Name"])
    for what in ("network", "volume"):
        for id in cli_docker.listed(site, what, "ls"):
            told = subprocess.run(["docker", what, "inspect", id], capture_output=True, text=True, check=True).stdout
            [seen] = json.loads(told)
            labels = {key: value for key, value in seen["Labels"].items() if key != "token"}
            search.look(f"labels of a {what}", json.dumps(labels))
    for path in site.state.rglob("*"):
        if path.is_dir() or path.is_socket():
            continue
        mode = path.stat().st_mode & 0o777
        text = path.read_bytes().decode(errors="replace")
        if "specs" in path.parent.name:
            assert mode == 0o600, f"{path}: {mode:o}"
            assert path.parent.stat().st_mode & 0o777 == 0o700
        else:
            search.look(str(path), text)


def test_no_object_shows_a_value(sim: World, tmp_path: Path) -> None:
    prepared(tmp_path, "shop")
    file = tmp_path / "compose.yaml"
    # This runtime runs no program within a container.
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "hooks:" not in line))
    (tmp_path / "failing.yaml").write_text(file.read_text().replace("${S_LABEL}", "${NONE:?x}"))
    controller, values = sim.controller, {**variables(), "IMAGE": "shop"}
    shown: list[Any] = [sim, sim.runtime, sim.locator, controller]
    shown += [controller.resolve(file, tag="v1", variables=values)]
    shown += [controller.up(file, name="copy", tag="v1", variables=values, dry_run=True)]
    shown += [controller.up(file, name="copy", tag="v1", variables=values)]
    other = {**values, "S_COMMAND": "mk-other"}
    shown += controller.diff(file, name="copy", tag="v1", variables=other)
    shown += [controller.release(file, tag="v1", variables=values, dry_run=True)]
    release = controller.release(file, tag="v1", variables=values)
    shown += [release, *release.events(until="settled"), release.wait(), controller.status("shop")]
    shown += [*controller.history("shop"), *controller.environment_history("copy"), *controller.environments()]
    containers = sim.runtime.containers()
    assert any(each.labels.get("token") == "mk-label" for each in containers), "who asks for the labels is given them"
    shown += map(repr, containers)
    with pytest.raises(haddock.ComposeFileError) as failed:
        controller.up(tmp_path / "failing.yaml", name="other", tag="v1", variables=values)
    shown += [failed.value, failed.value.to_dict()]
    for each in shown:
        text = f"{each!r} {each} {each.to_dict() if hasattr(each, 'to_dict') else vars(each) if hasattr(each, '__dict__') else ''}"
        assert "mk-" not in text, text
    assert len(shown) > 20
