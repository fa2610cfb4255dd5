"""A container runtime and a service locator written in Python: small, in memory, and true to their contracts."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Mapping, Sequence

import haddock
from haddock import Cohort, Container, ContainerSpec, FencingToken, InstanceFigures, LocatorCapabilities, LocatorReport
from haddock import Network, RoutingTable

Clock = Callable[[], datetime]


class ToyRuntime(haddock.ContainerRuntime):
    """Containers as data. Any image is there but those called `missing`; they answer two seconds after their start."""

    capabilities = haddock.RuntimeCapabilities(networks=True)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.ends: dict[str, tuple[float, int]] = {}
        self.made: dict[str, Container] = {}
        self.images: dict[str, str] = {}
        self.ports: dict[str, list[int]] = {}
        self.joined: dict[str, str] = {}
        self.known: dict[str, Network] = {}
        self.numbers = itertools.count(1)

    def nanoseconds(self) -> int:
        return int(self.clock().timestamp() * 1_000_000_000)

    def look(self) -> None:
        for container in list(self.made.values()):
            after, code = self.ends.get(self.images[container.id], (None, 0))
            if container.state == "running" and after is not None:
                if self.nanoseconds() >= container.started + after * 1_000_000_000:
                    self.exit(container.id, code)

    def exit(self, container: str, code: int) -> None:
        self.made[container] = replace(self.made[container], state="exited", exit_code=code, addresses={})

    def pull(self, image: str, refresh: bool) -> str:
        if "missing" in image:
            raise haddock.ImageMissingError(f"image `{image}` is nowhere")
        return f"sha256:{image}"

    def create(self, spec: ContainerSpec) -> str:
        with self.lock:
            for container in self.made.values():
                if container.name == spec.name:
                    if not carries(container.labels, spec.identity):
                        raise haddock.NameTakenError(f"the name `{spec.name}` is taken")
                    return container.id
            if not spec.image.startswith("sha256:"):
                raise haddock.ImageMissingError(f"image `{spec.image}` is not here")
            id = f"toy{next(self.numbers):09}"
            self.images[id] = spec.image.removeprefix("sha256:")
            self.made[id] = Container(id=id, name=spec.name, labels=dict(spec.labels))
            self.ports[id] = list(spec.expose)
            if spec.network is not None:
                self.joined[id] = spec.network.network
            return id

    def found(self, container: str) -> Container:
        self.look()
        try:
            return self.made[container]
        except KeyError:
            raise haddock.NotFoundError(f"container `{container}` does not exist") from None

    def start(self, container: str) -> None:
        with self.lock:
            if self.found(container).state == "created":
                self.live(container)

    def live(self, container: str) -> None:
        life = next(self.numbers)
        addresses = {port: f"127.1.{life // 250}.{life % 250 + 1}:{port}" for port in self.ports[container]}
        found, started = self.made[container], self.nanoseconds() + life
        self.made[container] = replace(found, state="running", exit_code=None, started=started, addresses=addresses)

    def start_again(self, container: str, started: int) -> None:
        with self.lock:
            found = self.found(container)
            if found.state == "exited" and found.started == started:
                self.live(container)

    def unpause(self, container: str) -> None:
        with self.lock:
            found = self.found(container)
            if found.state == "paused":
                self.made[container] = replace(found, state="running")

    def inspect(self, container: str) -> Container | None:
        with self.lock:
            self.look()
            return self.made.get(container)

    def list(self, labels: Mapping[str, str]) -> Sequence[Container]:
        with self.lock:
            self.look()
            return [it for it in self.made.values() if carries(it.labels, labels)]

    def stop(self, container: str, grace: float) -> None:
        with self.lock:
            if self.made.get(container, Container("", "")).state == "running":
                self.exit(container, 137 if "stubborn" in self.images[container] else 0)

    def remove(self, container: str) -> None:
        with self.lock:
            self.made.pop(container, None)

    def logs(self, container: str, tail: int) -> Sequence[str]:
        with self.lock:
            lines = [f"line {n}" for n in range(1, 6)] if self.found(container).state == "exited" else []
            return lines[max(len(lines) - tail, 0) :]

    def create_network(self, name: str, labels: Mapping[str, str], identity: Mapping[str, str]) -> Network:
        with self.lock:
            network = self.known.setdefault(name, Network(id=name, name=name, labels=dict(labels)))
            if not carries(network.labels, identity):
                raise haddock.NameTakenError(f"the network `{name}` is another's")
            return network

    def networks(self, labels: Mapping[str, str]) -> Sequence[Network]:
        return [it for it in self.known.values() if carries(it.labels, labels)]

    def remove_network(self, network: str) -> None:
        with self.lock:
            if any(self.joined.get(container) == network for container in self.made):
                raise haddock.RuntimeRefusedError(f"network `{network}` has containers")
            self.known.pop(network, None)

    def probe(self, address: str, path: str | None) -> bool:
        with self.lock:
            self.look()
            now = self.nanoseconds()
            running = [it for it in self.made.values() if address in it.addresses.values()]
            return any(now >= it.started + 2_000_000_000 for it in running)


class AsyncToyRuntime(ToyRuntime):
    """The same with coroutines."""

    async def pull(self, image: str, refresh: bool) -> str:  # type: ignore[override]
        return super().pull(image, refresh)

    async def create(self, spec: ContainerSpec) -> str:  # type: ignore[override]
        return super().create(spec)

    async def start(self, container: str) -> None:  # type: ignore[override]
        super().start(container)

    async def inspect(self, container: str) -> Container | None:  # type: ignore[override]
        return super().inspect(container)

    async def list(self, labels: Mapping[str, str]) -> Sequence[Container]:  # type: ignore[override]
        return super().list(labels)

    async def stop(self, container: str, grace: float) -> None:  # type: ignore[override]
        super().stop(container, grace)

    async def remove(self, container: str) -> None:  # type: ignore[override]
        super().remove(container)


def carries(labels: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in asked.items())


class Site:
    """What the locator knows of one service."""

    def __init__(self) -> None:
        self.newest = FencingToken()
        self.table: RoutingTable | None = None
        self.closed: set[str] = set()
        self.forget()

    def forget(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.figures: dict[str, dict[str, Any]] = {}
        self.owed: dict[str, float] = {}
        self.cohorts: dict[str, dict[FencingToken, list[int]]] = {}
        self.counted: list[FencingToken] = [] if self.table is None else [self.table.number]


class ToyLocator(haddock.ServiceLocator):
    """Sessions as data, with the clients' side in `begin` and `finish`."""

    capabilities = LocatorCapabilities(counts_by_table=True)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.sites: dict[str, Site] = {}
        self.incarnation = 1
        self.since = clock()
        self.numbers = itertools.count(1)

    def site(self, service: str) -> Site:
        site = self.sites.setdefault(service, Site())
        idle = timedelta(seconds=site.table.idle if site.table else 0)
        now = self.clock()
        site.sessions = {k: s for k, s in site.sessions.items() if s["open"] or s["last"] + idle > now}
        return site

    def take(self, site: Site, number: FencingToken) -> None:
        if number < site.newest:
            raise haddock.StaleNumberError(f"{number} is older than {site.newest}")
        site.newest = number

    def tally(self, site: Site, instance: str) -> dict[str, Any]:
        names = ("in_flight", "sessions_begun", "requests_begun", "sessions_failed", "requests_failed", "sessions_evicted")
        return site.figures.setdefault(instance, {**dict.fromkeys(names, 0), "last_seen": None})

    def apply(self, table: RoutingTable) -> None:
        with self.lock:
            site = self.site(table.service)
            self.take(site, table.number)
            site.table = table
            if table.number not in site.counted:
                site.counted.append(table.number)

    def close(self, service: str, instance: str, number: FencingToken) -> InstanceFigures | None:
        with self.lock:
            site = self.site(service)
            self.take(site, number)
            figures = self.report(site).get(instance, InstanceFigures())
            busy = figures.share or figures.live != 0 or figures.in_flight
            if busy and not figures.closed:
                return figures
            site.closed.add(instance)
            return None

    def evict(self, service: str, instance: str, number: FencingToken) -> None:
        with self.lock:
            site = self.site(service)
            self.take(site, number)
            if instance not in site.closed:
                site.closed.add(instance)
                ended = [key for key, session in site.sessions.items() if session["instance"] == instance]
                self.tally(site, instance)["sessions_evicted"] += len(ended)
                for key in ended:
                    del site.sessions[key]

    def observe(self, service: str) -> LocatorReport:
        with self.lock:
            site = self.site(service)
            table = None if site.table is None else site.table.number
            return LocatorReport(self.incarnation, self.since, site.newest, table, self.report(site), site.counted)

    def report(self, site: Site) -> dict[str, InstanceFigures]:
        routes = site.table.routes if site.table else {}
        idle = timedelta(seconds=site.table.idle if site.table else 0)
        unknown = self.incarnation > 1 and self.since + idle > self.clock()
        report = {}
        for instance in {*routes, *site.closed, *site.figures}:
            live: int | None = sum(session["instance"] == instance for session in site.sessions.values())
            closed = instance in site.closed
            share = routes[instance].share if instance in routes else None
            if closed and share is not None:
                share = 0.0
            figures = self.tally(site, instance) if instance in site.figures else {}
            if share is None and not closed and not live and not figures.get("in_flight"):
                continue
            adopted = routes[instance].adopted if instance in routes else None
            if not closed and (unknown or (adopted and self.clock() < adopted.until)):
                live = None
            cohorts = [Cohort(number, *counts) for number, counts in site.cohorts.get(instance, {}).items()]
            report[instance] = InstanceFigures(share=share, closed=closed, live=live, cohorts=cohorts, **figures)
        return report

    def restart(self) -> None:
        with self.lock:
            self.incarnation += 1
            self.since = self.clock()
            for site in self.sites.values():
                site.forget()

    # What clients do.

    def begin(self, service: str, cookies: dict[str, str], ignored: bool) -> tuple[str, str | None] | None:
        with self.lock:
            site = self.site(service)
            key, instance = cookies.get("session"), cookies.get("instance", "")
            last = datetime.fromisoformat(cookies["last"]) if "last" in cookies else self.clock()
            routes = site.table.routes if site.table else {}
            fresh = site.table is not None and last + timedelta(seconds=site.table.idle) > self.clock()
            sticky = key is not None and instance in routes and instance not in site.closed
            own, cohort = False, None
            if not (sticky and (key in site.sessions or fresh)):
                key = None
                instance = self.adopted(site, cookies) or ""
                own = True
            if key is None and instance:
                key = self.opened(site, instance, ignored)
            elif key is None:
                shares = {name: route.share for name, route in routes.items() if route.share and name not in site.closed}
                if not shares:
                    return None
                for name, share in shares.items():
                    site.owed[name] = site.owed.get(name, 0) + share
                instance = max(shares, key=lambda name: site.owed[name])
                site.owed[instance] -= sum(shares.values())
                key = self.opened(site, instance, ignored)
                if key and site.table:
                    cohort = site.table.number
                    site.cohorts.setdefault(instance, {}).setdefault(cohort, [0, 0])[0] += 1
            if key:
                session = {"instance": instance, "last": self.clock(), "open": 0, "failed": False, "own": own, "cohort": cohort}
                site.sessions.setdefault(key, session)["open"] += 1
            figures = self.tally(site, instance)
            figures["requests_begun"] += 1
            figures["in_flight"] += 1
            return instance, key

    def opened(self, site: Site, instance: str, ignored: bool) -> str | None:
        if ignored:
            return None
        self.tally(site, instance)["sessions_begun"] += 1
        return f"s{next(self.numbers)}"

    def adopted(self, site: Site, cookies: dict[str, str]) -> str | None:
        theirs = set(cookies) - {"session", "instance", "last"}
        if "session" in cookies or not theirs:
            return None
        for name, route in (site.table.routes if site.table else {}).items():
            if route.adopted and self.clock() < route.adopted.until and name not in site.closed:
                if route.adopted.cookie is None or route.adopted.cookie in theirs:
                    return name
        return None

    def finish(self, service: str, instance: str, key: str | None, failed: bool, cookies: dict[str, str]) -> None:
        with self.lock:
            site = self.sites[service]
            figures = self.tally(site, instance)
            figures["in_flight"] -= 1
            figures["requests_failed"] += failed
            session = site.sessions.get(key or "")
            if session is None:
                return
            session.update(open=session["open"] - 1, last=self.clock())
            if failed and not session["failed"] and session["own"]:
                figures["sessions_failed"] += 1
                if session["cohort"]:
                    site.cohorts[instance][session["cohort"]][1] += 1
            figures["last_seen"] = self.clock()
            session["failed"] |= failed
            cookies.update(session=key or "", instance=instance, last=self.clock().isoformat())


START = datetime(2030, 1, 1, tzinfo=timezone.utc)
