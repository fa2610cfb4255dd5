"""What is known of environments: what becomes of their components, what was done with them, how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._errors import HaddockError
from ._results import ContainerState, Result, changed, state_of
from ._values import Address, moment

Change = Literal["create", "start", "restart", "unpause", "replace", "keep", "remove"]
"""What becomes of a component."""


@dataclass(frozen=True)
class PlannedChange(Result):
    """What becomes of a component when its environment is brought up."""

    component: str
    """The component."""
    change: Change
    """What becomes of it."""
    cause: str
    """Why, for people."""


@dataclass(frozen=True)
class EnvironmentPlan(Result):
    """What bringing an environment up, or taking it down, would do."""

    name: str
    """The environment's name."""
    changes: list[PlannedChange]
    """What becomes of each component; what others need comes first."""
    notes: list[str]
    """What the file has that has no effect, and variables that are not set; of a `down`, what becomes of the volumes."""
    volumes: list[str] = field(default_factory=list[str])
    """Of a `down`, the volumes that there are; `notes` say whether they go."""

    @staticmethod
    def _of(data: dict[str, Any]) -> EnvironmentPlan:
        return EnvironmentPlan(data["name"], changes_of(data), data["notes"], data.get("volumes", []))


@dataclass(frozen=True)
class Executed(Result):
    """How a command within a component's container ended."""

    exit_code: int
    """Its exit code; 0 is success."""
    stdout: str
    """What it wrote to standard output. What is not UTF-8 is replaced."""
    stderr: str
    """What it wrote to standard error."""

    @property
    def output(self) -> str:
        """What it wrote to standard output, then to standard error."""
        return self.stdout + self.stderr


@dataclass(frozen=True)
class Pruned(Result):
    """What became of an environment when it was looked at."""

    name: str
    """The environment."""
    verdict: Literal["used", "idle", "stop", "remove", "failed"]
    """What became of it, or would; `failed`: it could not be looked at, stopped or removed, and is tried again."""
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
    """What came of switching a link, or would."""

    name: str
    """The environment."""
    changes: list[PlannedChange]
    """What became of its components; empty if they went on running."""
    users: list[str]
    """The components that use the link."""
    verified: list[str]
    """Those of them within which the alias was looked up, and found to be the target's alone."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Switched:
        return Switched(data["name"], changes_of(data), data["users"], data["verified"])


@dataclass(frozen=True)
class Difference(Result):
    """One thing that is not as the file says."""

    path: str
    """Which, by its keys in the file, such as `services.web.image`; `live.…`: a container that is not as it was made."""
    was: str | None
    """What it is in what runs; `None`: it is not there. Values of environment variables are `***`."""
    now: str | None
    """What the file says; `None`: it is not there."""

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
    """A component of an environment, as its container is."""

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
    """For each port that the file exposes, where it is reached from this machine."""
    published: Mapping[int, Address]
    """For each port that is published on the host, where."""

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
