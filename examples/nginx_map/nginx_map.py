"""A service locator for an nginx that you have: it writes a `map` and reloads nginx.

`docs/your-own-locator.md` walks through it, `nginx.conf` beside it has the lines that nginx needs, and
`tests/python/test_nginx_map.py` runs the suite against it. It steers one nginx, on this machine, from one process.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from math import ceil
from pathlib import Path

from haddock import FencingToken, InstanceFigures, LocatorCapabilities, LocatorReport, RoutingTable, ServiceLocator
from haddock import StaleNumberError, Watermark
from running_nginx import RunningNginx, connections

LOGGED_WITHIN = 0.02
"""nginx writes the line of a request right after its answer: what ended so many seconds ago is in the log."""


@dataclass
class Kept:
    """What outlives a restart. Numbers are `[epoch, revision]`, routes are `[address, share]`."""

    newest: list[int] = field(default_factory=lambda: [0, 0])
    table: list[int] | None = None
    idle: float = 0.0
    routes: dict[str, list[str | float]] = field(default_factory=dict[str, "list[str | float]"])
    closed: list[str] = field(default_factory=list[str])
    watermarks: dict[str, int] = field(default_factory=dict[str, int])

    def is_closed(self, instance: str) -> bool:
        return instance in self.closed or self.is_gone(instance)

    def is_gone(self, instance: str) -> bool:
        return any(Watermark(journal, oldest).covers(instance) for journal, oldest in self.watermarks.items())


@dataclass
class Seen:
    """What was counted since this process, or nginx, was started."""

    loaded: str | None = None
    """The map that is in force. `None`: not known."""
    log: tuple[int, int] | None = None
    """The file that was read, and up to where."""
    read_at: float = 0.0
    known_from: float = 0.0
    """Until then, sessions may live that were not seen yet."""
    sessions: dict[str, float] = field(default_factory=dict[str, float])
    """When each was last used. The key is that of its cookie: `INSTANCE.RANDOM`."""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    last_seen: dict[str, datetime] = field(default_factory=dict[str, datetime])


class NginxMap(ServiceLocator):
    """The nginx whose process id is in the file `pid`. It includes `DIRECTORY/*.conf`."""

    capabilities = LocatorCapabilities(
        keeps_sticky_at_zero=True,  # the cookie names the instance, and the map knows it whatever its share is
        follows_unseen=True,  # for the same reason, after a restart, too
        session_count="upper_bound",  # the sessions in the log, and one more for each request in flight
        atomic_close=False,  # a request may arrive between the look and the reload
        adoption=False, counts_by_table=False, counts_by_policy=False, by_client=False,
    )  # fmt: skip

    def __init__(
        self, directory: Path, pid: Path, services: Sequence[str], *,
        reload: Sequence[str] = ("nginx", "-s", "reload"), header_timeout: float = 10.0, slack: float = 5.0,
    ) -> None:  # fmt: skip
        """Writes a map for each service, so that nginx can be started next. `header_timeout` is nginx's
        `client_header_timeout`. A session counts for `slack` longer than `session.idle`. Both are seconds."""
        self.directory, self.slack = directory, slack
        self.nginx, self.life = RunningNginx(pid, reload, header_timeout), ""
        self.incarnation, self.since = 0, datetime.now(timezone.utc)
        directory.mkdir(parents=True, exist_ok=True)
        self.lock, self.only_process = threading.RLock(), (directory / "lock").open("w")
        fcntl.flock(self.only_process, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two processes would count apart
        self.kept = {service: self.load(service) for service in services}
        self.seen: dict[str, Seen] = {}
        for service, kept in self.kept.items():
            self.write(f"{service}.conf", map_of(service, kept))

    # ---- what has to outlive a restart

    def load(self, service: str) -> Kept:
        path = self.directory / f"{service}.json"
        return Kept(**json.loads(path.read_text())) if path.exists() else Kept()

    def write(self, name: str, text: str) -> None:
        """The old file or the new one is there, whenever the power fails."""
        beside = self.directory / f"{name}.new"
        with beside.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.directory / name)
        folder = os.open(self.directory, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def change(self, service: str, to: Kept) -> None:
        """Puts it into force, and writes it down. If nginx refuses, nothing has changed."""
        text = map_of(service, to)
        if self.seen[service].loaded != text:
            self.seen[service].loaded = None
            self.write(f"{service}.conf", text)
            try:
                self.nginx.reload()
            except Exception:
                self.write(f"{service}.conf", map_of(service, self.kept[service]))
                raise
            self.seen[service].loaded = text
        self.write(f"{service}.json", json.dumps(asdict(to)))
        self.kept[service] = to

    # ---- counting

    def begin_anew(self, life: str) -> None:
        """What was in flight at the nginx before is in no log. So nobody knows which sessions live, for one idle time."""
        self.life, self.incarnation, self.since = life, time.time_ns(), datetime.now(timezone.utc)
        known_from = {it: time.monotonic() + kept.idle + self.slack for it, kept in self.kept.items() if kept.table}
        self.seen = {service: Seen(known_from=known_from.get(service, 0.0)) for service in self.kept}

    def look(self, service: str) -> Counter[str]:
        """Reads what nginx has logged, and answers with its connections to each address. These are counted before: a
        request that ends in between is in the log."""
        if service not in self.kept:
            raise LookupError(f"`{service}` is not among the services that NginxMap was made for")
        open_to = connections()
        time.sleep(LOGGED_WITHIN)
        if self.life != (life := self.nginx.life()):
            self.begin_anew(life)
        kept, seen = self.kept[service], self.seen[service]
        with (self.directory / f"{service}.log").open("a+b") as file:
            number, end = os.fstat(file.fileno()).st_ino, file.seek(0, os.SEEK_END)
            log, begin = seen.log or (number, end)
            if log != number or end < begin:  # it was rotated: nobody has read the last lines of the one before
                begin, seen.known_from = 0, time.monotonic() + kept.idle + self.slack
            file.seek(begin)
            *lines, rest = file.read().split(b"\n")
            seen.log = (number, file.tell() - len(rest))
        now = time.monotonic()
        for line in lines:
            self.count(kept, seen, line.decode(errors="replace"), now)
        seen.read_at = now
        seen.sessions = {key: used for key, used in seen.sessions.items() if used + kept.idle + self.slack > now}
        return open_to

    def count(self, kept: Kept, seen: Seen, line: str, now: float) -> None:
        at, status, key, cookie = line.split(" ", 3)
        instance = key.partition(".")[0]
        if instance not in kept.routes or kept.is_closed(instance):
            return
        # Not before the last look: no change of the machine's clock ends a session.
        seen.sessions[key] = max(seen.read_at, now - max(time.time() - float(at), 0.0))
        seen.last_seen[instance] = datetime.fromtimestamp(float(at), timezone.utc)
        seen.counts[instance, "requests_begun"] += 1
        seen.counts[instance, "requests_failed"] += int(status) >= 500
        seen.counts[instance, "sessions_begun"] += cookie != key

    def figures(self, service: str, open_to: Counter[str], instance: str) -> InstanceFigures:
        kept, seen = self.kept[service], self.seen[service]
        address, share = kept.routes.get(instance, ("", None))
        closed, in_flight = kept.is_closed(instance), open_to[str(address)]
        live: int | None = len(self.sessions_of(seen, instance)) + in_flight
        if seen.read_at < seen.known_from:
            live = None
        return InstanceFigures(
            share=None if share is None else float(share), closed=closed, live=0 if closed else live, live_at_most=True,
            in_flight=in_flight, last_seen=seen.last_seen.get(instance),
            requests_begun=seen.counts[instance, "requests_begun"] + in_flight,
            requests_failed=seen.counts[instance, "requests_failed"],
            sessions_begun=seen.counts[instance, "sessions_begun"],
            sessions_evicted=seen.counts[instance, "sessions_evicted"],
        )  # fmt: skip

    def sessions_of(self, seen: Seen, instance: str) -> list[str]:
        return [key for key in seen.sessions if key.partition(".")[0] == instance]

    # ---- the verbs

    def take(self, service: str, number: FencingToken) -> Counter[str]:
        open_to, given = self.look(service), [number.epoch, number.revision]
        if given < self.kept[service].newest:
            raise StaleNumberError(f"{given} is older than {self.kept[service].newest}")
        self.kept[service].newest = given
        self.write(f"{service}.json", json.dumps(asdict(self.kept[service])))
        return open_to

    def apply(self, table: RoutingTable) -> None:
        with self.lock:
            self.take(table.service, table.number)
            kept = self.kept[table.service]
            marks = dict(kept.watermarks)
            if mark := table.watermark:
                marks[mark.journal] = max(mark.oldest, marks.get(mark.journal, 0))
            routes: dict[str, list[str | float]] = {it: [to.address, to.share] for it, to in table.routes.items()}
            new = replace(kept, table=kept.newest, idle=table.idle, routes=routes, watermarks=marks)
            self.change(table.service, replace(new, closed=[it for it in kept.closed if not new.is_gone(it)]))

    def close(self, service: str, instance: str, number: FencingToken) -> InstanceFigures | None:
        with self.lock:
            figures = self.figures(service, self.take(service, number), instance)
            if not figures.closed:
                if figures.share or figures.live != 0 or figures.in_flight or self.nginx.has_stragglers():
                    return figures
                self.shut(service, instance)
            return None

    def evict(self, service: str, instance: str, number: FencingToken) -> None:
        with self.lock:
            self.take(service, number)
            if not self.kept[service].is_closed(instance):
                self.shut(service, instance)
                for key in self.sessions_of(self.seen[service], instance):
                    del self.seen[service].sessions[key]
                    self.seen[service].counts[instance, "sessions_evicted"] += 1

    def shut(self, service: str, instance: str) -> None:
        self.change(service, replace(self.kept[service], closed=[*self.kept[service].closed, instance]))

    def observe(self, service: str) -> LocatorReport:
        with self.lock:
            open_to, kept = self.look(service), self.kept[service]
            told = {it: self.figures(service, open_to, it) for it in {*kept.routes, *kept.closed}}
            table = FencingToken(*kept.table) if kept.table else None
            return LocatorReport(self.incarnation, self.since, FencingToken(*kept.newest), table, told)


def map_of(service: str, kept: Kept) -> str:
    """nginx's lines: which instance a request goes to, and the cookie that it gets."""
    name = "haddock_" + service.replace("-", "_")
    routes = {it: (address, float(share)) for it, (address, share) in kept.routes.items() if not kept.is_closed(it)}
    shares = {it: share for it, (_, share) in routes.items() if share > 0}
    *others, last = shares or [""]
    blocks = {
        f"split_clients $request_id ${name}_new": [
            *(f"{max(shares[it] / sum(shares.values()), 0.0001):.2%} {it};" for it in others), f'* "{last}";',
        ],
        f"map $cookie_{name} ${name}_session": [
            f'default "${name}_new.$request_id";', *(f'"~^{it}\\.[0-9a-f]{{32}}$" $cookie_{name};' for it in routes),
        ],
        f"map ${name}_session ${name}_address": [
            'default "";', *(f'"~^{it}\\." {address};' for it, (address, _) in routes.items()),
        ],
        f"map ${name}_address ${name}_cookie": [
            '"" "";', f'default "{name}=${name}_session; Max-Age={ceil(kept.idle)}; Path=/; HttpOnly; SameSite=Lax";',
        ],
        f"map $http_upgrade ${name}_connection": ['"" close;', "default upgrade;"],
    }  # fmt: skip
    text = "".join(head + " {\n" + "".join(f"    {line}\n" for line in lines) + "}\n" for head, lines in blocks.items())
    return f'{text}log_format {name} "$msec $status ${name}_session $cookie_{name}";\n'
