"""`haddock serve` in one process, `release` in a second, the other verbs in a third; kills; strangers on the engine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
from cli_load import Load, assert_clean
from cli_site import HADDOCK, Site, site_in, until

COMPOSE = """\
name: demo
services:
  web:
    image: "haddock-demo:${TAG}"
    environment:
      VERSION: "${TAG}"
      ADDRESS: "${ADDRESS:-0.0.0.0}"
      SESSION_IDLE_SECONDS: "${IDLE:-4}"
    expose: ["8080"]
    stop_grace_period: 5s
x-haddock:
  ready: { http: /health, within: 30s }
  session: { idle: "${IDLE:-4}s", ignore: [/health] }
  release: { ramp: [10%, 50%, 100%], every: "${EVERY:-1s}", settle: "${EVERY:-1s}" }
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place to release the demo application from, on the engine."""
    with cli_docker.place(tmp_path, COMPOSE) as site:
        yield site


def phase(site: Site) -> str | None:
    release = site.json("status")["release"]
    return release and release["phase"]


def ready(lines: list[str], process: str) -> dict[str, Any]:
    """What a process said when it was ready for the last time."""
    said = [json.loads(line) for line in list(lines) if line.startswith("{")]
    return [one for one in said if one.get("kind") == "ready" and one.get("process") == process][-1]


def test_three_shells(site: Site) -> None:
    """The verbs from a third process while another holds the lease, under load that never retries."""
    serve = site.start("serve")
    serve.says("controller: ")
    site.ok("release", "--tag", "c1")
    load = Load(site, rate=100, stay=1.0, idle=4)

    site.env["EVERY"] = "3s"
    release = site.start("release", "--tag", "c2")
    until("the ramp", lambda: phase(site) == "ramping")
    status = site.json("status")
    assert status["acting"], "serve acts"
    assert [instance["version"] for instance in status["instances"]] == [1, 2]
    assert "is paused" in site.ok("pause")
    until("paused", lambda: site.json("status")["release"]["paused"])
    assert site.run("release", "--tag", "c2", "--wait", "none").returncode == 0, "it attaches"
    assert "would abort" in site.ok("abort", "--dry-run")
    assert "goes on" in site.ok("resume")
    assert not site.json("status")["release"]["paused"]
    assert "next stage" in site.ok("advance")
    assert "is aborted" in site.ok("abort")
    assert release.ends() == 1, release.text
    assert "error: " in release.text and "tester@here" in release.text
    assert site.json("status")["known_good"] == 1
    assert site.run("abort").returncode == 6

    site.env["EVERY"] = "1s"
    done = site.ok("release", "--tag", "c3", "--wait", "gone", timeout=90)
    assert "is the only version left" in done
    assert_clean(load.stop())
    assert [instance["version"] for instance in site.json("ps")["instances"]] == [3]

    serve.send(signal.SIGTERM)
    assert serve.ends() == 0, serve.text


def test_the_story_is_told(site: Site) -> None:
    """Times, commit, images and who."""
    git = ["git", "-C", str(site.directory), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git[:3], "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "compose.yaml"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    with (site.directory / "compose.yaml").open("a") as file:
        file.write("# changed\n")
    site.ok("release", "--tag", "c2", "--by", "somebody else")
    story = site.lines("history", "demo")
    assert [event["sequence"] for event in story] == list(range(1, len(story) + 1))
    assert all(event["at"] and event["message"] and event["service"] == "demo" for event in story)
    asked = [event["data"]["by"] for event in story if event["kind"] == "request_taken"]
    assert asked == ["tester@here", "somebody else"]
    started = [event["data"] for event in story if event["kind"] == "release_started"]
    assert [one["commit"] for one in started] == [commit, f"{commit}-dirty"]
    assert [one["images"] for one in started] == [{"web": "haddock-demo:c1"}, {"web": "haddock-demo:c2"}]
    pinned = [event["data"]["pins"]["web"] for event in story if event["kind"] == "images_pinned"]
    assert all(pin.startswith("sha256:") for pin in pinned), pinned
    # It may still grow: what drained has gone meanwhile.
    assert site.lines("history", "demo", "--since", str(len(story) - 2))[:2] == story[-2:]
    [last] = site.lines("history", "demo", "--limit", "1")
    assert last["sequence"] >= len(story)
    text = site.ok("history", "demo")
    assert commit in text and "haddock-demo:c2" in text and "somebody else" in text


@pytest.mark.parametrize("victim", ["controller", "gateway"])
def test_a_kill_in_the_ramp(site: Site, victim: str) -> None:
    """Started again by `serve`, it goes on; sessions stay where they were."""
    site.env.update(IDLE="20", EVERY="2s")
    serve = site.start("serve", "--json")
    serve.says('"process": "controller"')
    site.ok("release", "--tag", "c1")
    sessions = [site.get() for _ in range(20)]
    release = site.start("release", "--tag", "c2")
    until("the ramp", lambda: phase(site) == "ramping")
    pid = ready(serve.lines, victim)["pid"]
    os.kill(pid, signal.SIGKILL)
    # Nobody is refused: who comes while there is no gateway waits for the next.
    for _ in range(10):
        assert site.get()[0]["count"] == 1
    until(f"another {victim}", lambda: ready(serve.lines, victim)["pid"] != pid)
    for answer, cookie in sessions:
        again, _ = site.get(cookie=cookie)
        assert (again["session"], again["version"], again["instance"]) == (answer["session"], "c1", answer["instance"])
        assert again["count"] == answer["count"] + 1
    assert release.ends() == 0, release.text
    site.ok("release", "--tag", "c2", "--wait", "gone", timeout=90)
    assert [instance["version"] for instance in site.json("ps")["instances"]] == [2]
    lost = [event["data"]["sessions_lost"] for event in site.lines("history") if event["kind"] == "instance_retiring"]
    assert lost == [0]
    serve.send(signal.SIGINT)
    assert serve.ends() == 0, serve.text


def test_processes_of_their_own_are_killed_and_started_again(site: Site) -> None:
    """Without anybody who starts them again: by hand."""
    site.env.update(IDLE="20", EVERY="2s")
    gateway = site.start("serve", "gateway")
    gateway.says(f"gateway: clients at 127.0.0.1:{site.listen}")
    controller = site.start("serve", "controller", "demo")
    controller.says("controller: acts for demo")
    site.ok("release", "--tag", "c1")
    answer, cookie = site.get()
    release = site.start("release", "--tag", "c2")
    until("the ramp", lambda: phase(site) == "ramping")
    controller.send(signal.SIGKILL)
    gateway.send(signal.SIGKILL)
    assert (controller.ends(), gateway.ends()) == (-9, -9)
    site.start("serve", "gateway").says("gateway: clients at")
    again, _ = site.get(cookie=cookie)
    assert again["count"] == answer["count"] + 1
    controller = site.start("serve", "controller")
    assert release.ends() == 0, release.text
    assert site.json("status")["known_good"] == 2
    controller.send(signal.SIGTERM)
    assert controller.ends() == 0, controller.text


def test_gateways_in_a_row(site: Site) -> None:
    """With the same state, three in a row: connections that are kept alive go on, sessions stay, and each old one ends by itself."""
    site.env.update(IDLE="60", EVERY="2s")
    gateways = [site.start("serve", "gateway", "--grace", "60s")]
    gateways[0].says(f"gateway: clients at 127.0.0.1:{site.listen}")
    site.start("serve", "controller", "demo").says("controller: acts for demo")
    site.ok("release", "--tag", "c1")
    answer, cookie = site.get()
    kept = http.client.HTTPConnection("127.0.0.1", site.listen, timeout=30)
    for n in range(1, 4):
        # One request in each gateway's time, on a connection that the one before has.
        kept.request("GET", "/", headers={"Cookie": cookie})
        first = kept.getresponse()
        assert json.loads(first.read())["session"] == answer["session"]
        gateways.append(site.start("serve", "gateway", "--grace", "60s"))
        gateways[-1].says(f"gateway: clients at 127.0.0.1:{site.listen}")
        gateways[-2].says("another one has taken over")
        with urllib.request.urlopen(f"http://127.0.0.1:{site.admin}/metrics", timeout=30) as metrics:
            counted = [line for line in metrics.read().decode().splitlines() if line.startswith("haddock_instance_sessions_live{")]
        assert [line.rsplit(" ", 1)[1] for line in counted] == ["1"]
        assert gateways[-2].process.poll() is None, "it still has a connection"
        kept.request("GET", "/", headers={"Cookie": cookie})
        passed_on = kept.getresponse()
        assert passed_on.headers["Connection"] == "close"
        last = json.loads(passed_on.read())
        assert (last["session"], last["count"]) == (answer["session"], answer["count"] + 2 * n)
        assert gateways[-2].ends() == 0, gateways[-2].text
    gateways[-1].send(signal.SIGTERM)
    assert gateways[-1].ends() == 0, gateways[-1].text


def test_without_serve_release_acts_itself_and_says_what_is_left(site: Site) -> None:
    """Ctrl-C leaves a state that the next command goes on from."""
    site.env.update(IDLE="8", EVERY="2s")
    site.start("serve", "gateway").says("gateway: ")
    assert "version 1 has settled" in site.ok("release", "--tag", "c1")
    _, cookie = site.get()

    with site.kept(cookie):
        release = site.start("release", "--tag", "c2")
        until("the ramp", lambda: phase(site) == "ramping")
        release.send(signal.SIGINT)
        assert release.ends() == 130, release.text
        assert "nobody else acts for `demo`" in release.text
        assert "haddock serve" in release.text and "haddock abort demo" in release.text
        assert "Traceback" not in release.text
        assert site.json("status")["acting"] is None

        again = site.ok("release", "--tag", "c2")
        assert "version 2 has settled" in again, "it went on with the same release"
        assert "version 1 still drains: 1 session left" in again
        assert "haddock serve" in again and "haddock release --wait gone" in again
        assert site.get(cookie=cookie)[0]["version"] == "c1"
    started = [event for event in site.lines("history") if event["kind"] == "release_started"]
    assert len(started) == 2

    gone = site.ok("release", "--tag", "c2", "--wait", "gone", timeout=90)
    assert "version 2 is the only version left" in gone
    assert "new sessions go to" not in gone, "what was told is not told again"
    once_more = site.run("release", "--tag", "c2")
    assert once_more.returncode == 0
    assert "nothing would change: that is version 2" in once_more.stdout
    assert site.json("status")["known_good"] == 2
    assert "version 2 has settled" not in site.ok("release", "--tag", "c2", "--force")


def test_rollback(site: Site) -> None:
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    site.ok("release", "--tag", "c2")
    assert "would go back from version 2" in site.ok("rollback", "--dry-run")
    assert "create" in site.ok("up", "--like", "demo@1", "--name", "like-1", "--dry-run")
    assert "like-1" not in site.ok("ls"), "a dry run changes nothing"
    refused = site.run("up", "--like", "demo@1", "--shared")
    assert refused.returncode == 2 and "`--shared` has no effect with `--like`" in refused.stderr, refused
    told = site.lines("rollback")
    assert told[-1]["kind"] == "done"
    assert site.get()[0]["version"] == "c1"


def test_an_application_that_answers_its_own_host_only_is_probed_under_it(site: Site) -> None:
    """As Django or Rails: whoever asks for another host gets 400. The gateway knows the host; a file may say it, too."""
    compose = (site.directory / "compose.yaml").read_text().replace("VERSION:", "ONLY_HOST: demo.example\n      VERSION:")
    (site.directory / "compose.yaml").write_text(compose.replace("within: 30s", "within: 3s"))
    serve = site.start("serve")
    serve.says("controller: ")
    failed = site.run("release", "--tag", "c1")
    assert failed.returncode == 1 and "status 400" in failed.stdout + failed.stderr, failed
    (site.directory / "compose.yaml").write_text(compose.replace("within: 30s", "host: demo.example, within: 30s"))
    site.ok("release", "--tag", "c1")
    serve.close()
    site.start("serve", "--service", "demo=demo.example").says("controller: ")
    (site.directory / "compose.yaml").write_text(compose)
    site.ok("release", "--tag", "c2")


def test_a_release_that_fails_says_why(site: Site) -> None:
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    (site.directory / "bad.yaml").write_text(COMPOSE.replace("VERSION:", 'EXIT_AT_START: "3"\n      VERSION:'))
    failed = site.run("release", "-f", "bad.yaml", "--tag", "c2")
    assert failed.returncode == 1, failed.stdout
    assert "error: version 2 of `demo` did not settle: component `web` exited with code 3\nlog: " in failed.stderr
    told = site.run("release", "-f", "bad.yaml", "--tag", "c3", "--json")
    assert told.returncode == 1
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["exit_code"] == 1 and last["error"]["kind"]
    assert site.json("status")["known_good"] == 1
    assert site.get()[0]["version"] == "c1"


def test_a_limit_on_following_is_none_on_the_release(site: Site) -> None:
    site.env["EVERY"] = "2s"
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    late = site.run("release", "--tag", "c2", "--timeout", "1s")
    assert late.returncode == 7, late.stderr
    assert "goes on with it" in late.stderr
    site.ok("release", "--tag", "c2")
    assert site.json("status")["known_good"] == 2


def test_another_user_s_journal_removes_nothing(site: Site, tmp_path: Path) -> None:
    """Two journals, one engine: each sees what is its own."""
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    before = cli_docker.containers(site)
    assert before
    other_place = tmp_path / "other"
    other_place.mkdir()
    (other_place / "compose.yaml").write_text(COMPOSE)
    with site_in(other_place) as other:
        try:
            other.start("serve").says("controller: ")
            other.ok("release", "--tag", "c1")
            other.ok("release", "--tag", "c2", "--wait", "gone", timeout=90)
            assert cli_docker.containers(site) == before
            assert set(cli_docker.containers(other)).isdisjoint(before)
            assert site.get()[0]["version"] == "c1"
        finally:
            other.close()
            cli_docker.clean(other)
    assert cli_docker.containers(site) == before


def test_a_lost_journal_is_rebuilt(site: Site) -> None:
    """Nobody notices: the gateway serves on, and the next release goes as any other."""
    site.env["IDLE"] = "20"
    # Found by its name: another journal's service of that name on the engine would make it two.
    name = f"lost-{site.admin}"
    (site.directory / "compose.yaml").write_text(COMPOSE.replace("name: demo", f"name: {name}"))
    serve = site.start("serve")
    serve.says("controller: ")
    site.ok("release", "--tag", "c1")
    before = cli_docker.containers(site)
    answer, cookie = site.get()
    serve.send(signal.SIGTERM)
    serve.ends()
    lost = site.directory / "lost"
    lost.mkdir()
    for path in site.state.glob("journal.db*"):
        path.rename(lost / path.name)
    site.start("serve", "gateway").says("gateway: ")
    assert "look for containers of" in site.ok("recover", name, "--dry-run")
    assert "known good: version 1" in site.ok("recover", name)
    assert cli_docker.containers(site) == before
    assert site.run("recover", name).returncode == 6, "it is not lost"
    assert site.get(cookie=cookie)[0]["count"] == answer["count"] + 1
    site.start("serve", "controller").says("controller: ")
    site.ok("release", "--tag", "c2", "--wait", "gone", timeout=90)
    assert set(cli_docker.containers(site)).isdisjoint(before)


def test_a_terminal_sees_a_picture(site: Site) -> None:
    """And no more than lines where nobody looks."""
    import pty

    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    ours, theirs = pty.openpty()
    words = [str(HADDOCK), "release", "--tag", "c2"]
    release = subprocess.Popen(
        words, cwd=site.directory, env={**site.env, "TERM": "xterm", "COLUMNS": "120"}, stdin=theirs, stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        # On Linux the last reader of a terminal that nobody writes to any more gets an error.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                said += piece
        assert release.wait(60) == 0
    finally:
        release.kill()
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert "✓ preparing  ✓ launching  ● ramping  ○ settling  ○ settled" in text
    assert "✓ preparing  ✓ launching  ✓ ramping  ✓ settling  ✓ settled" in text
    assert "in force" in text and "haddock-demo:c2" in text
    assert "version 2 has settled" in text


def test_serve_ends_at_once_if_its_port_is_taken(site: Site) -> None:
    first = site.start("serve")
    first.says("controller: ")
    second = site.run("serve", "--state", str(site.directory / "elsewhere"))
    assert second.returncode not in (0, 70), second.stdout
    assert "error: " in second.stderr and str(site.listen) in second.stderr


def test_killed_serve_leaves_no_process_behind(site: Site) -> None:
    serve = site.start("serve", "--json")
    serve.says('"process": "controller"')
    pids = [ready(serve.lines, name)["pid"] for name in ("gateway", "controller")]
    serve.send(signal.SIGKILL)
    serve.ends()
    until("they end too", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_check(site: Site) -> None:
    """Before and while it serves."""
    before = site.run("check", "--json")
    assert before.returncode == 1
    findings = {one["name"]: one for one in json.loads(before.stdout)["findings"]}
    assert findings["gateway"]["state"] == "problem" and "haddock serve" in findings["gateway"]["fix"]
    assert findings["ports"]["state"] == "ok"
    assert findings["engine"]["state"] == "ok" and "API 1." in findings["engine"]["says"]
    assert findings["file"]["state"] == "ok" and findings["disk"]["state"] in ("ok", "warning")
    site.start("serve").says("controller: ")
    site.ok("release", "--tag", "c1")
    after = site.ok("check")
    assert "problem" not in after
    assert "`demo`: 1 instance, 1 with new sessions" in after
