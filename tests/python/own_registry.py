"""A registry of a test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
import warnings
from pathlib import Path

import pytest

from cli_site import free_port, until


def start(folder: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Starts one on a loopback port, and waits until it answers: its address, and its process."""
    if shutil.which("docker-registry") is None:
        if os.environ.get("HADDOCK_TEST_REQUIRE"):
            pytest.fail("docker-registry is missing, and HADDOCK_TEST_REQUIRE is set")
        warnings.warn("SKIPPED: docker-registry is missing", stacklevel=2)
        pytest.skip("docker-registry is missing")
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    (folder / "registry.json").write_text(json.dumps(configuration))
    words = ["docker-registry", "serve", str(folder / "registry.json")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("the registry answers", lambda: answers(address))
    return address, process


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
