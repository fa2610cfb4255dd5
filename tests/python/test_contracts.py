"""The conformance suites, against runtimes and locators written in Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
import toy

import haddock
from haddock.testing import LocatorHarness, RuntimeHarness, World, locator_suite, runtime_suite


def wall() -> datetime:
    return datetime.now(timezone.utc)


class ToyStage(RuntimeHarness):
    serving = "serving:1"
    exiting = "exiting:1"
    stubborn = "stubborn:1"
    missing = "missing:1"
    kind = toy.ToyRuntime

    def runtime(self) -> haddock.ContainerRuntime:
        runtime = self.kind(wall)
        runtime.ends["exiting:1"] = (0.0, 3)
        return runtime


class AsyncStage(ToyStage):
    kind = toy.AsyncToyRuntime


test_a_runtime = runtime_suite(ToyStage)
test_an_async_runtime = runtime_suite(AsyncStage)


class LocatorStage(LocatorHarness):
    idle = 60.0
    late = 1.0

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=timezone.utc)
        self.toy = toy.ToyLocator(lambda: self.time)
        self.instances: list[str] = []

    def locator(self) -> haddock.ServiceLocator:
        return self.toy

    def start(self, instance: str) -> str:
        if instance not in self.instances:
            self.instances.append(instance)
        return f"127.0.0.1:{20_000 + self.instances.index(instance)}"

    def ask(self, cookies: dict[str, str], what: str) -> str | None:
        begun = self.toy.begin(self.service, cookies, what == "probe")
        if begun is None:
            return None
        self.toy.finish(self.service, *begun, what == "failure", cookies)
        return begun[0]

    def begin(self, cookies: dict[str, str]) -> tuple[str, Callable[[], object]] | None:
        begun = self.toy.begin(self.service, cookies, False)
        if begun is None:
            return None
        instance, key = begun
        kept: dict[str, str] = {}
        if key:
            cookies.update(session=key, instance=instance, last=self.time.isoformat())
        return instance, lambda: self.toy.finish(self.service, instance, key, False, kept)

    def now(self) -> datetime:
        return self.time

    def let_pass(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def restart(self) -> bool:
        self.toy.restart()
        return True


test_a_locator = locator_suite(LocatorStage)


class Broken(toy.ToyRuntime):
    """Creates nothing, and says so in several ways."""

    raises: BaseException = ValueError("there is no tiger here")

    def create(self, spec: haddock.ContainerSpec) -> str:
        raise self.raises


@pytest.mark.parametrize(
    ("raises", "kind", "text"),
    [
        (ValueError("there is no tiger here"), haddock.RuntimeRefusedError, "`ValueError`: there is no tiger here"),
        (haddock.NameTakenError("the name is taken", hint="take another"), haddock.NameTakenError, "the name is taken"),
    ],
)
def test_what_a_runtime_raises_is_what_aborts(
    compose: Path, raises: Exception, kind: type[haddock.HaddockError], text: str
) -> None:
    world = World()
    runtime = Broken(world.time.now)
    runtime.raises = raises
    with world.another_controller(runtime=runtime) as controller:
        with pytest.raises(haddock.ReleaseAbortedError) as aborted:
            controller.release(compose, tag="v1").wait()
    assert type(aborted.value.cause) is kind and text in str(aborted.value)


def test_a_runtime_that_answers_nonsense_is_refused(compose: Path) -> None:
    class Odd(toy.ToyRuntime):
        def create(self, spec: haddock.ContainerSpec) -> Any:
            return object()

    world = World()
    with world.another_controller(runtime=Odd(world.time.now)) as controller:
        with pytest.raises(haddock.ReleaseAbortedError, match="is no plain data"):
            controller.release(compose, tag="v1").wait()


def test_a_locator_written_in_python_carries_a_release(do: Any, compose: Path) -> None:
    world = World()
    locator = toy.ToyLocator(world.time.now)
    with haddock.Controller(runtime=world.runtime, locator=locator, time=world.time) as controller:
        do(do(controller, "release", compose, tag="v1"), "wait")
        cookies: dict[str, str] = {}
        begun = locator.begin("shop", cookies, False)
        assert begun is not None
        locator.finish("shop", *begun, False, cookies)
        assert do(do(controller, "release", compose, tag="v2"), "wait", "gone").seconds > 3600
        status = do(controller, "status", "shop")
        assert [it.version for it in status.instances] == [2]


def test_the_values_of_variables_reach_the_runtime(compose: Path) -> None:
    seen = []

    class Curious(toy.ToyRuntime):
        def create(self, spec: haddock.ContainerSpec) -> str:
            seen.append(spec)
            return super().create(spec)

    world = World()
    with world.another_controller(runtime=Curious(world.time.now)) as controller:
        controller.release(compose, tag="v1").wait()
    assert seen[0].environment["PASSWORD"] == "hunter2" and seen[0].expose == [8080]


def test_what_a_runtime_does_not_look_at_is_refused_by_its_name(compose: Path) -> None:
    seen: list[haddock.ContainerSpec] = []

    class Plain(toy.ToyRuntime):
        def create(self, spec: haddock.ContainerSpec) -> str:
            seen.append(spec)
            return super().create(spec)

    class Careful(Plain):
        capabilities = haddock.RuntimeCapabilities(networks=True, options=frozenset(["working_dir"]))

    world = World()
    compose.write_text(compose.read_text().replace("image:", "working_dir: /srv, image:"))
    with world.another_controller(runtime=Plain(world.time.now)) as controller:
        with pytest.raises(haddock.ReleaseAbortedError, match="`working_dir`"):
            controller.release(compose, tag="v1").wait()
    assert not seen
    world = World()
    with world.another_controller(runtime=Careful(world.time.now)) as controller:
        controller.release(compose, tag="v1").wait()
    assert any(spec.options == {"working_dir": "/srv"} for spec in seen)


def test_an_abstract_runtime_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        haddock.ContainerRuntime()  # type: ignore[abstract]
