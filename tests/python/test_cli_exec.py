"""`haddock exec` as `docker exec -i` in a pipe and `-it` on a terminal, and `haddock logs` of several components."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli_docker
import haddock
from cli_site import HADDOCK, Site, until

COMPOSE = """\
name: pipe
services:
  db: { image: IMAGE, expose: ["8080"], environment: { ADDRESS: 0.0.0.0 }, stop_grace_period: 1s }
  web: { image: IMAGE, expose: ["8080"], environment: { ADDRESS: 0.0.0.0 }, links: [db], stop_grace_period: 1s }
"""
SIZE = 8_000_000
"""Bytes: more than all that buffers on the way hold."""

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An environment whose containers have a shell."""
    cli_docker.required()
    directory = tmp_path_factory.mktemp("exec")
    compose = COMPOSE.replace("IMAGE", cli_docker.image_with_shell())
    with cli_docker.place(directory, compose, HADDOCK_ENVIRONMENT=f"exec-{os.getpid()}") as site:
        site.ok("up")
        yield site


def run(site: Site, *words: str, send: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command with bytes on both sides."""
    return subprocess.run(
        [HADDOCK, "exec", *words], cwd=site.directory, env=site.env, input=send, capture_output=True, timeout=60, check=False
    )


def test_what_goes_in_comes_out_byte_for_byte(site: Site) -> None:
    data = os.urandom(SIZE)
    ran = run(site, "db", "--", "cat", send=data)
    assert ran.stdout == data
    assert (ran.stderr, ran.returncode) == (b"", 0)


def test_streams_are_apart_and_nothing_is_added(site: Site) -> None:
    ran = run(site, "db", "--", "sh", "-c", "printf dump; printf warning >&2; exit 7")
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"dump", b"warning", 7)
    assert len(run(site, "web", "--", "seq", "1", "30000").stdout.splitlines()) == 30_000


def test_what_is_not_to_read_reads_the_end(site: Site) -> None:
    assert run(site, "--no-stdin", "db", "--", "cat", send=b"for the loop").stdout == b""
    # A command that has read enough ends, although more would come.
    assert run(site, "db", "--", "head", "-c", "5", send=b"x" * SIZE).stdout == b"xxxxx"


def test_a_limit_is_kept_and_without_one_there_is_none(site: Site) -> None:
    ran = run(site, "--timeout", "500ms", "db", "--", "sleep", "30")
    assert ran.returncode == 7 and b"has not ended within 500ms" in ran.stderr
    told = json.loads(run(site, "--json", "db", "--", "sh", "-c", "cat; echo no >&2; exit 3", send=b"text").stdout)
    assert told == {"exit_code": 3, "stdout": "text", "stderr": "no\n"}


def test_on_a_terminal_the_program_has_one_and_ctrl_c_is_for_it(site: Site) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(theirs)
    # Its size comes a moment after the program has begun, on engines before API 1.42.
    script = "while [ \"$(stty size)\" = '0 0' ]; do sleep 0.1; done; stty size; trap 'echo caught; stty size; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [HADDOCK, "exec", "db", "--", "sh", "-c", script], cwd=site.directory, env=site.env,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    said = b""

    def says(text: bytes) -> bool:
        nonlocal said
        said += os.read(ours, 65_536)
        return text in said

    try:
        until("it runs", lambda: says(b"ready"))
        assert b"33 77" in said, "the size of the window"
        assert termios.tcgetattr(theirs)[3] & termios.ICANON == 0, "each key goes through"
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        process.send_signal(signal.SIGWINCH)
        until("the size is known within", lambda: b"44 99" in run_on(site, said))
        os.write(ours, b"\x03")
        until("it has caught it", lambda: says(b"caught"))
        assert process.wait(30) == 5
    finally:
        process.kill()
        process.wait()
    assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
    os.close(ours)
    os.close(theirs)


def run_on(site: Site, _said: bytes) -> bytes:
    """The sizes of the terminals within the container."""
    return run(site, "db", "--", "sh", "-c", "for each in /dev/pts/[0-9]*; do stty size <$each; done").stdout


def test_files_in_python(site: Site, tmp_path: Path) -> None:
    dump, restored = tmp_path / "dump", tmp_path / "restored"
    dump.write_bytes(os.urandom(SIZE))
    with haddock.connect(state=site.env["HADDOCK_STATE"]) as h:
        environment = h.environment(site.env["HADDOCK_ENVIRONMENT"])
        with dump.open("rb") as source, restored.open("wb") as target:
            ran = environment.exec("db", "cat", stdin=source, stdout=target)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "")
        assert restored.read_bytes() == dump.read_bytes()
        assert environment.exec("db", "sh -c 'echo $0 >&2' word").stderr == "word\n"
        with pytest.raises(haddock.TimedOutError):
            environment.exec("db", ["sleep", "30"], timeout="300ms")
        with environment.attach("db", ["cat"]) as running:
            assert running.write(b"one")
            assert next(running) == ("stdout", b"one")
            running.close_input()
            assert list(running) == []
            assert running.exit_code() == 0


def test_what_is_no_component_is_told(site: Site) -> None:
    ran = run(site, "dbx", "--", "true")
    assert ran.returncode == 3 and b"has no component `dbx`" in ran.stderr and b"`db`" in ran.stderr


def test_logs_of_all_are_one(site: Site) -> None:
    for component, text in [("db", "first"), ("web", "second"), ("db", "third")]:
        # What the first process of a container writes is its log.
        site.ok("exec", component, "--", "sh", "-c", f"echo {text} >/proc/1/fd/1")
    lines = site.ok("logs").splitlines()
    ours = [line for line in lines if line.split()[-1] in ("first", "second", "third")]
    assert ours == ["db  | first", "web | second", "db  | third"]
    assert "third" in site.ok("logs", "db") and "|" not in site.ok("logs", "db")
    assert len(site.ok("logs", "--tail", "1").splitlines()) <= 2
    assert site.ok("logs", "--since", "0s") == ""
    assert site.ok("logs", "-t", "--tail", "1", "db").startswith("20")
    found = site.json("logs")["lines"]
    assert [it["line"] for it in found if it["line"] in ("first", "second", "third")] == ["first", "second", "third"]
    follow = site.start("logs", "-f", "--tail", "1")
    follow.says("third")
    site.ok("exec", "web", "--", "sh", "-c", "echo fourth >/proc/1/fd/1")
    assert follow.says("fourth") == "web | fourth"
    follow.close()
