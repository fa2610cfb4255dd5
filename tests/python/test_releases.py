"""Whole releases through the real controller, in virtual time: on the sim, and on runtimes written in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy

import haddock
from haddock.testing import World

RUNTIMES = ["sim", "python", "async python"]


@pytest.fixture(params=RUNTIMES)
def world(request: pytest.FixtureRequest) -> Any:
    """A world whose controller works on one of the runtimes. `image` makes an image end."""
    with World() as world:
        if request.param != "sim":
            kind = toy.ToyRuntime if request.param == "python" else toy.AsyncToyRuntime
            runtime = kind(world.time.now)
            world.controller = world.another_controller(runtime=runtime)
            world.image = lambda name, ends, code: runtime.ends.__setitem__(name, (ends, code))
        else:
            world.image = lambda name, ends, code: world.runtime.image(name, ends=ends, code=code)
        yield world
        world.controller.close()


def release(do: Any, world: World, compose: Path, tag: str) -> haddock.Release:
    return do(world.controller, "release", compose, tag=tag)


def test_an_eight_hour_drain(do: Any, world: World, compose: Path) -> None:
    do(release(do, world, compose, "v1"), "wait")
    person = world.open_session("shop")
    begun = world.time.now()
    second = release(do, world, compose, "v2")
    do(second, "wait", "settled")
    with person.connected() as instance:
        while (world.time.now() - begun).total_seconds() < 8 * 3600:
            do(world, "advance", "1h")
            assert do(second, "status").draining == 1
    assert (person.instance, person.version, person.opened) == (instance, 1, 1), "they noticed nothing"
    result = do(second, "wait", "gone")
    assert (result.version, result.phase) == (2, "gone")
    assert result.seconds > 9 * 3600, "eight hours, and one for the session to expire"
    assert [it.version for it in do(world.controller, "status", "shop").instances] == [2]


def test_a_candidate_that_dies_at_ten_percent(do: Any, world: World, compose: Path) -> None:
    do(release(do, world, compose, "v1"), "wait")
    people = [world.open_session("shop") for _ in range(5)]
    world.image("shop:v2", 300, 3)
    second = release(do, world, compose, "v2")
    shares = []
    with pytest.raises(haddock.ReleaseAbortedError) as aborted:
        for event in second.events():
            shares.append(event.share)
    assert max(shares) == 0.1
    assert isinstance(aborted.value.cause, haddock.ContainerExitedError)
    assert "code 3" in str(aborted.value)
    assert (aborted.value.version, aborted.value.release) == (2, second)
    with pytest.raises(haddock.ReleaseAbortedError):
        do(second, "wait")
    status = do(world.controller, "status", "shop")
    assert (status.known_good, status.release) == (1, None)
    assert {it.version: it.verdict for it in status.versions} == {1: "settled", 2: "bad"}
    served = {person.request() for person in people}
    assert len(served) == 1 and all(person.opened == 1 for person in people)


@pytest.mark.parametrize("phase", ["launching", "ramping", "settling"])
def test_an_abort_in_every_phase(do: Any, world: World, compose: Path, phase: str) -> None:
    do(release(do, world, compose, "v1"), "wait")
    person = world.open_session("shop")
    second = release(do, world, compose, "v2")
    for event in second.events():
        if event.phase == phase:
            break
    do(second, "abort")
    with pytest.raises(haddock.ReleaseAbortedError, match="asked for it"):
        do(second, "wait")
    do(world, "advance", "5m")
    status = do(world.controller, "status", "shop")
    assert [(it.version, it.share_in_force) for it in status.instances if it.share] == [(1, 1.0)]
    assert do(second, "status").phase == "aborted"
    person.request()
    assert (person.version, person.opened) == (1, 1)


def test_an_abort_while_preparing(do: Any, compose: Path) -> None:
    """Images that cannot be pulled for now keep a release in its first phase."""
    with World() as world:
        do(release(do, world, compose, "v1"), "wait")
        world.runtime.down()
        second = release(do, world, compose, "v2")
        next(event for event in second.events() if event.phase == "preparing")
        do(second, "abort")
        world.runtime.up()
        with pytest.raises(haddock.ReleaseAbortedError):
            do(second, "wait")
        assert [it.version for it in do(world.controller, "status", "shop").instances] == [1]


def test_people_who_come_back_go_over_to_the_new_version_only(do: Any, compose: Path) -> None:
    text = compose.read_text().replace("session: {", "session: { by: client,")
    compose.write_text(text.replace("every: 10m", "every: 3h"))
    with World() as world:
        do(release(do, world, compose, "v1"), "wait")
        people = [world.open_session("shop") for _ in range(40)]
        second = release(do, world, compose, "v2")
        met = {person: [person.version] for person in people}
        for _ in range(9):
            # Each of them comes back after the session has expired: at ten percent, at fifty, and when it has all.
            do(world, "advance", "61m")
            for person in people:
                person.request()
                met[person].append(person.version)
        do(second, "wait", "settled")
        assert {versions[2] for versions in met.values()} == {1, 2}, "at ten percent, some of them"
        assert all(versions == sorted(versions) and versions[-1] == 2 for versions in met.values()), met
