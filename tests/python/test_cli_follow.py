"""`haddock serve --follow` against a real registry: tags that come faster than releases, two of them bad, under load."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import own_registry
from cli_load import Load, assert_clean
from cli_site import Site, until

pytestmark = pytest.mark.docker

COMPOSE = """\
name: demo
services:
  web:
    image: "IMAGE:${TAG}"
    environment: { VERSION: "${TAG}", ADDRESS: 0.0.0.0, SESSION_IDLE_SECONDS: "4" }
    expose: ["8080"]
    stop_grace_period: 2s
x-haddock:
  ready: { http: /health, within: 3s }
  session: { idle: 4s, ignore: [/health] }
  release: { ramp: [50%, 100%], every: 1s, settle: 1s }
  follow: { release: "main-*", every: 500ms }
"""
NEWEST = 20


class Shop:
    """A repository in a registry of our own."""

    def __init__(self, folder: Path) -> None:
        address, self.process = own_registry.start(folder)
        self.image = f"{address}/haddock-test-{uuid.uuid4().hex[:8]}"
        self.tags: list[str] = []

    def build(self, tag: str, *lines: str) -> None:
        """Makes an image of the demo application that no other tag has."""
        dockerfile = "\n".join(["FROM haddock-demo:c1", f"LABEL test.tag={tag}", *lines, ""])
        docker("build", "--quiet", "--tag", f"{self.image}:{tag}", "-", text=dockerfile)
        self.tags.append(tag)

    def push(self, tag: str) -> None:
        """Puts it into the registry."""
        docker("push", "--quiet", f"{self.image}:{tag}")

    def close(self) -> None:
        """Takes all of it off the engine."""
        self.process.kill()
        self.process.wait()
        for tag in self.tags:
            subprocess.run(["docker", "rmi", f"{self.image}:{tag}"], check=False, capture_output=True)


def docker(*words: str, text: str | None = None) -> None:
    """Runs the `docker` command."""
    done = subprocess.run(["docker", *words], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A registry."""
    cli_docker.required()
    shop = Shop(tmp_path)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def site(tmp_path: Path, shop: Shop) -> Iterator[Site]:
    """A place with the compose file that follows it."""
    with cli_docker.place(tmp_path, COMPOSE.replace("IMAGE", shop.image)) as site:
        yield site


def events(site: Site, kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in site.lines("history", "demo") if event["kind"] == kind]


def test_twenty_tags_and_two_are_bad(site: Site, shop: Shop) -> None:
    """The last good one serves, the bad ones are marked, no session is lost, and nothing is left to wait for."""
    shop.build("main-0")
    for number in range(1, NEWEST + 1):
        # The newest two never answer: one listens elsewhere, the other ends at once.
        faults = {NEWEST: ["ENV PORT=9999"], NEWEST - 1: ['ENTRYPOINT ["/nothing"]']}
        shop.build(f"main-{number}", *faults.get(number, []))
    shop.push("main-0")
    serve = site.start("serve", "--follow")
    serve.says(f"controller: follows {shop.image}:main-*; `main-0` is next")
    until("the first release", lambda: site.run("status").returncode == 0 and site.json("status")["known_good"] == 1)
    load = Load(site, rate=100, stay=1.0, idle=4)
    for number in range(1, NEWEST + 1):
        shop.push(f"main-{number}")

    def served() -> str | None:
        status = site.json("status")
        good = next(version for version in status["versions"] if version["version"] == status["known_good"])
        over = status["release"] is None and status["follow"]["tag"] is None
        return good["images"]["web"].rpartition(":")[2] if over else None

    until(f"main-{NEWEST - 2} serves", lambda: served() == f"main-{NEWEST - 2}")
    assert_clean(load.stop())
    images = {one["version"]: one["images"]["web"].rpartition(":")[2] for one in events(site, "release_started")}
    aborted = [images[one["version"]] for one in events(site, "release_aborted")]
    assert aborted == [f"main-{NEWEST}", f"main-{NEWEST - 1}"], aborted
    lost = [one["sessions_lost"] for one in events(site, "instance_retiring")]
    assert not any(lost), lost
    skipped = [tag for one in events(site, "tags_skipped") for tag in one["tags"]]
    released = set(images.values())
    assert set(shop.tags) == released | set(skipped), "each was released or is told of"
    # Another look finds nothing, and the same image under another name does not come back.
    docker("tag", f"{shop.image}:main-{NEWEST}", f"{shop.image}:main-again")
    shop.tags.append("main-again")
    shop.push("main-again")
    serve.says("`main-again` is not released by itself: version")
    assert served() == f"main-{NEWEST - 2}"
    assert f"follows     {shop.image}:main-*" in site.ok("status")


def test_a_file_that_says_nothing(site: Site) -> None:
    """It is refused before anything begins."""
    file = site.directory / "compose.yaml"
    file.write_text(file.read_text().replace('  follow: { release: "main-*", every: 500ms }\n', ""))
    for words in (["serve", "--follow"], ["serve", "controller", "--follow-file", "compose.yaml"]):
        done = site.run(*words)
        assert done.returncode != 0, done.stdout
        assert "does not say which tags are released by themselves" in done.stderr, done.stderr
