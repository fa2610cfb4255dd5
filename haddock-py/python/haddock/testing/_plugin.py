"""The pytest plugin: the fixture `haddock_sim`, and logs of environments in the reports of failed tests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ._world import World


@pytest.fixture
def haddock_sim() -> Iterator[World]:
    """A simulated world: engine, locator and controller in virtual time."""
    # Loaded only when first used, because pytest loads this file in every project.
    from ._world import World

    with World() as world:
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # If this module is not loaded, no fixture has an environment.
    environments = sys.modules.get("haddock.testing._environments")
    if report.failed and environments is not None:
        environments.report(report, item, None if call.excinfo is None else call.excinfo.value)
    return report
