"""What runs before a version, hooks within instances, and who is notified: on the engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import cli_docker
from cli_load import Load, assert_clean
from cli_site import Site, call, name, until

COMPOSE = cli_docker.LEDGER + """\
  migrate:
    image: "haddock-demo:${TAG}"
    environment: { STORE: "STORED" }
    command: [row, migrated]
    links: [db]
volumes: { books: {} }
x-haddock:
  entry: web:8080
  ready: /health
  session: { idle: 4s, ignore: [/health] }
  release:
    replicas: 2
    ramp: [50%, 100%]
    every: 2s
    settle: 1s
    before: migrate
    hooks: { serving: [/haddock-demo-app, row, serving], draining: [/haddock-demo-app, row, draining] }
  notify: ["http://127.0.0.1:PORT/hook/t0ken", "cat >> told"]
"""

pytestmark = pytest.mark.docker


class Receiver:
    """A server that is told things."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told.append({"path": self.path, "key": self.headers["idempotency-key"], **json.loads(body)})
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def texts(self) -> list[str]:
        return [each["text"] for each in self.told]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def site(tmp_path: Path, receiver: Receiver) -> Iterator[Site]:
    """A place with a service whose database is shared, on the engine; its gateway and controller run."""
    with cli_docker.place(tmp_path) as site:
        write(site, receiver, "db:8080")
        site.start("serve").says("gateway: clients at")
        yield site


def write(site: Site, receiver: Receiver, store: str) -> None:
    text = COMPOSE.replace("NAME", name(site, "ledger")).replace("STORED", store).replace("PORT", str(receiver.port))
    (site.directory / "compose.yaml").write_text(text)


def test_a_version_is_prepared_once_its_instances_are_told_and_everybody_hears_of_it(site: Site, receiver: Receiver) -> None:
    site.ok("release", "--tag", "c1", "--wait", "settled")
    load = Load(site, sessions=20)
    site.ok("release", "--tag", "c2", "--wait", "settled")
    summary = load.stop()
    assert_clean(summary)
    rows = until("both old instances are told", lambda: enough(site.get("/rows")[0]["rows"]))
    # The migration has no version: it runs before there is an instance that belongs to one.
    assert rows.count("migrated") == 2, rows
    assert sorted(row for row in rows if row != "migrated") == ["draining-1"] * 2 + ["serving-1"] * 2 + ["serving-2"] * 2
    assert rows[:3] == ["migrated", "serving-1", "serving-1"]
    service = site.json("status")["service"]
    until("the last news", lambda: f"{service}: version 2 has settled" in receiver.texts())
    assert {each["path"] for each in receiver.told} == {"/hook/t0ken"}
    # The process that released may have ended before it took down that it was heard: then it is told again, by the same key.
    news = list({each["key"]: each["text"] for each in receiver.told}.values())
    assert len(set(news)) == len(news) == 4 and news[1] == f"{service}: version 1 has settled", receiver.told
    until("the command", lambda: "version 2 has settled" in (site.directory / "told").read_text())
    history = site.ok("history", "--json")
    said = [json.loads(line) for line in history.splitlines()]
    [first, _] = [each for each in said if each["kind"] == "before_ended"]
    assert first["data"]["output"] == ["added row migrated"]
    assert [each["data"]["hook"] for each in said if each["kind"] == "hook_ran"].count("serving") == 4
    assert "t0ken" not in history and "t0ken" not in site.ok("status", "--json")
    until("what ran before is removed", lambda: not migrations(site))


def test_a_migration_that_fails_leaves_everything_as_it_was(site: Site, receiver: Receiver) -> None:
    site.ok("release", "--tag", "c1", "--wait", "settled")
    write(site, receiver, "db:9")
    failed = site.run("release", "--tag", "c2", "--wait", "settled")
    assert failed.returncode != 0
    assert "`migrate`" in failed.stderr and "cannot be asked" in failed.stderr, failed.stderr
    assert "shop" not in failed.stderr
    assert site.json("status")["known_good"] == 1
    until("nothing of it is left", lambda: not migrations(site))
    until("the news", lambda: any("was aborted" in text for text in receiver.texts()))


def test_a_test_environment_is_prepared_as_a_version_is(site: Site) -> None:
    copy = name(site, "pr")
    site.ok("up", "--name", copy, "--tag", "c1")
    again = site.json("up", "--name", copy, "--tag", "c1", "--dry-run")
    assert {each["change"] for each in again["changes"]} == {"keep"}
    address = site.ok("port", "--name", copy, "db", "8080").strip()
    assert call(address, "/rows")["rows"] == ["migrated"], "once"
    site.ok("down", "--name", copy, "--volumes")
    events = [json.loads(line) for line in site.ok("history", "--name", copy, "--json").splitlines()]
    assert [each["action"] for each in events] == ["up", "down"]
    assert len(events[0]["changes"]) == 3 and events[0]["by"] == "tester@here"
    assert " down by " in site.ok("history", "--name", copy, "--limit", "1")
    never = site.run("history", "--name", "never")
    assert never.returncode == 6 and "never was an environment `never`" in never.stderr, never


def enough(rows: list[str]) -> list[str] | None:
    return rows if rows.count("draining-1") == 2 else None


def migrations(site: Site) -> list[str]:
    """The containers of what ran, or runs, before a version."""
    return cli_docker.listed(site, "ps", "--all", "--filter", "label=haddock.component=migrate")
