"""The proxies that tests need, as this machine has them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Where a proxy is. Without it, the test is skipped aloud, or fails where all has to be there."""
    beside = Path(sys.executable).parent
    found = shutil.which(name) or shutil.which(name, path=f"/usr/sbin:/usr/local/sbin:{beside}")
    if found is None:
        # Traefik comes with the requirements, on machines of this kind.
        if os.environ.get("HADDOCK_TEST_REQUIRE") and (name != "traefik" or platform.machine() == "x86_64"):
            pytest.fail(f"there is no {name}, and HADDOCK_TEST_REQUIRE is set")
        pytest.skip(f"there is no {name}")
    return found
