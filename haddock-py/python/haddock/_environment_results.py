"""Results about environments: plans, components, histories and differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._errors import HaddockError
from ._result import Result, changed
from ._results import ContainerState, state_of
from ._values import Address, moment

Change = Literal["create", "start", "restart", "unpause", "replace", "keep", "remove"]
"""What becomes of a component."""


@dataclass(frozen=True)
class PlannedChange(Result):
    """The planned change of one component when its environment is brought up."""

    component: str
    """The component."""
    change: Change
    """The change."""
    cause: str
    """The reason, for people."""


@dataclass(frozen=True)
class EnvironmentPlan(Result):
    """The plan of bringing an environment up or taking it down."""

    name: str
    """The environment's name."""
    changes: list[PlannedChange]
    """The change of each component. Components that others need come first."""
    notes: list[str]
    """Keys of the file without effect, and variables that are not set. For a `down`, what is done with the volumes."""
    volumes: list[str] = field(default_factory=list[str])
    """For a `down`, the existing volumes; `notes` say whether they are removed."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentPlan:
        return EnvironmentPlan(data["name"], changes_of(data), data["notes"], data.get("volumes", []))


@dataclass(frozen=True)
class Executed(Result):
    """How a command within a component's container ended."""

    exit_code: int
    """Its exit code; 0 is success."""
    stdout: str
    """Its standard output. Bytes that are not UTF-8 are replaced."""
    stderr: str
    """Its standard error."""

    @property
    def output(self) -> str:
        """Its standard output, followed by its standard error."""
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Pruned(Result):
    """What `prune` did with an environment."""

    name: str
    """The environment."""
    verdict: Literal["used", "idle", "stop", "remove", "failed"]
    """What was done, or would be. `failed`: it could not be inspected, stopped or removed, and is tried again next
    time."""
    idle_for: float
    """For how many seconds it has been idle; 0 if it is in use."""
    why: str
    """Why it counts as in use, or why it failed; empty for others."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Pruned:
        why = data.get("why") or data.get("error", {}).get("message", "")
        return Pruned(data["name"], data["verdict"], data.get("for_ms", 0) / 1000, why)

    @staticmethod
    def _all(data: list[dict[str, Any]]) -> list[Pruned]:
        return [Pruned._of(each) for each in data]


@dataclass(frozen=True)
class Switched(Result):
    """The result of switching a link, or its plan."""

    name: str
    """The environment."""
    changes: list[PlannedChange]
    """The changes of its components; empty if they went on running."""
    users: list[str]
    """The components that use the link."""
    verified: list[str]
    """Those of them in which the alias was looked up and led only to the target."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Switched:
        return Switched(data["name"], changes_of(data), data["users"], data["verified"])


@dataclass(frozen=True)
class Difference(Result):
    """One difference from the file."""

    path: str
    """Its keys in the file, such as `services.web.image`. `live.…`: a container that was changed since it was made."""
    was: str | None
    """The value in the running environment; `None`: there is none. Values of environment variables are `***`."""
    now: str | None
    """The value in the file; `None`: there is none."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Difference:
        return Difference(data["path"], data["was"], data["is"])

    @staticmethod
    def _all(data: list[dict[str, Any]]) -> list[Difference]:
        return [Difference._of(each) for each in data]


@dataclass(frozen=True)
class EnvironmentEvent(Result):
    """Something that was done with an environment."""

    at: datetime
    """When it ended, in UTC."""
    action: Literal["up", "link", "stop", "down"]
    """What was done; `stop` by `prune`, because nobody used it."""
    by: str
    """By whom."""
    commit: str | None
    """From which commit it was, with `-dirty` if there were changes."""
    file: str | None
    """From which compose file."""
    spec: str | None
    """The digest of its specification."""
    changes: list[str]
    """What changed, for people."""
    error: HaddockError | None
    """Why it failed, if it did."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentEvent:
        error = data.get("error")
        return EnvironmentEvent(
            at=moment(data["at"]),
            action=data["action"],
            by=data["by"],
            commit=data.get("commit"),
            file=data.get("file"),
            spec=data.get("spec"),
            changes=data.get("changes", []),
            error=None if error is None else HaddockError._from_dict(error),
        )

    @staticmethod
    def _all(data: list[dict[str, Any]]) -> list[EnvironmentEvent]:
        return [EnvironmentEvent._of(each) for each in data]


@dataclass(frozen=True)
class EnvironmentComponent(Result):
    """A component of an environment, with the state of its container."""

    name: str
    """Its name."""
    container: str
    """Its container's name on the runtime."""
    state: ContainerState
    """What it is doing."""
    exit_code: int | None
    """The exit code of one that has exited, or that is restarting."""
    health: Literal["none", "starting", "healthy", "unhealthy"]
    """What its own health check says."""
    addresses: Mapping[int, Address]
    """For each port that the file exposes, its address as seen from this machine."""
    published: Mapping[int, Address]
    """For each port that is published on the host, its address there."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentComponent:
        state, ended = state_of(data["state"])
        ports = {key: {int(port): Address._of(at) for port, at in data[key].items()} for key in ("addresses", "published")}
        return EnvironmentComponent(
            **changed(data, state=state, exit_code=ended.get("code"), **ports)
        )


def changes_of(data: dict[str, Any]) -> list[PlannedChange]:
    """What becomes of each component."""
    return [PlannedChange(**step) for step in data["steps"]]
