"""Gates: functions that are asked before the ramp of a release goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, cast

from ._result import Result
from ._values import Address

GateAnswer = Literal["go", "wait", "stop"]
"""`go`: the ramp goes on. `wait`: the stage lasts on, and the gate is asked again. `stop`: the release is aborted."""


@dataclass(frozen=True)
class GateQuestion(Result):
    """What a gate is asked about: the candidate, and where its ramp is."""

    service: str
    """The service."""
    version: int
    """The candidate."""
    stage: int
    """The stage that is about to end, from 0."""
    share: float
    """The candidate's part of the new sessions in that stage, 0 to 1."""
    addresses: list[Address]
    """Where the candidate's instances listen, as the controller reaches them."""

    @staticmethod
    def _of(data: dict[str, Any]) -> GateQuestion:
        addresses = [Address._of(address) for address in data["addresses"]]
        return GateQuestion(data["service"], data["version"], data["stage"], data["share"], addresses)


Gate = Callable[[GateQuestion], Union[GateAnswer, Awaitable[GateAnswer]]]
"""Answers whether the ramp may go on, as a function or as a coroutine function. What it raises is a stop, and its reason."""


def checked(gates: Mapping[str, Gate] | None) -> dict[str, Callable[[dict[str, Any]], tuple[str, str]]]:
    """The gates, as the native half asks them: with plain data, for an answer and a reason."""
    if gates is None:
        return {}
    given: Any = gates
    if not isinstance(given, Mapping):
        raise TypeError(f'`gates` takes functions by name, such as `{{"smoke": smoke}}`, not `{type(given).__name__}`')
    for name, gate in cast("Mapping[Any, Any]", given).items():
        if not isinstance(name, str) or not callable(gate):
            raise TypeError(f"`gates` takes functions by name, not `{type(gate).__name__}` by `{type(name).__name__}`")
    return {name: _asking(gate) for name, gate in gates.items()}


def _asking(gate: Gate) -> Callable[[dict[str, Any]], tuple[str, str]]:
    def ask(question: dict[str, Any]) -> tuple[str, str]:
        from ._background import finished

        try:
            answer = finished(gate(GateQuestion._of(question)))
        except Exception as raised:
            said = str(raised)
            return "stop", f"`{type(raised).__name__}`" + (f": {said}" if said else "")
        if answer in ("go", "wait"):
            return answer, ""
        if answer == "stop":
            return answer, "its function says so"
        return "stop", f'it answered with a `{type(answer).__name__}`, which is not "go", "wait" or "stop"'

    return ask
