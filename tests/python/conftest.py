"""What the tests share. Each verb is tested in both worlds: blocking, and as a coroutine."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

COMPOSE = """
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"], environment: { PASSWORD: "hunter2" } }
x-haddock:
  ready: /health
  session: { idle: 1h, ignore: [/health] }
  release: { ramp: [10%, 50%, 100%], every: 10m, settle: 10m }
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "docker: takes a Docker Engine")
    # What a shell starts in the background ignores Ctrl-C, and hands that on to its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Sync:
    """Verbs that block."""

    def __call__(self, of: Any, verb: str, *given: Any, **named: Any) -> Any:
        return getattr(of, verb)(*given, **named)

    def events(self, release: Any, **named: Any) -> list[Any]:
        return list(release.events(**named))


class Async:
    """The same as coroutines, each on a loop of its own."""

    def __call__(self, of: Any, verb: str, *given: Any, **named: Any) -> Any:
        return asyncio.run(getattr(of, f"{verb}_async")(*given, **named))

    def events(self, release: Any, **named: Any) -> list[Any]:
        async def every() -> list[Any]:
            return [event async for event in release.events(**named)]

        return asyncio.run(every())


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Any:
    """Carries out a verb: `do(controller, "release", file, tag="v1")`."""
    return request.param


@pytest.fixture
def sim(haddock_sim: Any) -> Any:
    """The plugin's fixture, for short."""
    return haddock_sim


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    return path
