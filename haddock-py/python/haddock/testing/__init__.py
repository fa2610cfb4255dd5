"""For tests of release scripts, and of runtimes and locators written in Python.

A `World` has the real controller on a simulated engine and locator, in virtual time. A release that takes eight
hours is tested in milliseconds. The pytest fixture is called `haddock_sim`:

    def test_a_bad_version_is_given_up(haddock_sim):
        haddock_sim.runtime.image("shop:bad", ends="1m", code=3)
        haddock_sim.controller.release("compose.yaml", tag="good").wait()
        with pytest.raises(haddock.ReleaseAbortedError):
            haddock_sim.controller.release("compose.yaml", tag="bad").wait()

`environment_fixture` makes a fixture of an environment on a real engine: up before the tests, down after them.

`runtime_suite` and `locator_suite` are the conformance suites, as tests for pytest.
"""

from __future__ import annotations

from .._runtimes import SimImage
from .._time import VirtualTime
from ._environments import environment_fixture
from ._suites import LocatorHarness, RuntimeHarness, locator_suite, runtime_suite
from ._world import Session, World

__all__ = [
    "LocatorHarness",
    "RuntimeHarness",
    "Session",
    "SimImage",
    "VirtualTime",
    "World",
    "environment_fixture",
    "locator_suite",
    "runtime_suite",
]
