"""The live display of a release on a terminal."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live as Region
from rich.table import Table
from rich.text import Text

from haddock._cli import _words
from haddock._cli._follow import BLIND, Drains, draining, is_blind

if TYPE_CHECKING:
    from haddock import Event, ReleaseStatus, ServiceStatus

PHASES = ["preparing", "launching", "ramping", "settling", "settled"]
"""A release that goes well."""


class Live:
    """Events scroll by above; the present state of the service is below them."""

    def __init__(self, service: str, console: Console | None = None) -> None:
        self.service = service
        self.drains = Drains()
        self.begun = time.monotonic()
        self.last: ServiceStatus | None = None
        self.phase = "preparing"
        self.region = Region(console=console or Console(highlight=False), get_renderable=self.picture,
                             refresh_per_second=4)  # fmt: skip
        self.region.start()

    def event(self, event: Event) -> None:
        """A line above the live display."""
        self.phase = event.phase or self.phase
        text = Text.assemble((_words.clock(event.at), "dim"), "  ", event.message)
        self.region.console.print(text, soft_wrap=True)

    def status(self, status: ServiceStatus | None, at: float) -> None:
        """Redraws the live display."""
        self.drains.add(status, at)
        self.last = status
        if status is not None and status.release is not None:
            self.phase = status.release.phase
        self.region.refresh()

    def close(self) -> None:
        """Leaves the last state on the terminal."""
        self.region.stop()

    def picture(self) -> RenderableType:
        """The present state of the service."""
        release = None if self.last is None else self.last.release
        passed = _words.length(time.monotonic() - self.begun)
        headline = _headline(self.service, release, self.phase, passed)
        if is_blind(self.last) and (release is None or not release.waits):
            headline.append(f"\n{BLIND}", "yellow")
        return Group(Text(), headline, *self._versions())

    def _versions(self) -> list[RenderableType]:
        if self.last is None or not self.last.instances:
            return []
        table = Table.grid(padding=(0, 3, 0, 0))
        titles = ["version", "images", "instances", "asked", "in force", "sessions", ""]
        for title in titles:
            table.add_column(justify="right" if title in ("version", "asked", "in force", "sessions") else "left")
        table.add_row(*(Text(title, style="dim") for title in titles))
        for row in version_rows(self.last, self.drains):
            table.add_row(*(Text(cell) for cell in row))
        return [table]


def _headline(service: str, release: ReleaseStatus | None, phase: str, passed: str) -> Text:
    line = Text.assemble((service, "bold"), "  ")
    if phase in PHASES:
        reached = PHASES.index(phase)
        for index, name in enumerate(PHASES):
            done = index < reached or phase == "settled"
            mark, style = ("✓", "green") if done else ("●", "bold cyan") if index == reached else ("○", "dim")
            line.append(f"{mark} {name}  ", style)
    else:
        line.append(f"● {phase}  ", "bold red" if phase.startswith("abort") else "bold cyan")
    if release is not None and release.paused:
        line.append("paused  ", "bold yellow")
    line.append(passed, "dim")
    if release is not None and release.waits:
        line.append(f"\n{_words.waits(release.waits)}", "yellow")
    return line


def version_rows(status: ServiceStatus, drains: Drains) -> list[list[str]]:
    """A row for each version that has instances, newest first."""
    images = {version.version: version for version in status.versions}
    rows: list[list[str]] = []
    for number in sorted({instance.version for instance in status.instances}, reverse=True):
        instances = [instance for instance in status.instances if instance.version == number]
        phases = [instance.phase for instance in instances]
        told = [f"{phases.count(phase)} {phase}" for phase in dict.fromkeys(phases)]
        sessions = [instance.sessions for instance in instances]
        known = None if None in sessions else sum(each for each in sessions if each is not None)
        asked = sum(instance.share or 0 for instance in instances)
        in_force = sum(instance.share_in_force or 0 for instance in instances)
        version = images.get(number)
        named = ", ".join(dict.fromkeys(version.images.values())) if version is not None else ""
        ends = _end(drains.left(number)) if number in draining(status) else ""
        rows.append([str(number), named, ", ".join(told), _words.share(asked), _words.share(in_force),
                     _words.count(known), ends])  # fmt: skip
    return rows


def _end(seconds: float | None) -> str:
    if seconds is None:
        return "drains"
    at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return f"drained in about {_words.length(seconds)}, at {_words.clock(at)[:5]}"
