"""Files into and out of containers, and waiting for a line of a log."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import haddock
from haddock.testing import World

FILE = 'name: shop\nservices: { web: { image: "shop:v1", expose: ["8080"] } }\n'


@pytest.fixture
def environment(sim: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> haddock.Environment:
    """One whose commands run on this machine: what a container would do with them."""
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)

    def run(self: Any, component: str, command: list[str], **named: Any) -> haddock.Executed:
        assert component == "web"
        stdin = named["stdin"].read() if "stdin" in named else b""
        ran = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if "stdout" in named:
            named["stdout"].write(ran.stdout)
        return haddock.Executed(ran.returncode, "", ran.stderr.decode())

    async def run_async(self: Any, component: str, command: list[str], **named: Any) -> haddock.Executed:
        return run(self, component, command, **named)

    monkeypatch.setattr(haddock.Environment, "exec", run)
    monkeypatch.setattr(haddock.Environment, "exec_async", run_async)
    return sim.controller.up(path, name="pr-1")


def test_files_and_folders_go_in_and_out(do: Any, environment: haddock.Environment, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "etc").mkdir(parents=True)
    one = tmp_path / "one.txt"
    one.write_bytes(b"\x00one\xff")
    os.chmod(one, 0o640)
    do(environment, "copy_in", "web", one, f"{inside}/etc/two.txt")
    assert (inside / "etc/two.txt").read_bytes() == b"\x00one\xff" and os.stat(inside / "etc/two.txt").st_mode & 0o777 == 0o640
    do(environment, "copy_in", "web", str(one), f"{inside}/etc/")
    assert (inside / "etc/one.txt").exists(), "into the folder, under its own name"
    do(environment, "copy_out", "web", f"{inside}/etc", tmp_path / "copy")
    assert sorted(it.name for it in (tmp_path / "copy").iterdir()) == ["one.txt", "two.txt"]
    do(environment, "copy_out", "web", f"{inside}/etc", tmp_path / "copy" / "")  # a folder that is there: into it
    assert (tmp_path / "copy/etc/two.txt").exists()
    do(environment, "copy_out", "web", f"{inside}/etc/two.txt", tmp_path / "again" / "three.txt")
    assert (tmp_path / "again/three.txt").read_bytes() == b"\x00one\xff"
    assert sorted(it.name for it in (tmp_path / "again").iterdir()) == ["three.txt"], "nothing else is left there"


def test_what_cannot_be_copied_is_told(do: Any, environment: haddock.Environment, tmp_path: Path) -> None:
    for verb, source, target, message in (
        ("copy_in", tmp_path / "nothing", "/tmp/x", "`.*nothing` does not exist"),
        ("copy_out", f"{tmp_path}/nothing", tmp_path / "x", "of component `web` does not exist"),
        ("copy_in", tmp_path / "compose.yaml", f"{tmp_path}/no/folder/x", "of component `web`"),
    ):
        with pytest.raises(haddock.HaddockError, match=message):
            do(environment, verb, "web", source, target)
    assert not (tmp_path / "x").exists()
    with pytest.raises(haddock.InvalidValueError, match="not an absolute path"):
        do(environment, "copy_in", "web", tmp_path / "compose.yaml", "etc/x")
    with pytest.raises(TypeError, match="`target`"):
        do(environment, "copy_out", "web", "/etc", 1)


def test_a_line_of_a_log_is_waited_for(do: Any, sim: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)
    environment = sim.controller.up(path, name="pr-1")
    with pytest.raises(haddock.TimedOutError) as late:
        do(environment, "wait_for_log", "web", r"ready in (\d+)", timeout=0.5)
    assert "component `web` printed no line with `ready in (\\d+)` within 0.5 s" == late.value.message
    assert late.value.hint
    written = io.StringIO("booting\nready in 7 s\n").read().splitlines()
    monkeypatch.setattr(haddock.Environment, "logs", lambda *_: written)

    async def logs(*_: Any) -> list[str]:
        return written

    monkeypatch.setattr(haddock.Environment, "logs_async", logs)
    assert do(environment, "wait_for_log", "web", r"ready in \d+", timeout=5) == "ready in 7 s"
    assert do(environment, "wait_for_log", "web", lambda line: "boot" in line, timeout=5) == "booting"
    with pytest.raises(haddock.InvalidValueError, match="is not a regular expression"):
        do(environment, "wait_for_log", "web", "ready (")
    with pytest.raises(TypeError, match="`wanted`"):
        do(environment, "wait_for_log", "web", 7)
