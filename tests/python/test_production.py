"""From test environments to production on the engine: shared data, promotion, links that are switched."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import urllib.error
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
from cli_load import Load, assert_clean
from cli_site import Site, call, free_port, name, until

COMPOSE = cli_docker.LEDGER + """\
volumes: { books: {} }
x-haddock:
  entry: web:8080
  ready: /health
  session: { idle: 4s, ignore: [/health] }
  release: { ramp: [10%, 100%], every: 6s, settle: 1s }
"""

DEAD = "tcp://10.199.77.1:9"
"""A port of the host on the network of `outside` on which nobody listens."""

pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place with a service whose database is shared, on the engine; its gateway and controller run."""
    with cli_docker.place(tmp_path) as site:
        (tmp_path / "compose.yaml").write_text(COMPOSE.replace("NAME", name(site, "ledger")))
        site.start("serve").says("gateway: clients at")
        yield site


class Writer:
    """A client that adds one row after the other, for as long as it is asked to, and knows which were taken."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.taken: list[str] = []
        self.failed: list[str] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self) -> None:
        cookie, number = None, 0
        while not self.over.wait(0.02):
            number += 1
            try:
                _, cookie = self.site.get(f"/rows?row=r{number}", cookie, method="POST")
            except OSError as error:
                self.failed.append(f"r{number}: {error}")
            else:
                self.taken.append(f"r{number}")

    def stop(self) -> list[str]:
        self.over.set()
        self.thread.join()
        return self.taken


def containers_of(site: Site, component: str) -> list[str]:
    """The ids of the running containers of a component."""
    return cli_docker.listed(site, "ps", "--no-trunc", "--filter", f"label=haddock.component={component}")


def test_three_releases_under_load_keep_one_database_and_every_row(site: Site) -> None:
    site.ok("release", "--tag", "c1")
    [database] = containers_of(site, "db")
    load, writer = Load(site, sessions=30), Writer(site)
    for tag in ("c2", "c3", "c1"):
        site.ok("release", "--tag", tag, "--wait", "settled")
        assert containers_of(site, "db") == [database], "no release brings or replaces a database"
    taken = writer.stop()
    assert not writer.failed and len(taken) > 100
    kept = site.get("/rows")[0]["rows"]
    assert kept == taken, f"{len(taken)} rows were taken and {len(kept)} are there"
    summary = load.stop()
    assert_clean(summary)
    assert len(cli_docker.listed(site, "volume", "ls")) == 1
    refused = site.run("down", "--name", f"{site.json('status')['service']}-shared")
    assert refused.returncode == 5 and "share" in refused.stderr, refused.stderr


def test_a_fixed_port_of_a_versioned_component_is_refused_with_the_fix(site: Site) -> None:
    file = site.directory / "compose.yaml"
    file.write_text(file.read_text().replace('links: [db]\n    expose: ["8080"]', 'links: [db]\n    ports: ["8099:8080"]'))
    refused = site.run("release", "--tag", "c1")
    assert refused.returncode == 3 and "port 8099 of the host" in refused.stderr, refused.stderr
    assert "let the gateway listen on 8099" in refused.stderr and "compose.yaml:" in refused.stderr
    assert cli_docker.containers(site) == []


def test_what_was_tried_out_becomes_a_version_with_productions_rows(site: Site) -> None:
    site.ok("release", "--tag", "c1")
    site.get("/rows?row=production", method="POST")
    copy = name(site, "pr-42")
    env = site.json("up", "--name", copy, "--tag", "c2")
    assert env["name"] == copy
    tried = site.ok("port", "--name", copy, "web", "8080").strip()
    call(tried, "/rows?row=test", "POST")
    assert call(tried, "/rows")["rows"] == ["test"], "its database is its own"
    plan = site.json("promote", copy, "--dry-run")
    assert any("c2" in step for step in plan["steps"]), plan

    load = Load(site, sessions=200)
    promoted = site.start("promote", copy, "--json")
    until("the first stage is in force", lambda: share_in_force(site) == 10.0)
    versions: Counter[str] = Counter()
    for _ in range(200):
        seen, _ = site.get("/rows")
        assert seen["rows"] == ["production"], "no version sees the rows of the test"
        versions[seen["version"]] += 1
    assert share_in_force(site) in (10.0, 100.0)
    assert abs(100 * versions["c2"] / 200 - 10) <= 2, versions
    assert promoted.ends() == 0, promoted.text
    assert_clean(load.stop())
    assert site.get("/rows")[0] == {"rows": ["production"], "version": "c2"}
    assert call(tried, "/rows")["rows"] == ["test"], "the environment stays as it is"
    [listed] = [it for it in site.json("ls")["environments"] if it["name"] == copy]
    assert all(it["state"] == "running" for it in listed["components"])
    assert f"tried out as `{copy}`" in site.ok("history")
    site.ok("down", "--name", copy)


def share_in_force(site: Site) -> float | None:
    """The candidate's share of the new sessions, in percent, as the gateway has it."""
    release = (site.json("status") or {}).get("release")
    return None if release is None else round(100 * release["share_in_force"], 2)


def production(site: Site, target: str) -> None:
    """Lets the file's production use another database."""
    file = site.directory / "compose.yaml"
    text = file.read_text().split("  production:")[0]
    file.write_text(f"{text}  production: {{ links: {{ db: '{target}' }} }}\n")


@contextlib.contextmanager
def outside(site: Site, row: str) -> Iterator[str]:
    """A database that is none of Haddock's, on a network of its own, with one row; its container's name."""
    database = name(site, "outside")
    subprocess.run(["docker", "network", "create", "--subnet", "10.199.77.0/28", database], check=True, capture_output=True)
    try:
        subprocess.run(
            ["docker", "run", "--detach", "--name", database, "--network", database, "--env", "VERSION=outside",
             "--expose", "8080", "haddock-demo:c1"],
            check=True, capture_output=True,
        )  # fmt: skip
        found = subprocess.run(
            ["docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", database],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        address = f"{found.stdout.strip()}:8080"

        def add() -> bool:
            with contextlib.suppress(OSError):
                return bool(call(address, f"/rows?row={row}", "POST"))
            return False

        until("the database outside answers", add)
        yield database
    finally:
        subprocess.run(["docker", "rm", "--force", database], check=False, capture_output=True)
        joined = subprocess.run(
            ["docker", "network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", database],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        for other in joined.stdout.split():
            subprocess.run(["docker", "network", "disconnect", "--force", database, other], check=False, capture_output=True)
        subprocess.run(["docker", "network", "rm", database], check=True, capture_output=True)


def test_production_links_lead_elsewhere_and_a_dead_target_changes_nothing(site: Site) -> None:
    site.ok("release", "--tag", "c1")
    copy = name(site, "pr-43")
    with outside(site, "books") as database:
        production(site, DEAD)
        site.ok("up", "--name", copy, "--tag", "c2")
        load = Load(site, sessions=40)
        refused = site.run("promote", copy)
        assert refused.returncode != 0 and DEAD in refused.stderr, refused.stderr
        assert site.json("status")["release"] is None
        assert site.get("/rows")[0] == {"rows": [], "version": "c1"}, "the old link is there, and the old version"
        production(site, f"container:{database}")
        site.ok("up", "--name", copy, "--tag", "c2")
        site.ok("promote", copy)
        assert site.get("/rows")[0] == {"rows": ["books"], "version": "c2"}
        assert_clean(load.stop())


def test_a_link_is_switched_and_comes_back_if_that_does_not_work(site: Site) -> None:
    copy = name(site, "pr-44")
    site.ok("up", "--name", copy, "--tag", "c1")

    def rows() -> Any:
        return call(site.ok("port", "--name", copy, "web", "8080").strip(), "/rows")["rows"]

    call(site.ok("port", "--name", copy, "web", "8080").strip(), "/rows?row=own", "POST")
    missing = site.run("link", "--name", copy, "db", f"{copy}-x/db")
    assert missing.returncode != 0 and "is not there" in missing.stderr, missing.stderr
    nobody = site.run("link", "--name", copy, "web", "container:x")
    assert nobody.returncode != 0, nobody.stderr
    assert rows() == ["own"]
    with outside(site, "theirs") as database:
        dead = site.run("link", "--name", copy, "db", DEAD)
        assert dead.returncode != 0 and "does not answer" in dead.stderr, dead.stderr
        assert rows() == ["own"]
        for live in ((), ("--live",)):
            switched = site.json("link", "--name", copy, "db", f"container:{database}", *live)
            assert switched["users"] == ["web"], switched
            assert rows() == ["theirs"]
            site.ok("link", "--name", copy, "db", "--back", *live)
            assert rows() == ["own"]
        site.ok("link", "--name", copy, "db", f"container:{database}", "--live")
        again = site.json("up", "--name", copy, "--tag", "c1")
        assert [it["component"] for it in again["changes"] if it["change"] != "keep"] == ["web"]
        assert rows() == ["own"], "what the file says is back"
    site.ok("down", "--name", copy)


def test_an_alias_has_one_owner_all_along_and_is_looked_up_within(site: Site) -> None:
    file = site.directory / "compose.yaml"
    file.write_text(file.read_text().replace('"haddock-demo:${TAG}"', cli_docker.image_with_getent()))
    copy = name(site, "pr-45")
    site.ok("up", "--name", copy)

    def found() -> set[str]:
        ran = site.run("exec", "--name", copy, "web", "--", "getent", "ahosts", "db")
        return {line.split()[0] for line in ran.stdout.splitlines() if line.strip()} if ran.returncode == 0 else set()

    own = found()
    assert len(own) == 1
    with outside(site, "theirs") as database:
        for live in ((), ("--live",)):
            owners: list[set[str]] = []
            over = threading.Event()

            def look(owners: list[set[str]] = owners, over: threading.Event = over) -> None:
                while not over.is_set():
                    owners.append(found())

            looking = threading.Thread(target=look)
            looking.start()
            switched = site.json("link", "--name", copy, "db", f"container:{database}", *live)
            assert switched["verified"] == ["web"], "it was looked up within"
            theirs = found()
            assert len(theirs) == 1 and theirs.isdisjoint(own)
            site.ok("link", "--name", copy, "db", "--back", *live)
            over.set()
            looking.join()
            assert found() == own
            assert all(len(seen) <= 1 for seen in owners), f"never two at once: {owners}"
            assert {frozenset(seen) for seen in owners if seen} <= {frozenset(own), frozenset(theirs)}
    site.ok("down", "--name", copy)


def test_clients_wait_while_the_link_of_an_adopted_environment_is_switched(site: Site) -> None:
    file = site.directory / "compose.yaml"
    text = file.read_text()
    port = free_port()
    fixed = text.replace('links: [db]\n    expose: ["8080"]', f'links: [db]\n    ports: ["127.0.0.1:{port}:8080"]')
    copy, service = name(site, "old"), name(site, "ledger")
    file.write_text(fixed)
    site.ok("up", "--name", copy, "--tag", "c1")
    file.write_text(text)
    site.ok("adopt", service, "--address", f"127.0.0.1:{port}", "--tag", "c1")

    def serves() -> bool:
        with contextlib.suppress(urllib.error.HTTPError):
            return bool(site.get("/rows")[0]["rows"] == [])
        return False

    until("it is served through the gateway", serves)
    with outside(site, "theirs") as database:
        failed: list[str] = []
        seen: list[list[str]] = []
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                try:
                    seen.append(site.get("/rows")[0]["rows"])
                except (OSError, urllib.error.HTTPError) as error:
                    failed.append(str(error))

        clients = [threading.Thread(target=ask) for _ in range(8)]
        for client in clients:
            client.start()
        site.ok("link", "--name", copy, "db", f"container:{database}")
        until("clients see the other database", lambda: seen and seen[-1] == ["theirs"])
        over.set()
        for client in clients:
            client.join()
        assert not failed, failed
    # It is an instance now: nobody ends it by mistake.
    refused = site.run("down", "--name", copy)
    assert refused.returncode == 5 and f"instance of `{service}`" in refused.stderr, refused.stderr
    looked = [site.json("prune", "--idle", "--stop-after", "1ms")["environments"] for _ in range(3)]
    [last] = [it for it in looked[-1] if it["name"] == copy]
    assert last["verdict"] == "used" and service in last["why"], last
    assert site.get("/")[0]["version"] == "c1", "it goes on"
