"""Environments by name: up, a look, down, in both worlds, against the simulated engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import haddock

FILE = """
name: shop
services:
  db: { image: "db:1", expose: ["5432"], environment: { PASSWORD: "hunter2" } }
  web: { image: "shop:${TAG:-v1}", links: ["db:store"], expose: ["8080"] }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HADDOCK_BRANCH", "Feature/42")
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def controller() -> Any:
    with haddock.connect(runtime="sim", by="tester") as controller:
        yield controller


def test_up_and_down(do: Any, controller: haddock.Controller, file: Path) -> None:
    plan = do(controller, "up", file, dry_run=True)
    assert (plan.name, [(it.component, it.change) for it in plan.changes]) == (
        "shop-feature-42-acc4af",
        [("db", "create"), ("web", "create")],
    )
    assert do(controller, "environments") == []
    environment = do(controller, "up", file, commit="3f2a1bc")
    assert (environment.name, environment.by, environment.commit) == ("shop-feature-42-acc4af", "tester", "3f2a1bc")
    assert environment.file == str(file)
    assert [it.cause for it in environment.changes] == ["it is not there"] * 2
    assert {name: it.state for name, it in environment.components.items()} == {"db": "running", "web": "running"}
    host, port = environment.address("db", 5432)
    assert host and port == 5432
    [found] = do(controller, "environments")
    assert (found.name, found.components, found.changes) == (environment.name, environment.components, [])
    assert do(controller, "environment", file=file) == found
    assert do(found, "logs", "web") == []
    assert "hunter2" not in repr(environment) + str(environment.to_dict())
    assert do(controller, "down", file=file) is True
    assert do(controller, "down", file=file) is False
    with pytest.raises(haddock.NotFoundError) as error:
        do(controller, "environment", "shop-feature-42-acc4af")
    assert error.value.hint


def test_what_is_there_stays_and_what_is_changed_is_replaced(do: Any, controller: haddock.Controller, file: Path) -> None:
    do(controller, "up", file, name="pr-1", only=["db"])
    [first] = do(controller, "environments")
    assert list(first.components) == ["db"]
    changes = [(it.component, it.change) for it in do(controller, "up", file, name="pr-1").changes]
    assert changes == [("db", "keep"), ("web", "create")]
    changes = [(it.component, it.change) for it in do(controller, "up", file, name="pr-1", tag="v2").changes]
    assert changes == [("db", "keep"), ("web", "replace")]
    file.write_text(FILE.replace("hunter2", "hunter3"))
    plan = do(controller, "up", file, name="pr-1", tag="v2", dry_run=True)
    assert [(it.component, it.change, it.cause) for it in plan.changes] == [
        ("db", "replace", "its image or its part of the file has changed"),
        ("web", "replace", "`db`, which it needs, is new"),
    ]


def test_copies_side_by_side(do: Any, controller: haddock.Controller, file: Path) -> None:
    for name in ("pr-1", "pr-2"):
        do(controller, "up", file, name=name)
    ones = do(controller, "environments")
    assert [one.name for one in ones] == ["pr-1", "pr-2"]
    assert ones[0].address("web", 8080) != ones[1].address("web", 8080)
    do(ones[0], "down")
    assert [one.name for one in do(controller, "environments")] == ["pr-2"]


def test_a_context_takes_it_down_whatever_happens(controller: haddock.Controller, file: Path) -> None:
    with pytest.raises(ZeroDivisionError), controller.up(file, name="pr-1"):
        raise ZeroDivisionError
    assert controller.environments() == []

    async def use() -> str:
        async with await controller.up_async(file, name="pr-2") as environment:
            return str(environment.address("web", 8080))

    assert asyncio.run(use()).endswith(":8080")
    assert controller.environments() == []


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"only": ["wep"]}, haddock.NotFoundError, "there is no component `wep`"),
        ({"name": "PR 42"}, haddock.InvalidNameError, "environment name `PR 42` contains `P`"),
    ],
)
def test_what_is_wrong_is_told(
    do: Any, controller: haddock.Controller, file: Path, wrong: dict[str, Any], kind: type[haddock.HaddockError], message: str
) -> None:
    with pytest.raises(kind) as error:
        do(controller, "up", file, **wrong)
    assert error.value.message == message and error.value.hint
    assert do(controller, "environments") == []


def test_addresses_that_are_not_there(controller: haddock.Controller, file: Path) -> None:
    environment = controller.up(file, name="pr-1")
    for component, port, message in [
        ("wep", 8080, "environment `pr-1` has no component `wep`"),
        ("web", 80, "component `web` of environment `pr-1` has no port 80"),
    ]:
        with pytest.raises(haddock.NotFoundError) as error:
            environment.address(component, port)
        assert error.value.message == message and error.value.hint


RELEASED = """
name: shop
services:
  db: { image: "db:1", expose: ["5432"] }
  web: { image: "shop:${TAG}", links: ["db:store"], expose: ["8080"], environment: { PASSWORD: "hunter2" } }
x-haddock: { entry: "web:8080", release: { ramp: [100%], every: 1s, settle: 1s } }
"""


def test_what_was_tried_out_is_promoted(do: Any, controller: haddock.Controller, file: Path) -> None:
    file.write_text(RELEASED)
    do(controller, "release", file, tag="v1").wait()
    environment = do(controller, "up", file, name="pr-42", tag="v2", commit="3f2a1bc")
    steps = do(controller, "promote", "pr-42", dry_run=True).steps
    assert any("shop:v2" in step for step in steps)
    version = do(environment, "promote", "shop").wait().version
    assert version == 2
    status = do(controller, "status", "shop")
    assert status.known_good == 2 and any("tried out as `pr-42`" in it.message for it in do(controller, "history", "shop"))
    assert do(controller, "environment", "pr-42").components["db"].state == "running", "it stays as it is"
    with pytest.raises(haddock.InvalidNameError):
        do(controller, "promote", "pr-42", "store")
    with pytest.raises(haddock.NotFoundError):
        do(controller, "promote", "pr-43")


def test_what_cannot_run_side_by_side_is_not_promoted(do: Any, controller: haddock.Controller, file: Path) -> None:
    file.write_text(RELEASED.replace('"8080"]', '"8080"], ports: ["8099:8080"]'))
    do(controller, "up", file, name="pr-42", tag="v2")
    with pytest.raises(haddock.ComposeFileError) as error:
        do(controller, "promote", "pr-42")
    assert "8099" in str(error.value) and error.value.hint
    assert do(controller, "services") == []


def test_a_link_leads_elsewhere_and_back(do: Any, controller: haddock.Controller, file: Path) -> None:
    file.write_text(FILE)
    do(controller, "up", file, name="books", only=["db"])
    environment = do(controller, "up", file, name="pr-1")
    assert do(environment, "links") == {"db": {}, "web": {"store": "db"}}
    plan = do(controller, "link", "db", "books/db", name="pr-1", dry_run=True)
    assert [(it.component, it.change) for it in plan.changes] == [("db", "keep"), ("web", "replace")]
    switched = do(environment, "link", "db", "books/db")
    assert (switched.users, switched.verified) == (["web"], [])
    assert do(environment, "links")["web"] == {"store": "books/db"}
    [found] = [it for it in do(controller, "diff", file, name="pr-1") if "links" in it.path]
    assert (found.was, found.now) == ("books/db", None)
    do(environment, "link", "db", None)
    assert do(environment, "links")["web"] == {"store": "db"}
    for target, error in (("nowhere", haddock.InvalidValueError), ("tcp://localhost:1", haddock.InvalidValueError)):
        with pytest.raises(error):
            do(environment, "link", "db", target)


def test_differences_are_told_without_values(do: Any, controller: haddock.Controller, file: Path) -> None:
    do(controller, "up", file, name="pr-1")
    assert do(controller, "diff", file, name="pr-1") == []
    file.write_text(FILE.replace("hunter2", "hunter3").replace("db:1", "db:2"))
    found = {it.path: (it.was, it.now) for it in do(controller, "diff", file, name="pr-1")}
    assert found == {"services.db.environment.PASSWORD": ("***", "***"), "services.db.image": ("db:1", "db:2")}


def test_an_environment_like_a_version(do: Any, controller: haddock.Controller, file: Path) -> None:
    file.write_text(RELEASED.replace("x-haddock: {", 'x-haddock: { production: { without: [db] },'))
    do(controller, "release", file, tag="v1").wait()
    do(controller, "release", file, tag="v2").wait()
    environment = do(controller, "up_like", "shop", 1, name="repro")
    assert sorted(environment.components) == ["db", "web"], "with what tests have, and production does without"
    assert do(controller, "up_like", "shop").name == "shop-like"
    with pytest.raises(haddock.NotFoundError) as error:
        do(controller, "up_like", "shop", 7)
    assert "it has 1, 2" in str(error.value.hint)


def read(events: Any, world: str) -> list[haddock.ProgressEvent]:
    """All events, by the loop of that world."""
    if world == "sync":
        return list(events)

    async def every() -> list[haddock.ProgressEvent]:
        return [event async for event in events]

    return asyncio.run(every())


@pytest.mark.parametrize("world", ["sync", "async"])
def test_what_happens_is_read_in_a_loop(world: str, controller: haddock.Controller, file: Path) -> None:
    events = controller.up_events(file, name="pr-1")
    assert controller.environments() == [], "it begins with the first event that is asked for"
    told = [(it.kind, it.component) for it in read(events, world) if it.kind in ("creating", "starting")]
    assert set(told) == {(kind, name) for kind in ("creating", "starting") for name in ("db", "web")}
    environment = events.wait()
    assert environment.name == "pr-1" and events.wait() is environment
    [found] = controller.environments()
    assert found.components == environment.components
    assert read(controller.up_events(file, name="pr-1", only=["db"]), world) == [], "nothing is done, and nothing told"
    with pytest.raises(haddock.NotFoundError, match="there is no component `wep`"):
        read(controller.up_events(file, name="pr-2", only=["wep"]), world)


def test_a_loop_that_is_left_early_can_be_waited_for(controller: haddock.Controller, file: Path) -> None:
    events = controller.up_events(file, name="pr-1")
    next(events)
    assert {name: it.state for name, it in events.wait().components.items()} == {"db": "running", "web": "running"}

    async def left() -> haddock.Environment:
        events = controller.up_events(file, name="pr-2")
        async for _ in events:
            break
        return await events.wait_async()

    assert asyncio.run(left()).name == "pr-2"
