"""What verbs answer with: frozen typed objects with `to_dict()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, cast

from ._errors import HaddockError
from ._values import Address, moment, optional_moment

ReleasePhase = Literal[
    "waiting",
    "preparing",
    "launching",
    "ramping",
    "settling",
    "settled",
    "aborting",
    "aborted",
    "skipped",
    "refused",
]
"""How far a release is, or how it ended."""
InstancePhase = Literal["starting", "ready", "serving", "draining", "failed", "retiring"]
"""How far an instance is."""
ContainerState = Literal["created", "running", "paused", "restarting", "exited", "removing", "dead"]
"""What a container is doing. `restarting`: it has ended, and its engine is about to start it again; `dead`: its engine could
not remove it."""
Verdict = Literal["open", "settled", "aborted", "bad", "unchanged"]
"""What became of a version."""


def state_of(data: Any) -> tuple[Any, dict[str, Any]]:
    """The word of a state, and what is known of how the container ended."""
    if isinstance(data, str):
        return data, {}
    ((state, ended),) = data.items()
    return state, ended


def plain(value: Any) -> Any:
    """Plain data of whatever results hold."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, HaddockError):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return value


def changed(data: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """The data with other values."""
    return {**data, **values}


class Documented(type):
    """Lets `help()` show what is written below each attribute of a class. It is read when somebody asks for it."""

    @property
    def __doc__(cls) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        own = cls.__dict__.get("__doc__")
        # A dataclass asks for it while it is made, and has no arguments to match then.
        if own is None or "__match_args__" not in cls.__dict__:
            return own
        from ._attributes import attributes

        told = attributes(cls)
        return f"{own.rstrip()}\n\n    Attributes:\n{told}" if told else own


class Result(metaclass=Documented):
    """What all results have."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, ready for JSON. Points in time are ISO 8601 texts."""
        return plain(self)


def _share(points: int) -> float:
    return points / 10_000


def _optional_share(points: int | None) -> float | None:
    return None if points is None else _share(points)


def _error(data: dict[str, Any] | None) -> HaddockError | None:
    return None if data is None else HaddockError._from_dict(data)


@dataclass(frozen=True)
class Event(Result):
    """Something that happened to a service, and where its release was after it."""

    sequence: int
    """Its place in the service's history, from 1, without gaps."""
    at: datetime
    """When, in UTC."""
    kind: str
    """What happened, in one word, such as `release_started`."""
    service: str
    """The service."""
    data: dict[str, Any]
    """What the event tells besides, as in the journal."""
    phase: ReleasePhase | None
    """How far the release is; `None` before the first."""
    version: int | None
    """The version that it brings, once it has begun."""
    share: float
    """The share of the new sessions that is asked for that version, 0 to 1."""
    share_in_force: float
    """The share that it has on every locator."""
    draining: int | None
    """Sessions on draining instances when they were last counted; `None` if that is not known."""
    message: str
    """What happened, for people, in one line."""

    @staticmethod
    def _of(service: str, told: dict[str, Any]) -> Event:
        recorded = told["recorded"]
        data = dict(recorded["event"])
        return Event(
            sequence=recorded["sequence"],
            at=moment(recorded["at"]),
            kind=data.pop("event"),
            service=service,
            data=data,
            phase=told["phase"],
            version=told["version"],
            share=_share(told["share"]),
            share_in_force=_share(told["share_in_force"]),
            draining=told["draining"],
            message=told["message"],
        )


@dataclass(frozen=True)
class ReleaseStatus(Result):
    """How far a release is."""

    phase: ReleasePhase
    """How far, or how it ended."""
    version: int | None
    """The version that it brings, once it has begun."""
    share: float
    """The share of the new sessions that is asked for that version, 0 to 1."""
    share_in_force: float
    """The share that it has on every locator."""
    stage: int | None
    """The stage of the ramp, from 0."""
    paused: bool
    """Whether the ramp is held."""
    waits: HaddockError | None
    """Why it waits, if it does."""
    draining: int | None
    """Sessions on draining instances; `None` if one of them is not counted."""
    error: HaddockError | None
    """Why it is or was aborted or refused, if something failed."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ReleaseStatus:
        return ReleaseStatus(
            phase=data["phase"],
            version=data["version"],
            share=_share(data["share"]),
            share_in_force=_share(data["share_in_force"]),
            stage=data["stage"],
            paused=data["paused"],
            waits=_error(data["waits"]),
            draining=data["draining"],
            error=_error(data["error"]),
        )


@dataclass(frozen=True)
class ReleaseResult(Result):
    """How a release that was waited for came out."""

    service: str
    """The service."""
    version: int
    """The version that was put out."""
    phase: Literal["settled", "gone"]
    """How far it was waited for."""
    seconds: float
    """How long it took, from its request on."""


@dataclass(frozen=True)
class VersionStatus(Result):
    """A version of a service."""

    version: int
    """Its number."""
    verdict: Verdict
    """What became of it."""
    images: dict[str, str]
    """The image of each component, as it was named."""
    digests: dict[str, str] | None
    """The same by digest, once they are known."""
    commit: str | None
    """The VCS commit that it was made from, if known."""
    share: float
    """The share of the new sessions that is asked for it, 0 to 1."""
    sessions: int | None
    """Sessions on its instances; `None` if one of them is not counted."""

    @staticmethod
    def _of(data: dict[str, Any]) -> VersionStatus:
        return VersionStatus(**changed(data, share=_share(data["share"])))


@dataclass(frozen=True)
class InstanceStatus(Result):
    """An instance of a service that is not gone."""

    instance: str
    """Its id."""
    version: int
    """Its version."""
    phase: InstancePhase
    """How far it is."""
    since: datetime
    """Since when."""
    address: str | None
    """Where its entry listens, once known."""
    share: float
    """The share of the new sessions that is asked for it, 0 to 1."""
    share_in_force: float | None
    """The share that it has on every locator; `None` if one of them does not say."""
    sessions: int | None
    """Its sessions; `None` if they are not counted."""
    in_flight: int | None
    """Requests under way; `None` if a locator does not say."""
    upgraded: int | None
    """Upgraded connections, such as WebSockets; `None` if a locator does not say."""
    external: bool
    """Whether it is an address that is routed to, but neither started nor stopped."""
    failure: HaddockError | None
    """Why it failed, if it did."""
    drain_deadline: datetime | None
    """When what is left on it is evicted, if ever."""

    @staticmethod
    def _of(data: dict[str, Any]) -> InstanceStatus:
        return InstanceStatus(
            instance=data["instance"],
            version=data["version"],
            phase=data["phase"],
            since=moment(data["since"]),
            address=data["address"],
            share=_share(data["share"]),
            share_in_force=_optional_share(data["share_in_force"]),
            sessions=data["sessions"],
            in_flight=data["in_flight"],
            upgraded=data["upgraded"],
            external=data["external"],
            failure=_error(data["failure"]),
            drain_deadline=optional_moment(data["drain_deadline"]),
        )


@dataclass(frozen=True)
class LoopEnd(Result):
    """How what acted for a service ended, when nobody had asked it to."""

    at: datetime
    """When, in UTC."""
    holder: str
    """Who acted, for people to read."""
    error: HaddockError
    """Why it ended."""

    @staticmethod
    def _of(data: dict[str, Any]) -> LoopEnd:
        return LoopEnd(at=moment(data["at"]), holder=data["holder"], error=HaddockError._from_dict(data["error"]))


@dataclass(frozen=True)
class ServiceStatus(Result):
    """A service as it is."""

    service: str
    """Its name."""
    known_good: int | None
    """The newest version that settled and was not judged bad since."""
    release: ReleaseStatus | None
    """The release in progress."""
    versions: list[VersionStatus]
    """Its versions, oldest first."""
    instances: list[InstanceStatus]
    """Its instances that are not gone."""
    acting: str | None
    """Who acts for it, here or elsewhere, for people to read; `None` if nobody does."""
    retiring: str | None = None
    """Who asked for its end, while it is being retired."""
    ended: LoopEnd | None = None
    """How what acted last ended, if nobody had asked it to, and nothing acts again since."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ServiceStatus:
        summary = data["summary"]
        release = summary["release"]
        return ServiceStatus(
            service=summary["service"],
            known_good=summary["known_good"],
            release=None if release is None else ReleaseStatus._of(release),
            versions=[VersionStatus._of(version) for version in summary["versions"]],
            instances=[InstanceStatus._of(instance) for instance in summary["instances"]],
            acting=data["acting"],
            retiring=summary.get("retiring"),
            ended=None if summary.get("ended") is None else LoopEnd._of(summary["ended"]),
        )


@dataclass(frozen=True)
class ComponentInfo(Result):
    """A component of a resolved compose file."""

    name: str
    """Its name."""
    image: str
    """Its image."""
    versioned: bool
    """Whether a release brings its own, rather than linking to the one that runs once per service."""
    reason: str
    """Why it is versioned or shared."""
    expose: list[int]
    """Ports that others reach."""
    ports: list[dict[str, Any]]
    """Ports on the host."""
    links: dict[str, str]
    """Aliases, and the component that each leads to."""
    depends_on: dict[str, str]
    """What has to be there before it starts, and how far."""
    variables: list[str]
    """The names of its environment variables; their values are never shown."""
    command: list[str] | None
    """Instead of the image's command."""


@dataclass(frozen=True)
class ResolvedFile(Result):
    """A resolved compose file."""

    service: str
    """The service that it describes."""
    file: str
    """The file's path: the one that was found, if none was named."""
    components: list[ComponentInfo]
    """Its components."""
    notes: list[str]
    """What is read and has no effect, and variables that are not set."""
    settings: dict[str, Any] | None
    """The settings of the service, as the journal keeps them; durations are milliseconds. `None`: nothing takes traffic."""
    canonical: dict[str, Any]
    """All of it in the one form that Compose gives a file: its `config --format json`. Values of variables are `***`."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ResolvedFile:
        components = [ComponentInfo(**component) for component in data["components"]]
        told = (data["notes"], data["settings"], data["canonical"])
        return ResolvedFile(data["service"], data["file"], components, *told)


@dataclass(frozen=True)
class Finding(Result):
    """One thing that `Controller.check` looked at."""

    name: str
    """What was looked at."""
    state: Literal["ok", "warning", "problem"]
    """Whether it is as it should be."""
    says: str
    """What was found, for people."""
    fix: str | None
    """What to do about it; `None` if there is nothing to do."""

    @staticmethod
    def _all(data: list[dict[str, Any]]) -> list[Finding]:
        return [Finding(**each) for each in data]


@dataclass(frozen=True)
class Plan(Result):
    """What a verb of a release would do."""

    service: str
    """The service."""
    images: dict[str, str]
    """The image of each versioned component."""
    components: list[ComponentInfo]
    """All components, and why each is versioned or shared."""
    notes: list[str]
    """What is read and has no effect, and variables that are not set."""
    steps: list[str]
    """What would be done, in order, for people."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Plan:
        found = data["environment"]
        components = [ComponentInfo(**component) for component in found["components"]]
        images = {component.name: component.image for component in components if component.versioned}
        return Plan(found["service"], images, components, found["notes"], data["steps"])
