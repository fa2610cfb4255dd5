"""Functions that are asked before a ramp goes on, and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import haddock
from haddock.testing import World

COMPOSE = """
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"] }
x-haddock:
  ready: /health
  release: { ramp: [{ share: 10%, every: 10m, gate: GATE }, 100%], settle: 10m }
"""


def written(tmp_path: Path, gate: str) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE.replace("GATE", gate))
    return path


@pytest.fixture(params=["function", "coroutine"])
def asked(request: pytest.FixtureRequest) -> Any:
    """A gate, the questions that it was asked, and its answers: the first for the first question, and so on."""

    class Gate:
        def __init__(self) -> None:
            self.questions: list[haddock.GateQuestion] = []
            self.answers: list[Any] = []

        def answer(self, question: haddock.GateQuestion) -> Any:
            self.questions.append(question)
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def answer_later(self, question: haddock.GateQuestion) -> Any:
            return self.answer(question)

        def gate(self) -> Any:
            return self.answer if request.param == "function" else self.answer_later

    return Gate()


def second_release(do: Any, world: World, file: Path, **gates: Any) -> haddock.Release:
    world.controller = world.another_controller(gates=gates or None)
    do(do(world.controller, "release", file, tag="v1"), "wait")
    return do(world.controller, "release", file, tag="v2")


def test_a_function_is_asked_until_it_says_go(do: Any, tmp_path: Path, asked: Any) -> None:
    asked.answers = ["wait", "wait", "go"]
    file = written(tmp_path, "{ call: smoke, every: 2m }")
    with World() as world:
        release = second_release(do, world, file, smoke=asked.gate())
        begun = world.time.now()
        do(release, "wait", "settled")
        took = (world.time.now() - begun).total_seconds()
        assert 24 * 60 <= took < 25 * 60, "ten minutes, twice two for the gate, and ten to settle"
        [first, *_] = asked.questions
        assert (first.service, first.version, first.stage, first.share) == ("shop", 2, 0, 0.1)
        assert len(asked.questions) == 3 and len(first.addresses) == 1
        told = do.events(release)
        assert [it.data["stage"] for it in told if it.kind == "gate_opened"] == [0]
        assert [it.message for it in told if it.kind == "release_waits"] == ["version 2 waits: the gate after 10% says wait"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("stop", "its function says so"),
        (AssertionError("the basket is empty"), "`AssertionError`: the basket is empty"),
        (ZeroDivisionError(), "`ZeroDivisionError`"),
        (None, 'it answered with a `NoneType`, which is not "go", "wait" or "stop"'),
    ],
)
def test_what_stops_a_release(do: Any, tmp_path: Path, asked: Any, answer: Any, reason: str) -> None:
    asked.answers = [answer]
    with World() as world:
        release = second_release(do, world, written(tmp_path, "{ call: smoke }"), smoke=asked.gate())
        with pytest.raises(haddock.ReleaseAbortedError) as aborted:
            do(release, "wait", "settled")
        cause = aborted.value.cause
        assert isinstance(cause, haddock.HookFailedError)
        assert cause.message == f"the gate after 10% says stop: {reason}"
        assert {it.version: it.verdict for it in do(world.controller, "status", "shop").versions} == {1: "settled", 2: "bad"}


def test_a_controller_without_the_function_says_so_and_another_goes_on(do: Any, tmp_path: Path, asked: Any) -> None:
    file = written(tmp_path, "{ call: smoke }")
    with World(journal=tmp_path / "journal.db") as world:
        do(do(world.controller, "release", file, tag="v1"), "wait")
        do(world.controller, "release", file, tag="v2")
        do(world, "advance", "1h")
        status = do(world.controller, "status", "shop").release
        assert str(status.waits).startswith("this controller has no gate `smoke`") and status.stage == 0
        do(world.controller, "close")
        asked.answers = ["go"]
        world.controller = world.another_controller(journal=tmp_path / "journal.db", gates={"smoke": asked.gate()})
        # It is in progress, so it is not asked for again.
        again = do(world.controller, "release", file, tag="v2")
        assert do(again, "wait", "settled").version == 2
        assert len(asked.questions) == 1


def test_a_command_is_asked_in_virtual_time_too(do: Any, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    script = f"echo $$HADDOCK_VERSION at $$HADDOCK_SHARE >> {marks}; sleep 0.2; test $$(wc -l < {marks}) -ge 3 || exit 75"
    with World() as world:
        release = second_release(do, world, written(tmp_path, f"{{ command: '{script}', every: 1h }}"))
        begun = world.time.now()
        do(release, "wait", "settled")
        assert 2 * 3600 < (world.time.now() - begun).total_seconds() < 3 * 3600
        assert marks.read_text().splitlines() == ["2 at 10%"] * 3


def test_what_is_no_gate_is_refused() -> None:
    for wrong in ({"smoke": "go"}, {1: print}, [print], print):
        with pytest.raises(TypeError, match="`gates` takes functions by name"):
            haddock.connect(runtime="sim", gates=wrong)  # type: ignore[arg-type]
