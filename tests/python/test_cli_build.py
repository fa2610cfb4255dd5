"""`haddock up --build` and `haddock release --build` on the engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
from cli_site import Site, call, name, until

pytestmark = pytest.mark.docker

COMPOSE = """\
name: NAME
services:
  web:
    image: "NAME-web:${TAG:-one}"
    build: { context: web, additional_contexts: { base: "service:base", pages: ./pages } }
    environment: { ADDRESS: 0.0.0.0 }
    ports: ["127.0.0.1::8080"]
    stop_grace_period: 2s
  base:
    image: "NAME-base:1"
    build: { dockerfile_inline: "FROM haddock-demo:c1", context: ./base }
    stop_grace_period: 2s
"""


class Project:
    """A project whose images have names of their own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name = name(site, "built")
        self.write("compose.yaml", COMPOSE.replace("NAME", self.name))
        self.version("first")
        self.write("pages/index", "hello")
        self.write("base/nothing", "")

    def write(self, path: str, text: str) -> None:
        file = self.site.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def version(self, text: str) -> None:
        self.write("web/Dockerfile", f"FROM base\nCOPY --from=pages index /index\nENV VERSION={text}\n")

    def actions(self, images: list[dict[str, Any]]) -> dict[str, str]:
        return {image["name"]: image["action"] for image in images}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with cli_docker.place(tmp_path, HADDOCK_BRANCH=f"Test/{tmp_path.name[-12:]}") as site:
        project = Project(site)
        yield project
    told = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={project.name}-*"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if names := told.stdout.split():
        subprocess.run(["docker", "rmi", *names], check=True, capture_output=True)


def test_up_builds_what_has_changed(project: Project) -> None:
    site = project.site
    refused = site.run("up")
    assert refused.returncode != 0 and "--build" in refused.stderr, refused.stderr

    planned = site.json("up", "--build", "--dry-run")
    assert project.actions(planned["images"]) == {"base": "build", "web:pages": "build", "web": "build"}
    assert cli_docker.containers(site) == []

    up = site.json("up", "--build")
    assert project.actions(up["images"]) == {"base": "build", "web:pages": "build", "web": "build"}
    address = site.ok("port", "web", "8080").strip()
    assert call(address, "/")["version"] == "first"

    # Nothing has changed: nothing is built, and the container stays.
    again = site.json("up", "--build")
    assert set(project.actions(again["images"]).values()) == {"keep"}
    assert {it["change"] for it in again["changes"]} == {"keep"}

    project.version("second")
    up = site.json("up", "--build")
    assert project.actions(up["images"]) == {"base": "keep", "web:pages": "keep", "web": "build"}
    assert {it["component"]: it["change"] for it in up["changes"]} == {"base": "keep", "web": "replace"}
    assert call(site.ok("port", "web", "8080").strip(), "/")["version"] == "second"

    project.write("compose.yaml", COMPOSE.replace("NAME", project.name).replace("context: web,", "context: web, privileged: true,"))
    wrong = site.run("up", "--build")
    assert wrong.returncode != 0 and "`build.privileged` of component `web`" in wrong.stderr, wrong.stderr


def test_release_builds_first(project: Project) -> None:
    site = project.site
    file = COMPOSE.replace("NAME", project.name).replace('    ports: ["127.0.0.1::8080"]\n', '    expose: ["8080"]\n')
    project.write("compose.yaml", file + "x-haddock: { session: { idle: 2s }, release: { ramp: [100%], settle: 1s } }\n")
    site.start("serve").says("controller: ")
    lines = site.lines("release", "--build", "--tag", "one")
    assert lines[0]["kind"] == "built" and project.actions(lines[0]["images"])["web"] == "build"
    assert lines[-1]["kind"] == "done"
    assert site.get("/")[0]["version"] == "first"

    project.version("second")
    plan = site.json("release", "--build", "--dry-run", "--tag", "two")
    assert project.actions(plan["images"])["web"] == "build" and plan["steps"]
    lines = site.lines("release", "--build", "--tag", "two")
    assert lines[-1]["version"] == 2, json.dumps(lines[-1])
    until("new sessions get it", lambda: site.get("/")[0]["version"] == "second")
