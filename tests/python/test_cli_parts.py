"""Parts of the command that need no process: rates, words, tables, the picture, git."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import haddock
from haddock import _git
from haddock._caller import Caller
from haddock._cli import _output, _settings, _words
from haddock._cli._engine import Unreachable, gateway_services, is_free
from haddock._cli._follow import Drains, Plain, draining
from haddock._cli._live import Live, version_rows
from haddock._cli._rate import Rate
from haddock._cli.look import _guard, _remaining  # pyright: ignore[reportPrivateUsage]

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def instance(version: int, phase: str, sessions: int | None, **others: Any) -> haddock.InstanceStatus:
    values: dict[str, Any] = {
        "instance": f"demo-{version}-abc", "version": version, "phase": phase, "since": NOW, "address": "10.0.0.2:8080",
        "share": 0.0, "share_in_force": 0.0, "sessions": sessions, "in_flight": 0, "upgraded": 0, "external": False,
        "failure": None, "drain_deadline": None, "remaining": None, "application_sessions": None,
    }  # fmt: skip
    return haddock.InstanceStatus(**{**values, **others})


def status(*instances: haddock.InstanceStatus, release: haddock.ReleaseStatus | None = None) -> haddock.ServiceStatus:
    versions = [
        haddock.VersionStatus(version=each.version, verdict="settled", images={"web": f"demo:{each.version}"}, digests=None,
                              commit=None, share=each.share, sessions=each.sessions)
        for each in instances
    ]  # fmt: skip
    return haddock.ServiceStatus(
        service="demo", known_good=1, release=release, versions=versions, instances=list(instances), acting=None
    )


def test_a_steady_rate_is_found() -> None:
    rate = Rate()
    for second in range(0, 60, 5):
        rate.add(second, 100 - second)
    left = rate.left()
    assert left is not None and abs(left - 45) < 1e-6


def test_noise_does_not_hide_a_rate() -> None:
    rate = Rate()
    for second in range(600):
        rate.add(second, 2000 - 2 * second + (7 if second % 2 else -7))
    left = rate.left()
    assert left is not None and 380 < left < 420


def test_what_does_not_fall_has_no_end() -> None:
    for sessions in ([5, 5, 5], [5, 6, 7], [5], []):
        rate = Rate()
        for second, number in enumerate(sessions):
            rate.add(second, number)
        assert rate.left() is None


def test_what_is_empty_is_at_its_end() -> None:
    rate = Rate()
    rate.add(0, 3)
    rate.add(1, 0)
    assert rate.left() == 0


def test_only_what_was_seen_lately_counts() -> None:
    rate = Rate(window=60)
    for second in range(0, 1000, 10):
        rate.add(second, 1000)
    for second in range(1000, 1100, 10):
        rate.add(second, 1000 - (second - 1000))
    left = rate.left()
    assert left is not None and 850 < left < 960
    rate.add(1100, None)
    assert len(rate.seen) < 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h"), (3600, "1 h"), (5400, "1 h 30 min"), (-3, "0 s"),
     (4 * 86400, "4 d")],
)  # fmt: skip
def test_lengths(seconds: float, text: str) -> None:
    assert _words.length(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (1800, "30m"), (5400, "1h30m"), (0.25, "250ms"), (90061.5, "25h1m1s500ms")]
)
def test_exact_lengths(seconds: float, text: str) -> None:
    assert _words.exactly(seconds) == text


def test_shares() -> None:
    assert [_words.share(share) for share in (0, 0.1, 0.125, 1, None)] == ["0%", "10%", "12.5%", "100%", "?"]


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    assert _output.columns(["name", "number"], [["a", "7"], ["bcd", "12"], ["e", "?"]]) == [
        "NAME  NUMBER",
        "a          7",
        "bcd       12",
        "e          ?",
    ]
    assert _output.columns(["name", "number"], []) == ["NAME  NUMBER"]


def test_sessions_on_what_drains() -> None:
    found = status(instance(1, "draining", 3), instance(1, "draining", 4), instance(2, "serving", 9))
    assert draining(found) == {1: 7}
    unknown = status(instance(1, "draining", 3), instance(1, "draining", None))
    assert draining(unknown) == {1: None}
    assert draining(None) == {}


def test_lines_tell_of_a_long_drain(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    for second in range(0, 100):
        plain.status(status(instance(1, "draining", 200 - second), instance(2, "serving", 5)), second)
    assert capsys.readouterr().out.splitlines() == [
        "version 1 drains: 170 sessions left, about 3 min at this rate",
        "version 1 drains: 140 sessions left, about 2 min at this rate",
        "version 1 drains: 110 sessions left, about 2 min at this rate",
    ]


def test_lines_tell_of_a_gateway_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    gone = status(instance(1, "serving", None, share_in_force=None))
    for second, found in enumerate([status(instance(1, "serving", 3)), gone, gone, status(instance(1, "serving", 3)), None]):
        plain.status(found, second)
    assert capsys.readouterr().out.splitlines() == [
        "waits for the gateway, which does not answer",
        "the gateway answers again",
    ]


RAMP = """\
services: { web: { image: "shop:${TAG}", expose: ["8080"] } }
x-haddock: { entry: "web:8080", service: shop, release: { ramp: [10%, 50%, 100%], every: 1m, settle: 1m } }
"""


def test_a_stage_of_the_ramp_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(RAMP)
    with haddock.connect(runtime="sim") as h:
        h.release(file, tag="v1").wait()
        events = list(h.release(file, tag="v2").events())
    for details in (False, True):
        plain = Plain(details=details)
        for event in events:
            plain.event(event)
        lines = capsys.readouterr().out.splitlines()
        for share in ("10%", "50%"):
            about = [line for line in lines if share in line]
            assert (len(about) == 1) is not details, about
            assert any(f"version 2 {share}" in line and "new sessions go to" in line for line in about)
        full = [line for line in lines if "100%" in line or "all new sessions" in line]
        assert (len(full) == 1) is not details, full
        assert (len(lines) == len(events)) is details


def test_the_picture() -> None:
    said = io.StringIO()
    live = Live("demo", Console(file=said, width=110, force_terminal=False))
    ramping = haddock.ReleaseStatus(phase="ramping", version=2, share=0.5, share_in_force=0.1, stage=1, paused=True,
                                    waits=None, draining=None, error=None)  # fmt: skip
    live.event(haddock.Event(sequence=1, at=NOW, kind="stage_reached", service="demo", data={}, phase="ramping", version=2,
                             share=0.5, share_in_force=0.1, draining=None, message="version 2 is to get 50%"))  # fmt: skip
    live.status(
        status(
            instance(1, "serving", 37, share=0.5, share_in_force=0.9),
            instance(2, "serving", 4, share=0.5, share_in_force=0.1),
            release=ramping,
        ),
        0.0,
    )
    live.close()
    text = said.getvalue()
    assert "version 2 is to get 50%" in text
    assert "✓ preparing  ✓ launching  ● ramping  ○ settling  ○ settled" in text
    assert "paused" in text
    rows = [line.split() for line in text.splitlines() if "demo:" in line]
    assert rows[-2:] == [
        ["2", "demo:2", "1", "serving", "50%", "10%", "4"],
        ["1", "demo:1", "1", "serving", "50%", "90%", "37"],
    ]


def test_the_picture_says_when_a_drain_will_end() -> None:
    drains = Drains()
    for second in range(60):
        drains.add(status(instance(1, "draining", 120 - second)), second)
    row = version_rows(status(instance(1, "draining", 61)), drains)[0]
    assert row[:6] == ["1", "demo:1", "1 draining", "0%", "0%", "61"]
    ends = (datetime.now(timezone.utc) + timedelta(seconds=61)).astimezone()
    assert row[6].startswith("drained in about 1 min, at ") and row[6][-5:-3] == ends.strftime("%H")


def settings(**session: Any) -> dict[str, Any]:
    return {
        "entry": {"component": "web", "port": 8080},
        "ready": {"http": "/health", "within": 120_000},
        "session": {"idle": 1_800_000, "ignore": ["/health"], **session},
        "release": {
            "replicas": 1, "ramp": [{"share": 1000, "hold": 600_000}, {"share": 10_000, "hold": 600_000}], "settle": 600_000,
            "drain": {"evict_after": None}, "queue": "newest", "max_versions": 4, "unresponsive_for": 300_000,
        },
    }  # fmt: skip


def test_sane_settings_are_not_odd() -> None:
    assert list(_settings.odd(settings())) == []
    shown = dict(_settings.rows(settings()))
    assert shown["session.idle"] == "30m"
    assert shown["release.ramp"] == "10%, 100%"
    assert shown["release.every"] == "10m"


def test_of_the_cookie_is_shown_what_was_set() -> None:
    assert [name for name, _ in _settings.rows(settings()) if name.startswith("session.")] == ["session.idle", "session.ignore"]
    cookie = {"same_site": "lax", "domain": "example.com", "partitioned": True}
    shown = dict(_settings.rows(settings(cookie=cookie)))
    assert shown["session.same_site"] == "lax"
    assert (shown["session.domain"], shown["session.partitioned"]) == ("example.com", "true")
    assert "session.path" not in shown
    shown = dict(_settings.rows(settings(application={"name": "JSESSIONID", "mode": "learn"})))
    assert (shown["session.cookie"], shown["session.cookie_mode"]) == ("JSESSIONID", "learn")


def test_a_ramp_says_what_ends_its_stages() -> None:
    given = settings()
    given["release"]["ramp"][0].update(after=200, gate=True)
    assert dict(_settings.rows(given))["release.ramp"] == "10% (after 200 sessions, gate: hold), 100%"
    given["release"]["auto"] = {"harm_budget": 3}
    shown = dict(_settings.rows(given))
    assert (shown["release.ramp"], shown["release.every"]) == ("auto, harm_budget 3", "-")


def test_of_the_guard_is_shown_what_was_set() -> None:
    assert not [name for name, _ in _settings.rows(settings()) if name.startswith("guard.")]
    given = settings(failed={"status": ["5xx", "429"], "header": "x-failed"}, slow=1500)
    given["release"]["guard"] = {
        "acts": False, "false_alarm": 0.001, "tolerate": 0.01, "tolerate_slow": 0.05, "at_most": 0.05,
    }  # fmt: skip
    assert [row for row in _settings.rows(given) if row[0].startswith("guard.")] == [
        ["guard.acts", "false"],
        ["guard.false_alarm", "0.1%"],
        ["guard.tolerate", "1%"],
        ["guard.at_most", "5%"],
        ["guard.failed.status", "5xx, 429"],
        ["guard.failed.header", "x-failed"],
        ["guard.slow", "after 1s500ms, tolerate 5%"],
    ]


@pytest.mark.parametrize(
    ("session", "says"),
    [
        ({"idle": 5000}, "after 5s without a request"),
        ({"idle": 12 * 3_600_000}, "only after 12h"),
        ({"ignore": []}, "probes of `/health`"),
    ],
)
def test_odd_settings_are_found(session: dict[str, Any], says: str) -> None:
    [(found, fix)] = _settings.odd(settings(**session))
    assert says in found and fix


def test_a_drain_that_is_cut_too_soon_is_found() -> None:
    given = settings()
    given["release"]["drain"]["evict_after"] = {"secs": 60, "nanos": 0}
    [(found, _)] = _settings.odd(given)
    assert "cut after 1m" in found
    assert dict(_settings.rows(given))["release.drain.evict_after"] == "1m"


def test_the_commit(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        options = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *options, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert _git.commit(tmp_path) is None, "no repository"
    git("init", "--quiet")
    assert _git.commit(tmp_path) is None, "no commit"
    (tmp_path / "compose.yaml").write_text("name: a\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    git("tag", "v1")
    head = git("rev-parse", "HEAD")
    assert _git.commit(tmp_path) == head
    (tmp_path / "notes").write_text("not known to git")
    assert _git.commit(tmp_path) == head
    (tmp_path / "compose.yaml").write_text("name: b\n")
    assert _git.commit(tmp_path) == f"{head}-dirty"
    assert _git.commit(tmp_path / "nowhere") is None


def test_the_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a CI system says would count, too.
    for name in [*os.environ]:
        if name != "PATH":
            monkeypatch.delenv(name)

    def git(*words: str) -> str:
        options = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *options, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert _git.branch(tmp_path) is None, "no repository"
    git("init", "--quiet")
    git("checkout", "--quiet", "-b", "feature/42")
    assert _git.branch(tmp_path) == "feature/42", "also before the first commit"
    git("commit", "--quiet", "--allow-empty", "-m", "one")
    git("checkout", "--quiet", "--detach")
    assert _git.branch(tmp_path) == git("rev-parse", "--short", "HEAD"), "as CI checks a commit out"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REF_NAME", "feature/43")
    assert _git.branch(tmp_path) == "feature/43", "CI names it"
    monkeypatch.setenv("HADDOCK_BRANCH", "main")
    assert _git.branch(tmp_path) == "main"


def test_the_git_command_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=tmp_path, check=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("HADDOCK_BRANCH", raising=False)
    assert _git.branch(tmp_path) == "main"


def test_a_gateway_that_is_none(tmp_path: Path) -> None:
    for url, says in (("http://127.0.0.1:9", "refused"), ("nonsense", "is not a URL"), ("http://", "is not a URL")):
        with pytest.raises(Unreachable, match=says):
            gateway_services(url, Caller())
    with pytest.raises(Unreachable, match="token file"):
        gateway_services("http://127.0.0.1:9", Caller(str(tmp_path / "none")))


def test_ports() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)
    assert not is_free("192.0.2.1", 80), "not an address of this machine"


def test_what_the_guard_sees_is_told_in_a_few_lines() -> None:
    judgement = haddock.Judgement(
        finding="not_enough", symptom="failed", begun=120, failed=3, baseline_begun=1080, baseline_failed=2, extra_low=-0.01,
        extra_high=0.08, threshold=0.01, text="not enough seen: 3 of 120 sessions failed",
    )  # fmt: skip
    guard = haddock.GuardStatus(
        version=2, judgement=judgement, acts=True, noted_at=NOW, share_asked=0.1, share_given=0.0997, harmed=3, harm_budget=None,
        smallest_visible=0.053, sessions_to_verdict=420, seconds_to_verdict=2520,
        differences=[{"path": "/shop", "status": 500, "sessions": 3, "baseline": 1}],
    )  # fmt: skip
    seen = status(instance(2, "serving", 5))
    assert _guard(seen) == []
    assert _guard(dataclasses.replace(seen, guard=guard)) == [
        "guard       version 2 is not enough seen: 3 of 120 sessions failed",
        "            it got 9.97% of the new sessions, asked 10%; harmed so far: 3",
        "            more fail with 500 at /shop (3, before 1)",
        "            5.3% more would be seen by now; 420 more sessions to tell, some 42 min",
    ]


def test_who_is_left_on_an_instance_is_told() -> None:
    left = haddock.RemainingSessions(
        live=6, busy=1, least_recent=NOW - timedelta(minutes=25), most_recent=NOW - timedelta(minutes=5),
        ends_within={"10m": 2, "1h": 5, "8h": 5}, ends_at=NOW + timedelta(minutes=25), ended=4, watched=600.0,
    )  # fmt: skip
    draining = instance(1, "draining", 6, remaining=left)
    first, used, busy, ended = _remaining(draining)
    assert first == f"{draining.instance}: of 6 sessions, 2 within 10m, 5 within 1h, 5 within 8h end if nobody comes back"
    assert used.startswith("last used ") and used.endswith(f"the last ends at {_words.stamp(NOW + timedelta(minutes=25))}")
    assert busy == "1 session with a request in flight or a WebSocket: they last as long as it does"
    assert ended == "4 sessions ended in the last 10 min"
    assert _remaining(instance(1, "draining", 6)) == [], "nobody can say"


def test_what_the_application_says_is_told() -> None:
    def told(sessions: int | None, unknown: str | None = None) -> list[str]:
        says = haddock.ApplicationSessions(sessions=sessions, unknown=unknown, at=NOW)
        return _remaining(instance(1, "draining", 0, application_sessions=says))

    name, at = instance(1, "draining", 0).instance, _words.stamp(NOW)
    assert told(2) == [f"{name}: its application has 2 sessions ({at})"]
    assert told(None, "status 500") == [f"{name}: its application does not say how many sessions it has: status 500 ({at})"]
