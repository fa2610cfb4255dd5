"""The pytest plugin: the fixture `haddock_sim`, and logs of environments in the reports of tests that fail."""

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
    # Loaded when it is first used: pytest loads this file in every project.
    from ._world import World

    with World() as world:
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[Any]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # Nobody has an environment, or an error of ours, who has not loaded these.
    errors, environments = (sys.modules.get(f"haddock.{name}") for name in ("_errors", "testing._environments"))
    if not report.failed:
        return report
    raised = None if call.excinfo is None else call.excinfo.value
    # An environment that did not come up is to blame, and not those that did: the end of its log is told with the error.
    not_up = errors is not None and isinstance(raised, errors.HaddockError) and call.when == "setup"
    if environments is not None and not not_up:
        environments.report_logs(report)
    return report
