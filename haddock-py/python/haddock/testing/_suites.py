"""The conformance suites, as tests for pytest."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from .. import _native
from .._background import finished
from .._bridge import wait
from .._values import millis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._locators import Gateway, RemoteGateway, ServiceLocator
    from .._runtimes import ContainerRuntime, Docker, Process


class RuntimeHarness(ABC):
    """What the suite has to know about a container runtime. Each case removes what it has made."""

    serving: str
    """An image whose program listens on port 8080 until it is asked to stop, and then ends with code 0. Where
    `connects` is true it answers HTTP requests with the value of its variable `GREETING`."""
    exiting: str
    """An image whose program prints the lines `line 1` to `line 5` and ends with code 3."""
    stubborn: str
    """An image whose program goes on running when it is asked to stop."""
    missing: str = "haddock.invalid/nowhere:never"
    """An image that does not exist anywhere."""
    connects: bool = False
    """Whether addresses take real connections."""

    @abstractmethod
    def runtime(self) -> ContainerRuntime | Docker | Process:
        """The runtime."""

    def calling(self, alias: str) -> Sequence[str] | None:
        """A command for the serving image. It sends a request to the linked `alias` at port 8080, prints the answer as
        its last line, and ends. `None` if links are not supported."""
        return None

    def checking(self, code: int) -> Sequence[str] | None:
        """A health check that prints `the check ended with CODE` and passes if the code is 0. `None` if health checks
        are not run."""
        return None

    def pause(self) -> None:
        """Lets about ten milliseconds of the runtime's time pass."""
        time.sleep(0.01)

    def _call(self, method: str, arguments: list[str]) -> Any:
        given: list[Any] = [int(it) for it in arguments] if method == "checking" else list(arguments)
        answer = finished(getattr(self, method)(*given))
        return None if answer is None else list(answer)


class LocatorHarness(ABC):
    """A service locator with clients and instances. Each case has a new one."""

    service: str = "suite"
    """The service of the clients' requests."""
    idle: float = 1.0
    """The idle time for tables, in seconds: the shortest that the locator measures reliably."""
    late: float = 0.2
    """How long after the idle time a session may still live, in seconds."""

    @abstractmethod
    def locator(self) -> ServiceLocator | Gateway | RemoteGateway:
        """The locator; after a restart, the one that was restarted."""

    @abstractmethod
    def start(self, instance: str) -> str:
        """Starts an instance, or uses a running one, and returns its `host:port`."""

    @abstractmethod
    def ask(self, cookies: dict[str, str], what: Literal["page", "failure", "probe"]) -> str | None:
        """Sends a request with these cookies, and adds those of the response to the same dict. Returns the instance
        that served it. A `page` is answered with 200, a `failure` with 500. A `probe` requests `/probe`, which the
        tables name as a path to ignore."""

    @abstractmethod
    def begin(self, cookies: dict[str, str]) -> tuple[str, Callable[[], object]] | None:
        """Sends a request, waits until its instance has it, and leaves it unanswered. Returns the instance, and a
        handle that lets it answer."""

    @abstractmethod
    def let_pass(self, seconds: float) -> None:
        """Lets that much time pass, as the locator sees it."""

    def now(self) -> datetime:
        """The present time, as the locator sees it."""
        return datetime.now(timezone.utc)

    def restart(self) -> bool:
        """Kills the locator and starts it again with its data on disk. `False`: it cannot be restarted."""
        return False

    @cached_property
    def _held(self) -> dict[str, Callable[[], object]]:
        return {}

    def _call(self, method: str, arguments: list[str]) -> Any:
        return finished(getattr(self, f"_call_{method}")(*arguments))

    def _call_locator(self) -> _native.Locator:
        return self.locator()._native_locator()

    def _call_start(self, instance: str) -> str:
        return self.start(instance)

    def _call_ask(self, given: str, what: Literal["page", "failure", "probe"]) -> tuple[dict[str, str], str | None]:
        cookies: dict[str, str] = json.loads(given)
        served = self.ask(cookies, what)
        return cookies, served

    def _call_begin(self, given: str) -> tuple[dict[str, str], str, str] | None:
        cookies: dict[str, str] = json.loads(given)
        held = self.begin(cookies)
        if held is None:
            return None
        instance, finish = held
        key = str(id(finish))
        self._held[key] = finish
        return cookies, instance, key

    def _call_finish(self, which: str) -> None:
        self._held.pop(which)()

    def _call_let_pass(self, seconds: str) -> None:
        self.let_pass(float(seconds))

    def _call_now(self) -> int:
        return millis(self.now())

    def _call_restart(self) -> bool:
        return self.restart()


def runtime_suite(factory: Callable[[], RuntimeHarness]) -> Callable[[str], None]:
    """The contract of container runtimes as a test for pytest, with a parameter for each case:

    test_contract = runtime_suite(MyHarness)
    """
    import pytest

    @pytest.mark.parametrize("case", _native.runtime_cases())
    def test_runtime_contract(case: str) -> None:
        harness = factory()
        images = [harness.serving, harness.exiting, harness.stubborn, harness.missing]
        runtime = harness.runtime()._native_runtime()
        wait(_native.runtime_case(case, runtime, harness._call, images, harness.connects))

    return test_runtime_contract


def locator_suite(factory: Callable[[], LocatorHarness]) -> Callable[[str], None]:
    """The contract of service locators as a test for pytest, with a parameter for each case:

    test_contract = locator_suite(MyHarness)
    """
    import pytest

    @pytest.mark.parametrize("case", _native.locator_cases())
    def test_locator_contract(case: str) -> None:
        harness = factory()
        wait(_native.locator_case(case, harness._call, harness.service, harness.idle, harness.late))

    return test_locator_contract
