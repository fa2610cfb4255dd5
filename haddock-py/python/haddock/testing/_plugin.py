"""The pytest plugin: the fixture `sim`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._world import World


@pytest.fixture
def sim() -> Iterator[World]:
    """A simulated world: engine, locator and controller in virtual time."""
    # Loaded when it is first used: pytest loads this file in every project.
    from ._world import World

    with World() as world:
        yield world
