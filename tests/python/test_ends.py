"""Calls end: in time, when they are interrupted, and when their controller is closed; and leave nothing half done."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import toy

import haddock
from haddock import _native
from haddock._given import options_of
from haddock.testing import World

FILE = 'name: shop\nservices: { web: { image: "shop:${TAG:-v1}", expose: ["8080"] } }\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)
    return path


def test_every_verb_has_a_time_limit() -> None:
    import inspect

    from haddock import Controller, Environment, Release

    without = []
    for kind in (Controller, Environment, Release):
        for name, verb in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_") or name in ("close", "close_async", "to_dict", "address", "url", "attach", "attach_async"):
                continue
            if name == "read_logs":  # it does not wait: each line is waited for by whoever reads
                continue
            if "timeout" not in inspect.signature(verb).parameters:
                without.append(f"{kind.__name__}.{name}")
    assert without == []


def test_what_takes_too_long_is_told_and_undone(do: Any, sim: World, file: Path) -> None:
    sim.runtime.image("shop:slow", boot=None)
    for limit in (30, "30s", timedelta(seconds=30)):
        begun = sim.time.now()
        with pytest.raises(haddock.TimedOutError) as late:
            do(sim.controller, "up", file, name="pr-1", tag="slow", timeout=limit)
        assert late.value.message == "`up` did not end within 30 s" and late.value.hint
        assert isinstance(late.value, TimeoutError)
        assert timedelta(seconds=30) <= sim.time.now() - begun < timedelta(minutes=2), "by the time that passes there"
        assert sim.runtime.containers() == [] and do(sim.controller, "environments") == []


def test_what_was_there_before_stays(do: Any, sim: World, file: Path) -> None:
    entry = 'x-haddock: { entry: "web:8080" }\n'
    file.write_text(FILE + entry)
    do(sim.controller, "up", file, name="pr-1")
    kept = [it.id for it in sim.runtime.containers()]
    file.write_text(FILE.replace(" } }", ' }, db: { image: "db:slow", expose: ["1"] } }') + entry)
    sim.runtime.image("db:slow", boot=None)
    with pytest.raises(haddock.TimedOutError):
        do(sim.controller, "up", file, name="pr-1", timeout=10)
    assert [it.id for it in sim.runtime.containers()] == kept


def test_events_end_in_time(do: Any, sim: World, compose: Path) -> None:
    do(sim.controller, "release", compose, tag="v1").wait()
    second = do(sim.controller, "release", compose, tag="v2")
    with pytest.raises(haddock.TimedOutError, match="`events` did not end within"):
        do.events(second, timeout="5m")
    assert do(second, "status").phase == "ramping", "it goes on"
    assert do(second, "wait").version == 2


INTERRUPTED = """
import asyncio, haddock, sys, toy
from datetime import datetime, timezone

class Slow(toy.ToyRuntime):
    def probe(self, address, path):
        print("waits", flush=True)
        return False

runtime = Slow(lambda: datetime.now(timezone.utc))
controller = haddock.Controller(runtime=runtime, locator=toy.ToyLocator(runtime.clock))

def up():
    with controller.up(sys.argv[1], name="pr-1"):
        print("never", flush=True)

async def up_async():
    async with await controller.up_async(sys.argv[1], name="pr-1"):
        print("never", flush=True)

try:
    up() if sys.argv[2] == "sync" else asyncio.run(up_async())
except KeyboardInterrupt:
    print("left", len(runtime.made), flush=True)
"""


@pytest.mark.parametrize("world", ["sync", "async"])
def test_ctrl_c_removes_what_an_up_has_made(file: Path, world: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(file), world]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        said = [line for line in process.stdout if line != "waits\n"]
        assert process.wait(20) == 0
    assert said == ["left 0\n"]


async def bring_up(controller: haddock.Controller, file: Path) -> None:
    await controller.up_async(file, name="pr-1")


async def read_events(controller: haddock.Controller, file: Path) -> None:
    async for _ in controller.up_events(file, name="pr-1"):
        pass


@pytest.mark.parametrize("wait", [bring_up, read_events])
def test_a_cancelled_up_removes_what_it_has_made(
    file: Path, wait: Callable[[haddock.Controller, Path], Coroutine[Any, Any, None]]
) -> None:
    waits = threading.Event()

    class Slow(toy.ToyRuntime):
        def probe(self, address: str, path: str | None) -> bool:
            waits.set()
            return False

    # In real time: the virtual one passes as soon as everybody waits, and the `up` might end before it is cancelled.
    runtime = Slow(lambda: datetime.now(timezone.utc))

    async def cancelled() -> None:
        async with haddock.Controller(runtime=runtime, locator=toy.ToyLocator(runtime.clock)) as controller:
            task = asyncio.create_task(wait(controller, file))
            while not waits.is_set():
                await asyncio.sleep(0.01)
            assert runtime.made
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not runtime.made, "when the cancellation has ended, and not some time later"

    asyncio.run(cancelled())


def test_what_is_closed_stays_closed(do: Any, sim: World, compose: Path) -> None:
    controller = haddock.connect(runtime="sim")
    release = do(controller, "release", compose, tag="v1")
    environment = do(controller, "up", compose, name="pr-1", tag="v1")
    events = release.events()
    next(events)
    do(controller, "close")
    do(controller, "close")
    for call in (
        lambda: do(controller, "status", "shop"),
        lambda: do(controller, "up", compose, name="pr-2", tag="v1"),
        lambda: do(controller, "environments"),
        lambda: do(environment, "logs", "web"),
        lambda: do(environment, "down"),
        lambda: do(release, "wait"),
        lambda: do(release, "status"),
        lambda: list(release.events()),
        lambda: list(events),
    ):
        with pytest.raises(haddock.ClosedError) as closed:
            call()
        assert closed.value.message == "the controller is closed" and closed.value.hint
    assert environment.address("web"), "what is known is known"


def test_a_close_ends_what_others_wait_for(compose: Path) -> None:
    class Silent(toy.ToyRuntime):
        def pull(self, image: str, refresh: bool) -> str:
            raise haddock.RegistryUnavailableError("the registry does not answer")

    runtime = Silent(lambda: datetime.now(timezone.utc))
    controller = haddock.Controller(runtime=runtime, locator=toy.ToyLocator(runtime.clock))
    release = controller.release(compose, tag="v1")
    raised: list[BaseException] = []

    def waits() -> None:
        try:
            release.wait()
        except haddock.HaddockError as error:
            raised.append(error)

    thread = threading.Thread(target=waits)
    thread.start()
    time.sleep(0.1)  # most often it waits by then; if not, it is closed before
    controller.close()
    thread.join(10)
    assert [type(it) for it in raised] == [haddock.ClosedError]


def test_a_failed_call_ends_without_the_interpreter(tmp_path: Path) -> None:
    """An error is made into an exception by who asks for it: a thread of the runtime never waits for the interpreter."""
    controller = _native.controller(haddock.Sim()._native, {"sim": haddock.SimLocator()._native}, None, None, "test", None, None, None, None, {})
    call = controller.resolve([str(tmp_path / "nothing.yaml")], options_of(), True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # from now on nobody else gets the interpreter, unless it is given up
    try:
        call.start(None, "resolve")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass
        with pytest.raises(haddock.HaddockError, match="nothing.yaml"):
            call.result()
    finally:
        sys.setswitchinterval(before)


def test_without_a_gateway_nothing_is_started(do: Any, sim: World, compose: Path) -> None:
    sim.locator.down()
    with pytest.raises(haddock.LocatorUnavailableError) as away:
        do(sim.controller, "release", compose, tag="v1")
    assert "`shop` cannot be released without its gateway" in away.value.message and away.value.hint
    assert sim.runtime.containers() == [] and do(sim.controller, "status", "shop") is None
    states = {it.name: it.state for it in do(sim.controller, "check")}
    assert states == {"engine": "ok", "gateway": "problem", "journal": "ok"}
    sim.locator.up()
    assert do(sim.controller, "release", compose, tag="v1").wait().version == 1


def test_a_dry_run_is_a_plan(do: Any, sim: World, compose: Path) -> None:
    controller = sim.controller
    assert do(controller, "down", "pr-1", dry_run=True).changes == []
    environment = do(controller, "up", compose, name="pr-1", tag="v1")
    plan = do(environment, "down", dry_run=True)
    assert [(it.component, it.change) for it in plan.changes] == [("web", "remove")] and plan.notes == ["its volumes stay"]
    assert [it.name for it in do(controller, "environments")] == ["pr-1"]
    promotion = do(environment, "promote", dry_run=True)
    assert promotion.images == {"web": "shop:v1"} and promotion.steps and do(controller, "services") == []
    do(controller, "release", compose, tag="v1").wait()
    for verb in ("pause", "resume", "advance", "abort", "rollback"):
        with pytest.raises(haddock.NothingToDoError):
            do(controller, verb, "shop", dry_run=True)
    second = do(controller, "release", compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    for verb in ("pause", "resume", "advance", "abort", "rollback"):
        assert "version 2 of `shop`" in do(controller, verb, "shop", dry_run=True).steps[0]
    do(second, "wait")
    assert do(controller, "rollback", "shop", dry_run=True).steps == ["go back from version 2 of `shop` to what version 1 was"]
    sure: bool = bool(plan)
    assert do(controller, "down", "pr-1", dry_run=not sure) is True


def test_a_dry_run_of_an_adoption_and_of_a_keep_does_nothing(do: Any, sim: World, compose: Path) -> None:
    controller = sim.controller
    plan = do(controller, "adopt", "shop", "127.0.0.1:8080", dry_run=True)
    assert plan.steps[0] == "wait until the server at `127.0.0.1:8080` answers its probe" and do(controller, "services") == []
    do(controller, "release", compose, tag="v1").wait()
    with pytest.raises(haddock.NothingToDoError, match="`shop` has instances of its own"):
        do(controller, "adopt", "shop", "127.0.0.1:8080", dry_run=True)
    with pytest.raises(haddock.NotFoundError):
        do(controller, "keep", "pr-1", time="48h", dry_run=True)
    do(controller, "up", compose, name="pr-1", tag="v1")
    plan = do(controller, "keep", "pr-1", time="48h", dry_run=True)
    assert (plan.name, plan.notes) == ("pr-1", ["it is kept for 172800 s, whether or not anybody uses it"])


def test_old_names_of_errors_are_found_and_say_so() -> None:
    for name in ("NotFound", "TimedOut", "ReleaseAborted", "Busy"):
        with pytest.warns(DeprecationWarning, match=f"haddock.{name}Error"):
            assert getattr(haddock, name) is getattr(haddock, f"{name}Error")
    import haddock._errors as errors

    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert name.endswith("Error"), name


def test_an_error_tells_hint_and_log_below_its_traceback() -> None:
    import traceback

    error = haddock.NeverReadyError("`web` was not ready", hint="see its log", log_tail=["one", "two"])
    told = "".join(traceback.format_exception(error))
    if sys.version_info >= (3, 11):
        assert told.endswith("`web` was not ready\nhint: see its log\nlog: one\nlog: two\n")
    assert haddock.NeverReadyError("x", log_tail="one line").log_tail == ["one line"]
