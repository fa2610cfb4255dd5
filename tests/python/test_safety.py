"""Ctrl-C, forks, loops that close early, time limits, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import haddock
from haddock.testing import World

# A release that never ends: its candidate waits, in real time, for an engine that is not there.
HANGS = """
import haddock, sys, toy
from datetime import datetime, timezone

class Silent(toy.ToyRuntime):
    def pull(self, image, refresh):
        raise haddock.RegistryUnavailableError("the registry does not answer")

runtime = Silent(lambda: datetime.now(timezone.utc))
controller = haddock.Controller(runtime=runtime, locator=toy.ToyLocator(runtime.clock))
release = controller.release(sys.argv[1], tag="v1")
"""


def script(compose: Path, text: str, **named: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HANGS + textwrap.dedent(text), str(compose)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **named)


def interrupt(process: subprocess.Popen[str]) -> float:
    """Waits until the script says that it waits, sends Ctrl-C, and answers with the seconds until it told of it."""
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    time.sleep(0.2)  # until it does wait, after having said so
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    took = time.monotonic() - begun
    assert process.wait(10) == 0, "it ends in good order"
    return took


@pytest.mark.parametrize(
    "waiting", ["release.wait()", "list(release.events())", "controller.serve()"], ids=["wait", "events", "serve"]
)
def test_ctrl_c_is_seen_within_200_ms(compose: Path, waiting: str) -> None:
    process = script(
        compose,
        f"""
        print("waits", flush=True)
        try:
            {waiting}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        assert controller.status("shop").release.phase == "preparing", "it can be used further"
        controller.close()
        """,
    )
    assert interrupt(process) < 0.2


def test_ctrl_c_in_a_loop_cancels(compose: Path) -> None:
    process = script(
        compose,
        """
        import asyncio

        async def main():
            print("waits", flush=True)
            await release.wait_async()

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """,
    )
    assert interrupt(process) < 0.2


def in_child(work: Any) -> str:
    """What `work` answers in a child after a fork."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = "nothing"
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(write, answer.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        answer = told.read()
    os.waitpid(pid, 0)
    return answer


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_makes_its_own_and_is_told_so(sim: World, compose: Path) -> None:
    sim.controller.release(compose, tag="v1").wait()

    def old() -> str:
        sim.controller.status("shop")
        return "it answered"

    def new() -> str:
        with World() as world:
            release = world.controller.release(compose, tag="v1")
            return f"version {release.wait().version}"

    def real() -> str:
        try:
            haddock.Docker("unix:///nowhere")
        except haddock.RuntimeUnavailableError:
            return "its own threads answered"
        return "somebody answered"

    assert real() == "its own threads answered", "the parent's threads run"
    assert in_child(old).startswith("NotSupportedError: this object was made before a fork")
    assert in_child(new) == "version 1"
    assert in_child(real) == "its own threads answered"
    assert sim.controller.status("shop") is not None, "the parent's go on"


def released(file: str) -> int:
    with World() as world:
        return world.controller.release(file, tag="v1").wait().version


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_multiprocessing_forks_workers(sim: World, compose: Path) -> None:
    sim.controller.release(compose, tag="v1").wait()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(released, [str(compose)] * 4) == [1] * 4


def test_a_time_limit_of_asyncio_ends_the_wait(compose: Path) -> None:
    world = World()

    async def main() -> None:
        release = await world.controller.release_async(compose, tag="v1")
        await release.wait_async()
        second = await world.controller.release_async(compose, tag="v2")
        async for event in second.events():
            if event.phase == "ramping":
                break
        await second.pause_async()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(second.wait_async(), 0.05)
        task = asyncio.ensure_future(second.wait_async())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await second.resume_async()
        assert (await second.wait_async()).version == 2

    asyncio.run(main())


def test_a_loop_that_is_closed_early_is_no_harm(compose: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World()
    loop = asyncio.new_event_loop()
    # What asyncio says of tasks whose loop is closed under them is for who closed it: here, for this test.
    told: list[str] = []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    release = loop.run_until_complete(world.controller.release_async(compose, tag="v1"))
    waiting = [loop.create_task(release.wait_async()) for _ in range(8)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    deadline = time.monotonic() + 30
    while release.status().phase != "settled":
        assert time.monotonic() < deadline
        world.advance("1m")
    del waiting
    while len(told) < 8:
        # Each is let go when its wait has ended, a moment after the release.
        assert time.monotonic() < deadline, told
        gc.collect()
    assert set(told) == {"Task was destroyed but it is pending!"}
    said = capfd.readouterr().err
    assert "panicked" not in said and "Event loop is closed" not in said
    assert release.wait().version == 1


def test_what_nobody_waits_for_ends(compose: Path) -> None:
    world = World()
    world.controller.release(compose, tag="v1").wait()
    second = world.controller.release(compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    second.pause()
    before = threads()
    for _ in range(5):
        call = second._native.wait("settled", None)
        call.cancel()
        del call
    calls = [second._native.wait("settled", None) for _ in range(5)]
    del calls
    wait_until(lambda: threads() <= before)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, (threads(), descriptors(), threading.enumerate())
        time.sleep(0.01)


def test_a_thousand_releases_leave_nothing_behind(tmp_path: Path) -> None:
    """In a process of its own, so that what other tests left does not count."""
    program = """
        import gc, json, sys
        from test_safety import descriptors, resident, threads, wait_until
        from haddock.testing import World

        def releases(world, first, last):
            for n in range(first, last + 1):
                release = world.controller.release(sys.argv[1], tag=f"v{n}")
                assert release.wait("gone").version == n
            gc.collect()
            # Calls end on threads of their own.
            wait_until(lambda: threads() == 1)
            return resident(), threads(), descriptors()

        with World() as world:
            print(json.dumps([releases(world, 1, 100), releases(world, 101, 1000)]))
    """
    compose = tmp_path / "compose.yaml"
    compose.write_text(
        "services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }\n"
        "x-haddock: { service: shop, session: { idle: 1m }, release: { ramp: [50%, 100%], every: 1m, settle: 1m } }\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    command = [sys.executable, "-c", textwrap.dedent(program), str(compose)]
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    before, after = json.loads(ran.stdout)
    assert after[0] <= before[0] + 5 * 1024 * 1024, f"{(after[0] - before[0]) / 1024:.0f} KiB more"
    assert after[1:] == before[1:], "threads and file descriptors"
    print(f"1000 releases: {(after[0] - before[0]) / 1024:.0f} KiB more than after 100")
