"""Images that go through a registry with accounts and a private certificate: released from it, and run elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import cli_machine
from cli_machine import Machine
from cli_site import Site, name, until

pytestmark = pytest.mark.docker

COMPOSE = """\
name: NAME
services:
  web:
    image: "IMAGE"
    expose: ["8080"]
    stop_grace_period: 2s
x-haddock:
  entry: web:8080
  ready: /health
  session: { idle: 4s, ignore: [/health] }
  release: { ramp: [50%, 100%], every: 1s, settle: 1s }
"""


class Shop:
    """A tree with a service that keeps sessions, the registry that it goes to, and the other machine."""

    def __init__(self, site: Site, there: Machine, registry: str, configuration: Path) -> None:
        self.site, self.there, self.configuration = site, there, configuration
        self.root = site.directory / "images"
        self.prefix = f"{registry}/haddock-test-{uuid.uuid4().hex[:8]}"
        for folder in ("runtime", "web"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "haddock-images.yaml").write_text(f"prefix: {self.prefix}\n")
        (self.root / "runtime/Dockerfile").write_text('FROM scratch\nCOPY app /\nENTRYPOINT ["/app"]\n')
        shutil.copy(demo_app(), self.root / "runtime/app")
        self.version("one")

    def version(self, version: str) -> None:
        """Writes another version of the service."""
        (self.root / "web/Dockerfile").write_text(f"FROM runtime\nENV VERSION={version} PORT=8080\nEXPOSE 8080\n")

    def push(self, tag: str) -> dict[str, Any]:
        """Builds and pushes all."""
        told = json.loads(self.site.ok("build", str(self.root), "--tag", tag, "--push", "--json"))
        return {image["name"]: image for image in told["images"]}

    def compose(self, image: str) -> None:
        """Writes the compose file, with this image."""
        text = COMPOSE.replace("NAME", name(self.site, "shop")).replace("IMAGE", image)
        (self.site.directory / "compose.yaml").write_text(text)

    def wipe(self) -> None:
        """Takes all its names off this machine's engine."""
        told = subprocess.run(
            ["docker", "images", "--digests", "--format", "{{json .}}", "--filter", f"reference={self.prefix}/*"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for image in map(json.loads, told.splitlines()):
            for end in (f":{image['Tag']}", f"@{image['Digest']}"):
                if "<none>" not in end:
                    subprocess.run(["docker", "rmi", image["Repository"] + end], check=False, capture_output=True)

    def ids(self) -> set[str]:
        """The images that this machine's engine has of it."""
        words = ["docker", "images", "--quiet", "--no-trunc", "--filter", f"reference={self.prefix}/*"]
        return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def demo_app() -> Path:
    """The demo application, which needs nothing beside it."""
    cli_docker.images()
    target = Path(os.environ.get("CARGO_TARGET_DIR", cli_docker.ROOT / "target"))
    [app] = target.glob("static/*/release/haddock-demo-app")
    return app


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The tree; at the end nothing of it is on an engine."""
    with cli_machine.machine() as there, cli_machine.registry(tmp_path / "registry", there.here) as registry:
        # The credentials are those of somebody who has logged in.
        with cli_docker.place(tmp_path / "site", DOCKER_CONFIG=str(tmp_path / "registry")) as site:
            shop = Shop(site, there, registry, tmp_path / "registry")
            try:
                yield shop
            finally:
                site.close()
                cli_docker.clean(site)
                shop.wipe()


def test_a_machine_that_has_only_the_registry_builds_nothing_and_runs_what_it_pulls(shop: Shop) -> None:
    built = shop.push("v1")
    assert {image["action"] for image in built.values()} == {"build"}
    shop.compose(f"{shop.prefix}/web:${{TAG}}")
    checkout = shop.there.folder / "checkout"
    shutil.copytree(shop.root, checkout)
    assert shop.there.docker("images", "--quiet") == "", "it begins with nothing"

    def there(*words: str) -> str:
        return shop.there.haddock(*words, cwd=shop.site.directory, configuration=shop.configuration)

    # Another tag: what is the same is found by what it is made of.
    plan = json.loads(there("build", str(checkout), "--tag", "v2", "--dry-run", "--json"))["images"]
    assert {image["name"]: image["action"] for image in plan} == {"runtime": "pull", "web": "pull"}, plan
    pulled = json.loads(there("build", str(checkout), "--tag", "v2", "--json"))["images"]
    assert {image["name"]: image["id"] for image in pulled} == {name: image["id"] for name, image in built.items()}
    again = json.loads(there("build", str(checkout), "--tag", "v2", "--dry-run", "--json"))["images"]
    assert {image["action"] for image in again} == {"keep"}, again

    there("up", "--name", "copy", "--tag", "v2")
    answer = json.loads(shop.there.fetch(there("port", "--name", "copy", "web", "8080").strip()))
    assert (answer["version"], answer["count"]) == ("one", 1), "the image runs there"
    there("down", "--name", "copy", "--volumes")


def test_a_release_takes_its_image_from_the_registry_by_tag_and_by_digest(shop: Shop) -> None:
    one = shop.push("v1")
    shop.version("two")
    two = shop.push("v2")
    assert {name: image["action"] for name, image in two.items()} == {"runtime": "keep", "web": "build"}
    shop.wipe()
    assert shop.ids() == set(), "nothing of it is left here"

    shop.site.ok("pull", str(shop.root), "web", "--tag", "v1")
    assert shop.ids() == {one["web"]["id"]}, "the same image, and that alone"
    shop.compose(f"{shop.prefix}/web:${{TAG}}")
    shop.site.start("serve").says("gateway: clients at")
    shop.site.ok("release", "--tag", "v1")
    first, cookie = shop.site.get()
    assert (first["version"], first["count"]) == ("one", 1)
    assert shop.ids() == {one["web"]["id"]}

    with shop.site.kept(cookie):
        shop.site.ok("release", "--image", f"web={shop.prefix}/web@{two['web']['digest']}")
        until("new sessions get the new version", lambda: shop.site.get()[0]["version"] == "two")
        kept, _ = shop.site.get(cookie=cookie)
        assert kept["version"] == "one" and kept["count"] > 1, "whoever was there has kept the session"
    until("the old version is gone", lambda: len(cli_docker.containers(shop.site)) == 1)
    images = {
        subprocess.run(["docker", "inspect", "--format", "{{.Image}}", it], capture_output=True, text=True, check=True).stdout.strip()
        for it in cli_docker.containers(shop.site)
    }
    assert images == {two["web"]["id"]}, "what was pushed is what runs"
