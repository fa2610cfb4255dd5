"""`haddock serve --follow` against a real registry, under load: tags that come faster than releases, and bad ones among them."""

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


def tag_of(image: str) -> str:
    return image.rpartition(":")[2]


def test_one_that_answers_with_errors_is_stopped_by_the_guard(site: Site, shop: Shop) -> None:
    """It starts well and fails under load: it is marked bad, nobody on a good version notices, and it does not come back."""
    file = site.directory / "compose.yaml"
    # The stages are long enough for the guard to be the one who ends it.
    file.write_text(file.read_text().replace("ramp: [50%, 100%], every: 1s", "ramp: [50%, 100%], every: 15s"))
    shop.build("main-0")
    shop.build("main-1", "ENV ERROR_RATE=0.5")
    shop.build("main-2")
    shop.push("main-0")
    serve = site.start("serve", "--follow")
    serve.says(f"controller: follows {shop.image}:main-*; `main-0` is next")
    until("the first release", lambda: site.run("status").returncode == 0 and site.json("status")["known_good"] == 1)
    load = Load(site, rate=200, stay=1.0, idle=4)
    person, cookie = site.get()
    with site.kept(cookie):
        shop.push("main-1")
        until("it is given up", lambda: events(site, "release_aborted"))
        until("it is gone", lambda: {one["version"] for one in site.json("status")["instances"]} == {1})
        again, _ = site.get(cookie=cookie)
    assert (again["instance"], again["version"]) == (person["instance"], "main-0"), "the good version kept its session"
    summary = load.stop()

    # It was ready, it had a share, and nobody has asked for its end.
    kinds = [event["kind"] for event in site.lines("history", "demo")]
    instances = {one["instance"]: one["version"] for one in events(site, "instance_starting")}
    assert [instances[one["instance"]] for one in events(site, "instance_serving")].count(2) == 1
    assert kinds.index("judged") < kinds.index("release_aborting") < kinds.index("release_aborted")
    [aborted] = events(site, "release_aborted")
    assert aborted["version"] == 2 and aborted["reason"]["failed"]["kind"] == "harmful", aborted
    assert {one["verb"] for one in events(site, "request_taken")} == {"release"}
    [first, second] = site.json("status")["versions"]
    assert (first["verdict"], second["verdict"]) == ("settled", "bad")
    harm = second["harm"]
    assert harm["finding"] == "harmful" and harm["failed"] > 0 and harm["baseline_failed"] == 0, harm

    # Only its own sessions ended.
    lost = {instances[one["instance"]]: one["sessions_lost"] for one in events(site, "instance_retiring")}
    assert set(lost) == {2}, lost
    # Some of these had left the shop before, and did not notice.
    assert summary["lost"] + summary["moved"] <= lost[2], (summary, lost)
    assert summary["lapsed"] == 0 and summary["failed_sessions"] > 0 and summary["begun_by_version"]["main-0"] > 0, summary

    # Whoever follows next knows it, under any name. The next good one is released past it.
    serve.close()
    serve = site.start("serve", "--follow")
    serve.says(f"controller: follows {shop.image}:main-*")
    docker("tag", f"{shop.image}:main-1", f"{shop.image}:main-1-again")
    shop.tags.append("main-1-again")
    shop.push("main-1-again")
    serve.says("`main-1-again` is not released by itself: version")
    follow = site.json("status")["follow"]
    assert follow["tag"] is None and {"main-1", "main-1-again"} <= set(follow["skipped"]), follow
    load = Load(site, rate=200, stay=1.0, idle=4)
    shop.push("main-2")
    until("main-2 serves", lambda: site.json("status")["known_good"] == 3)
    assert_clean(load.stop())
    released = [tag_of(one["images"]["web"]) for one in events(site, "release_started")]
    assert released == ["main-0", "main-1", "main-2"], released
    assert site.json("status")["follow"]["tag"] is None


def test_a_file_that_says_nothing(site: Site) -> None:
    """It is refused before anything begins."""
    file = site.directory / "compose.yaml"
    file.write_text(file.read_text().replace('  follow: { release: "main-*", every: 500ms }\n', ""))
    for words in (["serve", "--follow"], ["serve", "controller", "--follow-file", "compose.yaml"]):
        done = site.run(*words)
        assert done.returncode != 0, done.stdout
        assert "does not say which tags are released by themselves" in done.stderr, done.stderr
