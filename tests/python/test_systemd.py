"""The units of the examples, and a gateway that gets its listening socket as systemd hands it over."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import pytest

from cli_site import HADDOCK, ROOT, Running, clean_environment
from doc_pages import blocks

UNITS = sorted((ROOT / "examples" / "systemd").iterdir())


def test_the_page_shows_the_units() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "systemd.md") if block.language == "ini"]
    assert sorted(shown) == sorted(unit.read_text() for unit in UNITS)
    for unit in UNITS:
        assert unit.read_text().startswith(f"# /etc/systemd/system/{unit.name}\n")


def verified(folder: Path) -> str:
    """What systemd says of the units in a folder."""
    command = ["systemd-analyze", "verify", *map(str, sorted(folder.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


def test_systemd_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        warnings.warn("SKIPPED: there is no systemd-analyze", stacklevel=1)
        pytest.skip("there is no systemd-analyze")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/bin/haddock", str(HADDOCK)))
    assert verified(tmp_path) == ""
    unit = tmp_path / "haddock.service"
    unit.write_text(unit.read_text().replace("RestartSec", "RestartSecond"))
    assert "RestartSecond" in verified(tmp_path), "it looks at what it is given"


def status(port: int) -> int:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).close()
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_clients_wait_in_the_socket_that_is_handed_over(tmp_path: Path) -> None:
    """From one gateway to the next, and none is refused. `--listen` is not used."""
    taken, listener = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    env = clean_environment(HADDOCK_RUNTIME="process", HADDOCK_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}", SOCKET=str(listener.fileno()))
    # The first descriptor that is handed over is number 3, and only for the process that it is meant for.
    script = 'exec 3<&"$SOCKET"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
    words = ["bash", "-c", script, "bash", str(HADDOCK), "serve", "gateway", "--admin", "127.0.0.1:0", "--state", str(tmp_path / "state")]
    os.set_inheritable(listener.fileno(), True)
    with taken, listener:
        answers: list[int] = []
        for _ in range(2):
            early = threading.Thread(target=lambda: answers.append(status(port)))
            early.start()
            gateway = Running(words, tmp_path, env, pass_fds=[listener.fileno()])
            try:
                gateway.says(f"gateway: clients at 127.0.0.1:{port}")
                early.join(60)
                gateway.send(signal.SIGTERM)
                assert gateway.ends() == 0, gateway.text
            finally:
                gateway.close()
    assert answers == [503, 503], "a gateway has answered each: it has no table"
