"""Which engine is meant, how its containers are reached, and what `haddock check` says of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import haddock
from cli_site import clean_environment, run


def context(folder: Path, name: str, host: str) -> None:
    """What `docker context create` writes, but for the folder's name, which is a digest there."""
    meta = folder / "contexts" / "meta" / name
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def engine_found(tmp_path: Path, **variables: str) -> dict[str, str]:
    """What `check` says first."""
    environment = clean_environment(HADDOCK_STATE=str(tmp_path / "state"), DOCKER_CONFIG=str(tmp_path), **variables)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        if name not in variables:
            environment.pop(name, None)
    return json.loads(run("check", "--json", env=environment, cwd=tmp_path).stdout)["findings"][0]


def test_the_engine_is_that_of_the_current_context(tmp_path: Path) -> None:
    context(tmp_path, "side", f"unix://{tmp_path}/side.sock")
    context(tmp_path, "other", f"unix://{tmp_path}/other.sock")
    (tmp_path / "config.json").write_text('{"currentContext": "side"}')
    assert f"{tmp_path}/side.sock" in engine_found(tmp_path)["says"]
    assert f"{tmp_path}/other.sock" in engine_found(tmp_path, DOCKER_CONTEXT="other")["says"]
    assert f"{tmp_path}/host.sock" in engine_found(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/host.sock")["says"]


def test_a_context_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    context(tmp_path, "side", "unix:///side.sock")
    found = engine_found(tmp_path, DOCKER_CONTEXT="gone")
    assert found["state"] == "problem"
    assert "`gone`, which DOCKER_CONTEXT names" in found["says"]
    assert "`default`, `side`" in found["fix"]


def test_reach_and_pool_are_read_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(haddock.InvalidValueError, match="sideways"):
        haddock.Docker(f"unix://{tmp_path}/no.sock", reach="sideways")
    with pytest.raises(haddock.InvalidValueError, match="10.0.0.0/33"):
        haddock.Docker(f"unix://{tmp_path}/no.sock", address_pool="10.0.0.0/33")
    found = engine_found(tmp_path, HADDOCK_REACH="sideways")
    assert "sideways" in found["says"]
    assert "published:ADDRESS" in found["fix"]


@pytest.mark.docker
def test_check_says_how_containers_are_reached_and_what_is_in_the_way_of_the_pool(tmp_path: Path) -> None:
    def found(*words: str) -> dict[str, dict[str, str]]:
        environment = clean_environment(HADDOCK_STATE=str(tmp_path / "state"))
        findings = json.loads(run("check", "--json", *words, env=environment, cwd=tmp_path).stdout)["findings"]
        return {each["name"]: each for each in findings}

    usual = found()
    assert "API 1." in usual["engine"]["says"]
    assert "reached at" in usual["reach"]["says"]
    assert "1024 subnets" in usual["pool"]["says"]
    # The engine's own bridge is there on every machine; 169.254.0.0/16 on none.
    other = found("--reach", "published:127.0.0.1", "--address-pool", "169.254.8.0/24,size=26")
    assert "published ports of 127.0.0.1: it was asked for" in other["reach"]["says"]
    assert "4 of 4 subnets of `169.254.8.0/24,size=26` are free" in other["pool"]["says"]
