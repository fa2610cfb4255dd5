"""The results of verbs: frozen typed objects with `to_dict()`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ._drains import ApplicationSessions, RemainingSessions
from ._errors import HaddockError
from ._result import Result, changed
from ._values import millis, moment, optional_moment

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
"""The phase of a release, or how it ended."""
InstancePhase = Literal["starting", "ready", "serving", "draining", "failed", "retiring"]
"""The phase of an instance."""
ContainerState = Literal["created", "running", "paused", "restarting", "exited", "removing", "dead"]
"""What a container is doing. `restarting`: it has ended, and its engine is about to start it again; `dead`: its engine could
not remove it."""
Verdict = Literal["open", "settled", "aborted", "bad", "unchanged"]
"""What became of a version."""


def state_of(data: Any) -> tuple[Any, dict[str, Any]]:
    """The word of a state, and how the container ended, if known."""
    if isinstance(data, str):
        return data, {}
    ((state, ended),) = data.items()
    return state, ended


def _share(points: int) -> float:
    return points / 10_000


def _optional_share(points: int | None) -> float | None:
    return None if points is None else _share(points)


def _error(data: dict[str, Any] | None) -> HaddockError | None:
    return None if data is None else HaddockError._from_dict(data)


@dataclass(frozen=True)
class Event(Result):
    """An event of a service, and the state of its release after it."""

    sequence: int
    """Its place in the service's history, from 1, without gaps."""
    at: datetime
    """When, in UTC."""
    kind: str
    """What happened, in one word, such as `release_started`."""
    service: str
    """The service."""
    data: dict[str, Any]
    """The other data of the event, as in the journal."""
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
    """What happened, in one line for people."""

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
    """The result of a release."""

    service: str
    """The service."""
    version: int
    """The version that was put out."""
    phase: Literal["settled", "gone"]
    """What was waited for."""
    seconds: float
    """The seconds since its request."""


@dataclass(frozen=True)
class TrafficMinute(Result):
    """A minute of a service's sessions, as the gateway recorded it. A minute in which nothing happened has none."""

    minute: datetime
    """When it began."""
    begun: int
    """Sessions that began."""
    ended: int
    """Sessions that ended."""
    failed: int
    """Sessions that had their first failed request."""

    @staticmethod
    def _of(data: dict[str, Any]) -> TrafficMinute:
        return TrafficMinute(moment(data["minute"]), data["begun"], data["ended"], data["failed"])

    def _plain(self) -> dict[str, Any]:
        return {"minute": millis(self.minute), "begun": self.begun, "ended": self.ended, "failed": self.failed}


@dataclass(frozen=True)
class Judgement(Result):
    """What the guard found, and the figures that it stands on."""

    finding: Literal["harmful", "fine", "not_enough"]
    """Whether more sessions fail than is tolerated; `not_enough`: nobody can tell yet."""
    symptom: Literal["failed", "slow"]
    """What was looked for: failed or slow requests."""
    begun: int
    """Sessions that began on the version."""
    failed: int
    """Those of them with at least one such request."""
    baseline_begun: int | None
    """Sessions that began at the same time on the versions before; `None` if there was nothing to compare with."""
    baseline_failed: int | None
    """Those of them with at least one such request."""
    extra_low: float
    """The smallest extra share of failed sessions that the figures allow, -1 to 1."""
    extra_high: float
    """The largest."""
    threshold: float
    """The extra share that is tolerated, 0 to 1."""
    text: str
    """The same as a sentence for people."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Judgement:
        own, extra = data["candidate"], data["extra"]
        base: dict[str, int] = data["baseline"] or {}
        return Judgement(
            finding=data["finding"],
            symptom=data["symptom"],
            begun=own["begun"],
            failed=own["failed"],
            baseline_begun=base.get("begun"),
            baseline_failed=base.get("failed"),
            extra_low=extra["low"],
            extra_high=extra["high"],
            threshold=data["threshold"],
            text=data["text"],
        )


@dataclass(frozen=True)
class GuardStatus(Result):
    """What the guard sees of the newest version, as long as that can be given up."""

    version: int
    """The version."""
    judgement: Judgement
    """What is found, and the figures."""
    acts: bool
    """Whether a harmful version is given up, or this is only told."""
    noted_at: datetime
    """When the figures were noted."""
    share_asked: float
    """The share of the new sessions that is asked for the version, 0 to 1."""
    share_given: float | None
    """The share that it got since then; `None` if no session has begun since."""
    harmed: int
    """Sessions that were harmed so far: the failed ones without as many as fail on the versions before."""
    harm_budget: int | None
    """With `ramp: auto`: how many may be harmed until the next look, in the worst case."""
    smallest_visible: float | None
    """The smallest extra share of failed sessions that would have been found by now; `None`: not even all."""
    sessions_to_verdict: int | None
    """How many more of its sessions are needed to tell, if all goes on like this; `None`: nobody can say."""
    seconds_to_verdict: int | None
    """How long that takes at its present rate."""
    differences: list[dict[str, Any]]
    """Where more of its sessions fail: `path` (its first part), `status` (`None`: no answer), `sessions`, and the `baseline`'s."""

    @staticmethod
    def _of(data: dict[str, Any]) -> GuardStatus:
        return GuardStatus(
            version=data["version"],
            judgement=Judgement._of(data["judgement"]),
            acts=data["acts"],
            noted_at=moment(data["noted_at"]),
            share_asked=_share(data["share_asked"]),
            share_given=_optional_share(data["share_given"]),
            harmed=data["harmed"],
            harm_budget=data["harm_budget"],
            smallest_visible=data["smallest_visible"],
            sessions_to_verdict=data["sessions_to_verdict"],
            seconds_to_verdict=data["seconds_to_verdict"],
            differences=data["differences"],
        )


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
    harm: Judgement | None = None
    """What the guard found, if the version was harmful."""

    @staticmethod
    def _of(data: dict[str, Any]) -> VersionStatus:
        harm = data.get("harm")
        harm = None if harm is None else Judgement._of(harm)
        return VersionStatus(**changed(data, share=_share(data["share"]), harm=harm))


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
    """The address of its entry, once known."""
    share: float
    """The share of the new sessions that is asked for it, 0 to 1."""
    share_in_force: float | None
    """The share that it has on every locator; `None` if one of them does not say."""
    sessions: int | None
    """Its sessions; `None` if they are not counted."""
    in_flight: int | None
    """Requests in flight; `None` if a locator does not say."""
    upgraded: int | None
    """Upgraded connections, such as WebSockets; `None` if a locator does not say."""
    external: bool
    """Whether Haddock routes to it but neither starts nor stops it."""
    failure: HaddockError | None
    """Why it failed, if it did."""
    drain_deadline: datetime | None
    """When its remaining sessions are evicted, if ever."""
    remaining: RemainingSessions | None
    """What is left on it while it drains; `None` if it does not drain, or nobody can say."""
    application_sessions: ApplicationSessions | None
    """What its application says of its sessions while it drains; `None` if it does not drain, or its file does not ask."""

    @staticmethod
    def _of(data: dict[str, Any]) -> InstanceStatus:
        remaining, application = data.get("remaining"), data.get("application_sessions")
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
            remaining=None if remaining is None else RemainingSessions._of(remaining),
            application_sessions=None if application is None else ApplicationSessions._of(application),
        )


@dataclass(frozen=True)
class LoopEnd(Result):
    """How a controller stopped acting for a service without being asked to."""

    at: datetime
    """When, in UTC."""
    holder: str
    """Who acted, as text for people."""
    error: HaddockError
    """Why it ended."""

    @staticmethod
    def _of(data: dict[str, Any]) -> LoopEnd:
        return LoopEnd(at=moment(data["at"]), holder=data["holder"], error=HaddockError._from_dict(data["error"]))


@dataclass(frozen=True)
class Outlook(Result):
    """What is released next by itself."""

    of: str
    """Which tags are followed: repository and pattern."""
    tag: str | None
    """The tag that comes next; `None`: what serves, or is being released, is the newest."""
    waits: str | None
    """For what it waits, or why nothing can be said."""
    skipped: dict[str, str]
    """Newer tags than what serves that are not released by themselves, newest first, with the reasons."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Outlook:
        return Outlook(of=data["of"], tag=data["tag"], waits=data["waits"], skipped=dict(data["skipped"]))

    @staticmethod
    def _of_look(data: dict[str, Any]) -> Outlook:
        return Outlook._of(data["follow"])


@dataclass(frozen=True)
class ServiceStatus(Result):
    """The present state of a service."""

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
    """Who acts for it, here or elsewhere, as text for people; `None` if nobody does."""
    retiring: str | None = None
    """Who asked to retire it, while it is being retired."""
    ended: LoopEnd | None = None
    """How the last controller stopped acting, if it was not asked to and none acts since."""
    follow: Outlook | None = None
    """What is released next by itself, if somebody follows a registry."""
    guard: GuardStatus | None = None
    """What the guard sees of the newest version, as long as that can be given up."""

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
            follow=None if summary.get("follow") is None else Outlook._of(summary["follow"]),
            guard=None if summary.get("guard") is None else GuardStatus._of(summary["guard"]),
        )


@dataclass(frozen=True)
class ComponentInfo(Result):
    """A component of a resolved compose file."""

    name: str
    """Its name."""
    image: str
    """Its image."""
    versioned: bool
    """Whether each version has its own. Otherwise it is shared, and runs once per service."""
    reason: str
    """Why it is versioned or shared."""
    expose: list[int]
    """Ports that others reach."""
    ports: list[dict[str, Any]]
    """Ports on the host."""
    links: dict[str, str]
    """Aliases, and the component that each leads to."""
    depends_on: dict[str, str]
    """The components that it waits for, and the condition for each."""
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
    """The path of the file that was named or found."""
    components: list[ComponentInfo]
    """Its components."""
    notes: list[str]
    """What is read and has no effect, and variables that are not set."""
    settings: dict[str, Any] | None
    """The settings of the service, as the journal keeps them. Durations are milliseconds. `None`: no component takes
    traffic."""
    canonical: dict[str, Any]
    """The whole file in the normal form of Compose: its `config --format json`. Values of variables are `***`."""
    follows: str | None = None
    """The pattern of the tags that `haddock serve --follow` releases by itself."""

    @staticmethod
    def _of(data: dict[str, Any]) -> ResolvedFile:
        components = [ComponentInfo(**component) for component in data["components"]]
        told = (data["notes"], data["settings"], data["canonical"], data.get("follows"))
        return ResolvedFile(data["service"], data["file"], components, *told)


@dataclass(frozen=True)
class Finding(Result):
    """The result of one check of `Controller.check`."""

    name: str
    """What was checked."""
    state: Literal["ok", "warning", "problem"]
    """Whether it is in order."""
    says: str
    """What was found, for people."""
    fix: str | None
    """How to fix it; `None` if there is nothing to fix."""

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
    """The steps that it would do, in order, as text for people."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Plan:
        found = data["environment"]
        components = [ComponentInfo(**component) for component in found["components"]]
        images = {component.name: component.image for component in components if component.versioned}
        return Plan(found["service"], images, components, found["notes"], data["steps"])
