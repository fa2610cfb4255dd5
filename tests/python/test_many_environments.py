"""Many environments side by side, brought up all at once: more than the engine's own address pools have networks for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli_docker
import haddock
from cli_site import Site, call

MANY = 100 if os.environ.get("HADDOCK_SLOW") else 34
"""Docker's own pools have about 30 networks."""

COMPOSE = """\
name: many
x-common: &common
  image: haddock-demo:c1
  expose: ["8080"]
  stop_grace_period: 2s
services:
  db: { <<: *common, environment: { VERSION: "${COMPOSE_PROJECT_NAME}" } }
  mq: { <<: *common, environment: { VERSION: "${COMPOSE_PROJECT_NAME}" } }
  app:
    <<: *common
    environment: { VERSION: "${COMPOSE_PROJECT_NAME}", CALLS: "store:8080 mq:8080" }
    links: ["db:store", mq]
  web:
    <<: *common
    environment: { VERSION: "${COMPOSE_PROJECT_NAME}", CALLS: "app:8080" }
    links: [app]
"""

pytestmark = pytest.mark.docker


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place with a compose file, on the engine."""
    with cli_docker.place(tmp_path, COMPOSE) as site:
        yield site


def names(answer: Any) -> list[str]:
    """The names in an answer that crossed every link, depth first."""
    inner = [name for other in answer["calls"].values() for name in names(other)]
    return [answer["version"], *inner]


def test_each_of_many_answers_across_all_its_links_with_its_own_name(site: Site) -> None:
    file = site.directory / "compose.yaml"
    begin = site.directory.name[-8:].strip("-_").lower().replace("_", "-")

    async def all_at_once(h: haddock.Controller) -> None:
        up = [h.up_async(file, name=f"{begin}-{number}") for number in range(MANY)]
        environments = await asyncio.gather(*up)
        try:
            assert len({environment.name for environment in environments}) == MANY
            for environment in environments:
                answer = call(str(environment.address("web", 8080)), "/call", timeout=20)
                assert list(answer["calls"]) == ["app"] and list(answer["calls"]["app"]["calls"]) == ["mq", "store"]
                assert names(answer) == [environment.name] * 4
        finally:
            await asyncio.gather(*(environment.down_async() for environment in environments))

    with haddock.connect(state=site.state) as h:
        asyncio.run(all_at_once(h))
        assert h.environments() == []
    assert (cli_docker.containers(site), cli_docker.listed(site, "network", "ls")) == ([], [])
