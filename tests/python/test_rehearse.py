"""Releases in virtual time: from Python, and by the command."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

import haddock
from cli_site import run

COMPOSE = """\
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"], links: [db] }
  db: { image: "postgres:18" }
x-haddock: { entry: "web:8080", session: { idle: 10m } }
"""
KEYS = {
    "to_full_share", "to_gone", "sessions_harmed", "aborted", "false_aborts", "versions_at_once", "containers_at_once", "seeds",
    "seed",
}  # fmt: skip


def blocking(*arguments: Any, **named: Any) -> haddock.Rehearsal:
    return haddock.rehearse(*arguments, **named)


def coroutine(*arguments: Any, **named: Any) -> haddock.Rehearsal:
    return asyncio.run(haddock.rehearse_async(*arguments, **named))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    return path


@pytest.mark.parametrize("rehearse", [blocking, coroutine])
def test_a_good_version_goes_through(file: Path, rehearse: Callable[..., haddock.Rehearsal]) -> None:
    told = rehearse(file, seeds=5, sessions_per_minute=20, stay="5m")
    assert (told.service, told.seeds, told.aborted, told.containers_at_once) == ("shop", 5, 0.0, 3)
    assert told.to_full_share.p10 is not None and 1200 < told.to_full_share.p10 < 1300
    assert told.to_gone.p90 is not None and told.to_gone.p90 > told.to_full_share.p10
    assert told.sessions_harmed == haddock.Quantiles(0, 0, 0)
    assert any("has settled" in event.message for event in told.timeline), told.timeline
    assert told == rehearse(file, seeds=5, sessions_per_minute=20, stay="5m"), "the same seed says the same"


def test_a_crash_is_told(file: Path) -> None:
    told = haddock.rehearse(file, seeds=3, crash_after="3m")
    assert (told.aborted, told.false_aborts, told.to_gone.p10) == (1.0, 0.0, None)
    assert told.sessions_harmed.p50 is not None and told.sessions_harmed.p50 > 0
    slow = haddock.rehearse(file, seeds=3, start="10m")
    assert (slow.aborted, slow.sessions_harmed.p90) == (1.0, 0)


def test_several_releases(file: Path) -> None:
    told = haddock.rehearse(file, seeds=2, again_after=["1h", 7200.0])
    assert sum("has settled" in event.message for event in told.timeline) == 3, told.timeline
    assert told.versions_at_once >= 2


def test_recorded_sessions(file: Path, tmp_path: Path) -> None:
    sessions = tmp_path / "sessions.csv"
    sessions.write_text("begin,duration\n2026-01-06T10:00:07Z,311\n2026-01-06T10:01:40Z,1m30s\n")
    assert haddock.rehearse(file, seeds=2, sessions=sessions).sessions > 10
    sessions.write_text("begin\n2026-01-06T10:00:07Z\n")
    with pytest.raises(haddock.InvalidValueError, match="line 2"):
        haddock.rehearse(file, seeds=2, sessions=sessions)


@pytest.mark.parametrize(
    "wrong", [{"error_rate": 1.5}, {"error_rate": "two"}, {"sessions_per_minute": -1.0}, {"stay_spread": 0.5}, {"seeds": 0}]
)
def test_a_wrong_value_is_refused(file: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(haddock.InvalidValueError):
        haddock.rehearse(file, **wrong)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(haddock.NotFoundError):
        haddock.rehearse(tmp_path / "none.yaml", seeds=1)


def test_the_command_prints_figures(file: Path) -> None:
    called = run("rehearse", "-f", str(file), "--seeds", "4", "--seed", "9", "--error-rate", "50%", "--json")
    assert called.returncode == 0, called.stderr
    figures = json.loads(called.stdout)
    assert set(figures) == KEYS
    assert (figures["seeds"], figures["seed"]) == (4, 9)
    assert set(figures["to_gone"]) == set(figures["sessions_harmed"]) == {"p10", "p50", "p90"}
    assert figures["sessions_harmed"]["p10"] > 0
    again = run("rehearse", "-f", str(file), "--seeds", "4", "--seed", "9", "--error-rate", "0.5", "--json")
    assert again.stdout == called.stdout, "byte for byte"


def test_the_command_prints_a_table(file: Path) -> None:
    called = run("rehearse", "-f", str(file), "--seeds", "2", "--timeline")
    assert called.returncode == 0, called.stderr
    assert "until the version before is gone" in called.stdout
    assert "at once at most: 2 versions, 3 containers" in called.stdout
    assert "has settled" in called.stdout


def test_without_a_file_the_defaults_are_rehearsed(tmp_path: Path) -> None:
    called = run("rehearse", "--seeds", "1", cwd=tmp_path)
    assert called.returncode == 0, called.stderr
    assert "there is no compose file here" in called.stdout


@pytest.mark.parametrize("words", [["--error-rate", "2"], ["--error-rate", "x"], ["--seeds", "0"], ["--stay", "long"]])
def test_wrong_usage(file: Path, words: list[str]) -> None:
    assert run("rehearse", "-f", str(file), *words).returncode == 2


def test_a_release_asks_after_its_rehearsal(file: Path) -> None:
    called = run("release", "-f", str(file), "--tag", "v2", "--rehearse")
    assert called.returncode == 2
    assert "--yes" in called.stderr
    assert run("release", "-f", str(file), "--tag", "v2", "--yes").returncode == 2


def test_recorded_sessions_are_rehearsed_as_they_came(file: Path) -> None:
    begin = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
    # Nobody comes before ten o'clock; then thirty a minute, and one of them fails.
    minutes = [
        haddock.TrafficMinute(minute=begin + timedelta(minutes=minute), begun=30, ended=30 if minute else 0, failed=1)
        for minute in range(24 * 60)
    ]
    told = haddock.rehearse(file, seeds=1, recorded=minutes, begin=begin)
    model = haddock.rehearse(file, seeds=1, sessions_per_minute=30)
    assert told.aborted == 0 and told.to_full_share == model.to_full_share
    assert 0.5 < told.sessions / model.sessions < 2


def test_the_command_draws_a_page(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "rehearsal.html"
    done = run("rehearse", "-f", str(file), "--seeds", "3", "--html", str(page), "--json")
    assert set(json.loads(done.stdout)) == KEYS
    html = page.read_text()
    assert html.startswith("<!DOCTYPE html>") and "rehearsal of a release" in html and "<script" not in html
    assert len(html.encode()) <= 300 * 1024
    refused = run("rehearse", "-f", str(file), "--html", str(tmp_path / "none" / "x.html"))
    assert refused.returncode == 2 and "is no folder" in refused.stderr


def test_a_wrong_time_is_refused(file: Path, tmp_path: Path) -> None:
    for time, said in (("yesterday", "is no time"), ("2990-01-01T00:00", "in the future")):
        refused = run("rehearse", "-f", str(file), "--from", time)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
