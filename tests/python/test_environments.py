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
    plan = do(controller, "plan_up", file)
    assert (plan.name, [(it.component, it.change) for it in plan.changes]) == (
        "shop-feature-42",
        [("db", "create"), ("web", "create")],
    )
    assert do(controller, "environments") == []
    environment = do(controller, "up", file, commit="3f2a1bc")
    assert (environment.name, environment.by, environment.commit) == ("shop-feature-42", "tester", "3f2a1bc")
    assert environment.file == str(file)
    assert [it.cause for it in environment.changes] == ["it is not there"] * 2
    assert {name: it.state for name, it in environment.components.items()} == {"db": "running", "web": "running"}
    host, _, port = environment.address("db", 5432).rpartition(":")
    assert host and port == "5432"
    [found] = do(controller, "environments")
    assert (found.name, found.components, found.changes) == (environment.name, environment.components, [])
    assert do(controller, "environment", file=file) == found
    assert do(found, "logs", "web") == []
    assert "hunter2" not in repr(environment) + str(environment.to_dict())
    assert do(controller, "down", file=file) is True
    assert do(controller, "down", file=file) is False
    with pytest.raises(haddock.NotFound) as error:
        do(controller, "environment", "shop-feature-42")
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
    plan = do(controller, "plan_up", file, name="pr-1", tag="v2")
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
            return environment.address("web", 8080)

    assert asyncio.run(use()).endswith(":8080")
    assert controller.environments() == []


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"only": ["wep"]}, haddock.NotFound, "there is no component `wep`"),
        ({"name": "PR 42"}, haddock.InvalidName, "environment name `PR 42` contains `P`"),
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
        with pytest.raises(haddock.NotFound) as error:
            environment.address(component, port)
        assert error.value.message == message and error.value.hint
