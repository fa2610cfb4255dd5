"""Arguments and results of runtimes and locators that are written in Python: frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from ._result import Result, changed, plain
from ._results import ContainerState, state_of
from ._values import millis, moment, optional_moment

Health = Literal["none", "starting", "healthy", "unhealthy"]
"""What a container's own health check says."""


def _none() -> dict[Any, Any]:
    return {}


@dataclass(frozen=True)
class RuntimeCapabilities(Result):
    """The optional abilities of a runtime."""

    networks: bool = False
    """Has networks on which containers reach each other by alias. Without networks, the network calls do nothing."""
    pull: bool = True
    """Pulls images from registries."""
    options: frozenset[str] = frozenset()
    """The `ContainerSpec.options` that it supports, by their names in a compose file, such as `working_dir`, and
    `restart`. A component with other options is refused, and the option is named."""


@dataclass(frozen=True)
class LocatorCapabilities(Result):
    """What a locator can do."""

    keeps_sticky_at_zero: bool = True
    """An instance at share 0 keeps its sessions. Without this, there is no drain and no release."""
    session_count: Literal["exact", "upper_bound", "none"] = "exact"
    """How it counts sessions."""
    atomic_close: bool = True
    """A close is atomic with routing."""
    adoption: bool = True
    """It finds the sessions of an adopted server by the application's cookie, as `Route.adopted` says. Without this,
    `adopt` is refused."""
    counts_by_table: bool = False
    """It counts sessions by the table under which they began: `InstanceFigures.cohorts` and `LocatorReport.counted`.
    Without this, no guard watches a release."""
    follows_unseen: bool = True
    """A request of a session goes to its instance even if this locator has never seen the session, such as after a
    restart."""
    counts_by_policy: bool = True
    """It counts by the session policy: nothing begins on an ignored path, and what fails is counted."""
    by_client: bool = False
    """It knows clients over their sessions, and places them as `RoutingTable.by` says. Without this, a release whose settings ask
    for it is refused."""
    closes_in_rounds: bool = False
    """It heeds `Route.closing`. With this, an instance is closed on all locators of a group, or on none of them."""


@dataclass(frozen=True)
class HealthCheck(Result):
    """A component's own health check, as the engine runs it. Times are seconds."""

    test: list[str]
    """The command: `["CMD", …]`, `["CMD-SHELL", line]`, or `["NONE"]` to switch off the image's."""
    interval: float | None = None
    """Time between two checks."""
    timeout: float | None = None
    """Time limit of one check."""
    retries: int | None = None
    """Failures in a row until unhealthy."""
    start_period: float | None = None
    """Time in which failures do not count."""
    start_interval: float | None = None
    """Time between two checks within that."""


@dataclass(frozen=True)
class Attachment(Result):
    """A network to join."""

    network: str
    """Its name."""
    aliases: list[str]
    """The names under which others on that network reach the container."""


@dataclass(frozen=True)
class PublishedPort(Result):
    """A container's port on the host."""

    container: int
    """The port in the container."""
    host_address: str | None = None
    """The address of the host; `None`: all."""
    host: int | None = None
    """The port of the host; `None`: any that is free."""


@dataclass(frozen=True)
class ContainerSpec(Result):
    """What to create a container from."""

    name: str
    """Its name on the runtime; unique there."""
    image: str
    """The image, by the id that `pull` gave."""
    entrypoint: list[str] | None = None
    """Instead of the image's entry point."""
    command: list[str] | None = None
    """Instead of the image's command."""
    environment: Mapping[str, str] = field(default_factory=_none, repr=False)
    """Environment variables. They may be secret: they are shown neither by `repr` nor by `to_dict`."""
    identity: Mapping[str, str] = field(default_factory=_none)
    """The labels that identify the owner. An existing container of this name is used only if it carries all of them."""
    labels: Mapping[str, str] = field(default_factory=_none, repr=False)
    """All labels to put on it, including `identity`."""
    network: Attachment | None = None
    """The network to join."""
    expose: list[int] = field(default_factory=list[int])
    """TCP ports that the component listens on and others reach directly."""
    publish: list[PublishedPort] = field(default_factory=list[PublishedPort])
    """Ports to publish on the host."""
    health_check: HealthCheck | None = None
    """Its own health check."""
    stop_signal: str | None = None
    """The signal that asks it to stop; `None`: the image's, else SIGTERM."""
    restart: str | None = None
    """The restart policy, as in the compose file. Only if `RuntimeCapabilities.options` has `restart`."""
    options: Mapping[str, Any] = field(default_factory=_none)
    """Other options of the compose file, in its form. Only options that `RuntimeCapabilities.options` names."""

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain data. It has only the names of environment variables, not their values."""
        return {**super().to_dict(), "environment": sorted(self.environment)}

    @staticmethod
    def _of(data: dict[str, Any]) -> ContainerSpec:
        network, check = data["network"], data["health_check"]
        fields = changed(
            data,
            network=None if network is None else Attachment(**network),
            publish=[PublishedPort(**port) for port in data["publish"]],
            health_check=None if check is None else HealthCheck(**check),
        )
        return ContainerSpec(**fields)


@dataclass(frozen=True)
class Container(Result):
    """A container as its runtime describes it."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    labels: Mapping[str, str] = field(default_factory=_none, repr=False)
    """Its labels. They are not in its `repr`: in those of users the values of variables may be."""
    state: ContainerState = "created"
    """What it is doing."""
    exit_code: int | None = None
    """The exit code of one that has exited, or that is restarting."""
    out_of_memory: bool = False
    """Whether it was killed because memory ran out."""
    started: int = 0
    """When it was last started, in nanoseconds since the Unix epoch; 0 if never. After another start it is another
    incarnation."""
    health: Health = "none"
    """What its own health check says."""
    addresses: Mapping[int, str] = field(default_factory=_none)
    """For each exposed TCP port, the `host:port` where the locator reaches it. Empty unless running."""
    published: Mapping[int, str] = field(default_factory=_none)
    """For each TCP port that is published on the host, the `host:port` there. Empty unless running."""
    image: str = ""
    """The id of the image that it was made from; empty if the runtime does not say."""
    networks: Sequence[str] = ()
    """The names of the networks that it is on."""
    network_ids: Mapping[str, str] = field(default_factory=_none)
    """The id of each of these networks at the time when the container joined it; empty if the runtime does not say."""

    def _plain(self) -> dict[str, Any]:
        state: Any = self.state
        if state == "exited":
            state = {"exited": {"code": self.exit_code or 0, "out_of_memory": self.out_of_memory}}
        elif state == "restarting":
            state = {"restarting": {"code": self.exit_code or 0}}
        return {
            "id": self.id,
            "name": self.name,
            "labels": dict(self.labels),
            "state": state,
            "started": self.started,
            "health": self.health,
            "addresses": {str(port): address for port, address in self.addresses.items()},
            "published": {str(port): address for port, address in self.published.items()},
            "image": self.image,
            "networks": [self.networks] if isinstance(self.networks, str) else list(self.networks),
            "network_ids": dict(self.network_ids),
        }

    @staticmethod
    def _of(data: dict[str, Any]) -> Container:
        state, ended = state_of(data["state"])
        fields = changed(
            data,
            state=state,
            exit_code=ended.get("code"),
            out_of_memory=ended.get("out_of_memory", False),
            addresses={int(port): address for port, address in data["addresses"].items()},
            published={int(port): address for port, address in data["published"].items()},
        )
        return Container(**fields)


@dataclass(frozen=True)
class Network(Result):
    """A network as its runtime describes it."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    labels: Mapping[str, str] = field(default_factory=_none, repr=False)
    """Its labels. They are not in its `repr`: in those of users the values of variables may be."""
    subnet: str | None = None
    """Its subnet, if the runtime has subnets."""

    def _plain(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "labels": dict(self.labels), "subnet": self.subnet}


@dataclass(frozen=True, order=True)
class FencingToken(Result):
    """The fencing token of a decision. Tokens only grow, and are compared by epoch, then revision."""

    epoch: int = 0
    """The epoch: one more for each holder of the lease."""
    revision: int = 0
    """The revision: one more for each commit."""

    def _plain(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "revision": self.revision}


@dataclass(frozen=True)
class Adopted(Result):
    """An instance was adopted with sessions from before. Their clients have the application's cookies, and none of a
    locator's. Until `until`, a request with such a cookie goes to that instance and opens a session there. Until then,
    the number of live sessions on that instance is unknown."""

    until: datetime
    """The time by which each session from before has been seen or has expired."""
    cookie: str | None = None
    """The name of the application's cookie; `None`: any will do."""


@dataclass(frozen=True)
class Route(Result):
    """One line of a routing table."""

    address: str
    """Where the instance's entry listens, as `host:port`."""
    share: float
    """Its part of the new sessions, 0 to 1. At 0 its sessions stay, and new ones go elsewhere."""
    adopted: Adopted | None = None
    """Set on an instance that was adopted with sessions that no locator has seen yet."""
    version: int | None = None
    """The number of its version: a newer version has a higher one. A table has it if `RoutingTable.by` is `client`."""
    closing: bool = False
    """Every locator of a group has said that nothing is left on it, and it is about to be closed on all of them. From then on, no
    session comes back to it: a request that would bring back one which the locator does not count waits until the next table
    or the close, for a few seconds at most, and is then treated as one without a session."""

    @staticmethod
    def _of(data: dict[str, Any]) -> Route:
        adopted = data.get("adopted")
        if adopted is not None:
            adopted = Adopted(moment(adopted["until"]), adopted.get("cookie"))
        return Route(data["address"], data["share"] / 10_000, adopted, data.get("version"), data.get("closing", False))


@dataclass(frozen=True)
class CookiePolicy(Result):
    """The attributes of the locator's cookie: when browsers send it back."""

    same_site: Literal["none", "lax", "strict"] = "none"
    """Whether browsers send it when another site leads here. `none` is always. Over http the attribute is left out."""
    domain: str | None = None
    """Its domain, with subdomains. `None`: only the host of the request."""
    path: str | None = None
    """Its path, with all paths below. `None`: all."""
    partitioned: bool = False
    """Whether each site that shows the application in a frame has a cookie of its own. Only over https."""


@dataclass(frozen=True)
class ApplicationCookie(Result):
    """The cookie by which an application knows its sessions. A locator that can read it needs no cookie of its own."""

    name: str
    """Its name, such as `JSESSIONID`."""
    mode: Literal["prefix", "learn"] = "prefix"
    """Where it is kept which instance has the session: in a prefix of the cookie's value, or in the locator's memory."""


@dataclass(frozen=True)
class FailedPolicy(Result):
    """Which requests count as failed. One without an answer always does, if its path counts."""

    status: list[str] = field(default_factory=lambda: ["5xx"])
    """Answers with these status codes have failed: `503`, `5xx`, `500-504`."""
    except_status: list[str] = field(default_factory=list[str])
    """Answers with these have not."""
    paths: list[str] = field(default_factory=list[str])
    """Only requests for these paths, and for what is below them, count. Empty: all count."""
    except_paths: list[str] = field(default_factory=list[str])
    """Requests for these paths, and for what is below them, do not count."""
    header: str | None = None
    """An answer with this header has failed."""

    @staticmethod
    def _of(data: dict[str, Any]) -> FailedPolicy:
        return FailedPolicy(
            data.get("status", ["5xx"]), data.get("except", []), data.get("paths", []), data.get("except_paths", []),
            data.get("header"),
        )  # fmt: skip


@dataclass(frozen=True)
class Watermark(Result):
    """Says which instances of a service are gone for ever: those of this journal that are older than its oldest one."""

    journal: str
    """The journal of the instances."""
    oldest: int
    """The number of the oldest instance that may still be named, counted from 1."""

    def covers(self, instance: str) -> bool:
        """Whether no later table names this instance."""
        ours = f"-{self.journal[:8]}"
        number = instance[: -len(ours)].rpartition("-")[2]
        return instance.endswith(ours) and number.isdecimal() and int(number) < self.oldest


@dataclass(frozen=True)
class RoutingTable(Result):
    """Where sessions of a service go. Applied as a whole; shares are weights."""

    service: str
    """The service."""
    number: FencingToken
    """The number of the decision."""
    idle: float
    """A session expires after this number of seconds without a request."""
    ignore: list[str]
    """Requests for these paths open no session."""
    routes: Mapping[str, Route]
    """Every instance that may get requests."""
    cookie: CookiePolicy = CookiePolicy()
    """The attributes of the locator's cookie."""
    watermark: Watermark | None = None
    """Says which instances no later table names. `None`: any may be named."""
    failed: FailedPolicy = FailedPolicy()
    """Which requests count as failed."""
    slow: float | None = None
    """A request is slow if its answer begins later than this, in seconds. `None`: none is."""
    application: ApplicationCookie | None = None
    """The cookie of the application by which sessions are known. `None`: the locator sets a cookie of its own."""
    by: Literal["session", "client"] = "session"
    """What decides where a new session goes. `client`: a client keeps to the version that it has met, over its sessions, and goes
    over only to newer ones."""

    @staticmethod
    def _of(data: dict[str, Any]) -> RoutingTable:
        routes = {name: Route._of(route) for name, route in data["routes"].items()}
        session = data["session"]
        cookie: dict[str, Any] = session.get("cookie") or {}
        watermark, slow = data.get("watermark"), session.get("slow")
        application = session.get("application")
        return RoutingTable(
            data["service"], FencingToken(**data["number"]), session["idle"] / 1_000, session["ignore"], routes,
            CookiePolicy(**cookie),
            None if watermark is None else Watermark(**watermark),
            FailedPolicy._of(session.get("failed") or {}), None if slow is None else slow / 1_000,
            None if application is None else ApplicationCookie(**application), session.get("by", "session"),
        )  # fmt: skip


@dataclass(frozen=True)
class Cohort(Result):
    """The sessions of one instance that began while one table was in force. The guard compares instances by these."""

    table: FencingToken
    """The number of the table."""
    begun: int
    """Sessions that began."""
    failed: int = 0
    """Those of them with at least one failed request since."""
    slow: int = 0
    """Those of them with at least one slow request since."""

    def _plain(self) -> dict[str, Any]:
        sessions = {"begun": self.begun, "failed": self.failed}
        return {"table": self.table._plain(), "sessions": sessions, "slow": self.slow}

    @staticmethod
    def _of(data: dict[str, Any]) -> Cohort:
        return Cohort(FencingToken(**data["table"]), **data["sessions"], slow=data.get("slow", 0))


@dataclass(frozen=True)
class FailureKind(Result):
    """Sessions of one instance whose first failed (or first slow) request was of this kind."""

    path: str
    """The first segment of the path, such as `/shop`; `/*` if that may be an id; `other` for kinds without room."""
    status: int | None = None
    """The status code of the answer; `None`: there was no answer, or it broke off."""
    slow: bool = False
    """Whether the sessions are counted here because a request was slow, and not because one failed."""
    sessions: int = 0
    """How many sessions since `counting_since`."""


@dataclass(frozen=True)
class InstanceFigures(Result):
    """A locator's figures of one instance."""

    share: float | None = None
    """The share in force, 0 to 1; `None` if the table in force does not name the instance."""
    closed: bool = False
    """Whether the locator has closed or evicted it. Then it never gets a request again."""
    live: int | None = 0
    """Sessions that have not expired. `None`: unknown. Never say 0 if the number is unknown."""
    live_at_most: bool = False
    """Whether `live` is an upper limit, and not the exact number."""
    in_flight: int = 0
    """Requests that were sent to it and whose response has not ended."""
    upgraded: int = 0
    """Upgraded connections that are open."""
    sessions_begun: int = 0
    """Sessions that began on it since `counting_since`."""
    requests_begun: int = 0
    """Requests sent to it since `counting_since`."""
    sessions_failed: int = 0
    """Sessions with at least one failed request."""
    requests_failed: int = 0
    """Failed requests."""
    sessions_evicted: int = 0
    """Sessions that an eviction ended."""
    last_seen: datetime | None = None
    """When a request of a session was last answered."""
    cohorts: Sequence[Cohort] = ()
    """Its sessions by the table under which they began. A table of `LocatorReport.counted` that is not here had none."""
    failures: Sequence[FailureKind] = ()
    """What the failed and slow sessions have in common. A locator may keep some kinds only, or none."""

    def _plain(self) -> dict[str, Any]:
        live: Any = "unknown"
        if self.live is not None:
            live = {"at_most" if self.live_at_most else "exact": self.live}
        return {
            "share": None if self.share is None else round(self.share * 10_000),
            "closed": self.closed,
            "live": live,
            "in_flight": self.in_flight,
            "upgraded": self.upgraded,
            "sessions_begun": self.sessions_begun,
            "requests_begun": self.requests_begun,
            "sessions_failed": self.sessions_failed,
            "requests_failed": self.requests_failed,
            "sessions_evicted": self.sessions_evicted,
            "last_seen": None if self.last_seen is None else millis(self.last_seen),
            "cohorts": [cohort._plain() for cohort in self.cohorts],
            "failures": [plain(kind) for kind in self.failures],
        }

    @staticmethod
    def _of(data: dict[str, Any]) -> InstanceFigures:
        live: Any = data["live"]
        counts: dict[str, int] = {} if isinstance(live, str) else live
        share = data["share"]
        fields = changed(
            data,
            share=None if share is None else share / 10_000,
            live=next(iter(counts.values()), None),
            live_at_most="at_most" in counts,
            last_seen=optional_moment(data["last_seen"]),
            cohorts=tuple(Cohort._of(cohort) for cohort in data.get("cohorts", ())),
            failures=tuple(FailureKind(**kind) for kind in data.get("failures", ())),
        )
        return InstanceFigures(**fields)


@dataclass(frozen=True)
class LocatorReport(Result):
    """A locator's figures of a service at one moment."""

    incarnation: int
    """Another value means that the locator was restarted."""
    counting_since: datetime
    """When it began to count. It cannot know which sessions are live until the idle time has passed since then."""
    newest: FencingToken = FencingToken()
    """The newest number that it has seen in any call."""
    table: FencingToken | None = None
    """The number of the table in force."""
    instances: Mapping[str, InstanceFigures] = field(default_factory=_none)
    """Its figures for each instance that it lists or has closed."""
    counted: Sequence[FencingToken] = ()
    """The numbers of the tables by which sessions are counted, oldest first: the newest that were in force since counting
    began. Of any other table, the counts are unknown."""

    def _plain(self) -> dict[str, Any]:
        return {
            "incarnation": self.incarnation,
            "counting_since": millis(self.counting_since),
            "newest": self.newest._plain(),
            "table": None if self.table is None else self.table._plain(),
            "instances": {name: figures._plain() for name, figures in self.instances.items()},
            "counted": [number._plain() for number in self.counted],
        }

    @staticmethod
    def _of(data: dict[str, Any]) -> LocatorReport:
        table = data["table"]
        return LocatorReport(
            data["incarnation"],
            moment(data["counting_since"]),
            FencingToken(**data["newest"]),
            None if table is None else FencingToken(**table),
            {name: InstanceFigures._of(figures) for name, figures in data["instances"].items()},
            tuple(FencingToken(**number) for number in data.get("counted", ())),
        )


def plain_answer(answer: Any) -> Any:
    """The result of a port as plain data."""
    if isinstance(answer, (Container, Network, LocatorReport, InstanceFigures)):
        return answer._plain()
    if isinstance(answer, (list, tuple)):
        return [plain_answer(item) for item in cast("Sequence[Any]", answer)]
    return answer
