"""The progress of builds and transfers of images: a row for each on a terminal, else a line for each step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from haddock._cli import _output, _progress, _words

if TYPE_CHECKING:
    from rich.console import RenderableType

    from haddock import BuildEvent
    from haddock._cli._common import Settings

OnEvent = Callable[["BuildEvent"], None]
OVER = ("built", "pulled", "pushed")
"""The events that end what was going on."""


@contextmanager
def shown(settings: Settings) -> Iterator[OnEvent | None]:
    """The display of progress; none with `--json` and `--quiet`. It is on standard error, separate from the result."""
    with _progress.stopped_by_signals("nothing half-built is left; run the same command again to do the rest"):
        if settings.json or settings.quiet:
            yield None
        elif sys.stderr.isatty():
            live = Live(lines=settings.verbose > 0)
            try:
                yield live.event
            finally:
                live.close()
        else:
            yield Plain(lines=settings.verbose > 0).event


def sentence(event: BuildEvent) -> str | None:
    """What happens, without the image; `None`: nothing to tell."""
    if event.kind == "planned":
        return None if event.action == "keep" else f"{event.action}: {event.because}"
    if event.kind == "step":
        return f"step {event.number}/{event.of} {_first_line(event.text or '')}"
    if event.kind == "warning":
        return f"warning: {event.text}"
    if event.kind == "transfer":
        return f"{_progress.size(event.done or 0)} of {_progress.size(event.total or 0)}"
    if event.kind == "pushed":
        return f"pushed {event.digest}"
    return event.text if event.kind == "line" else event.kind


def _first_line(text: str) -> str:
    """The first line of an instruction, not too long for a terminal."""
    first = text.splitlines()[0] if text else ""
    return first if len(first) <= 100 else f"{first[:99]}…"


class Plain:
    """A line for each step. With `lines`, also what the steps print."""

    def __init__(self, *, lines: bool) -> None:
        self.lines = lines

    def event(self, event: BuildEvent) -> None:
        """A line, if it is worth one."""
        # The progress of a transfer does not belong in a log.
        if event.kind in ("transfer", "building") or (event.kind == "line" and not self.lines):
            return
        if text := sentence(event):
            mark = "| " if event.kind == "line" else ""
            _output.note(f"{event.image}: {mark}{text}")


class Live:
    """A row for each image that is worked on."""

    def __init__(self, *, lines: bool) -> None:
        from rich.console import Console
        from rich.live import Live as Region

        self.lines = lines
        self.rows: dict[str, tuple[str, str, float]] = {}
        """For each image: the kind of its last event, what happens, and since when it is worked on."""
        console = Console(stderr=True, highlight=False)
        self.region = Region(console=console, get_renderable=self.picture, refresh_per_second=4, transient=True)
        self.region.start()

    def event(self, event: BuildEvent) -> None:
        """The row changes. Warnings stay above the rows."""
        text = sentence(event)
        if text is None:
            return
        if event.kind == "warning" or (event.kind == "line" and self.lines):
            self.region.console.print(f"{event.image}: {text}", markup=False)
            return
        since = self.rows[event.image][2] if event.image in self.rows else time.monotonic()
        self.rows[event.image] = (event.kind, text, since)

    def close(self) -> None:
        """The command itself reports what was done."""
        self.region.stop()

    def picture(self) -> RenderableType:
        """The present rows."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        for image, (kind, text, since) in self.rows.items():
            over = kind in OVER
            mark, style = ("✓", "green") if over else ("●", "cyan")
            length = "" if over else _words.length(time.monotonic() - since)
            told = Text(text, style="dim" if over else "", no_wrap=True, overflow="ellipsis")
            table.add_row(Text(mark, style), Text(image), told, Text(length, "dim"))
        return table
